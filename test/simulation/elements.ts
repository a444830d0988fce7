/** Values of other types than float32, at the ends of what these hold: as texts of JSON and as bytes, written apart from the code that they try. */

import type { ElementType, TensorData } from '../../src/base/element'
import type { Signature } from '../../src/base/tensor'
import { signature } from './model'

export type Other = Exclude<ElementType, 'float32'>

interface Kind {
  datatype: string
  bytes: number
  /** Values as texts of JSON. */
  texts: readonly string[]
  set(view: DataView, text: string): void
  /** What the package holds them in. */
  Held: new (
    buffer: ArrayBuffer,
  ) => TensorData
}

/** Half floats in Node 20 are their bits. */
const halves: Record<string, number> = { 0: 0, 1: 0x3c00, '-2': 0xc000, 65504: 0x7bff, '5.960464477539063e-8': 1, 0.333251953125: 0x3555 } // biome-ignore format: one line
const strings = ['""', '"ä€😀"', '"]}\\",{[\\\\"', '"\\u0000\\n"', '"\ufeffmark"', `"${'long '.repeat(4)}"`]
const Half = ((globalThis as { Float16Array?: unknown }).Float16Array ?? Uint16Array) as typeof Uint16Array

// biome-ignore format: a line each
const kinds: Record<Exclude<Other, 'string'>, Kind> = {
  int64: { datatype: 'INT64', bytes: 8, texts: ['9223372036854775807', '-9223372036854775808', '0', '-1', '9007199254740993'], set: (view, text) => view.setBigInt64(0, BigInt(text), true), Held: BigInt64Array },
  uint64: { datatype: 'UINT64', bytes: 8, texts: ['18446744073709551615', '9223372036854775808', '0', '9007199254740993'], set: (view, text) => view.setBigUint64(0, BigInt(text), true), Held: BigUint64Array },
  int32: { datatype: 'INT32', bytes: 4, texts: ['2147483647', '-2147483648', '0', '16777217'], set: (view, text) => view.setInt32(0, Number(text), true), Held: Int32Array },
  uint32: { datatype: 'UINT32', bytes: 4, texts: ['4294967295', '0', '16777217'], set: (view, text) => view.setUint32(0, Number(text), true), Held: Uint32Array },
  int16: { datatype: 'INT16', bytes: 2, texts: ['32767', '-32768', '0'], set: (view, text) => view.setInt16(0, Number(text), true), Held: Int16Array },
  uint16: { datatype: 'UINT16', bytes: 2, texts: ['65535', '0', '256'], set: (view, text) => view.setUint16(0, Number(text), true), Held: Uint16Array },
  int8: { datatype: 'INT8', bytes: 1, texts: ['127', '-128', '0'], set: (view, text) => view.setInt8(0, Number(text)), Held: Int8Array },
  uint8: { datatype: 'UINT8', bytes: 1, texts: ['255', '0', '128'], set: (view, text) => view.setUint8(0, Number(text)), Held: Uint8Array },
  float64: { datatype: 'FP64', bytes: 8, texts: ['1.7976931348623157e+308', '5e-324', '-0.1', '0', '9007199254740993'], set: (view, text) => view.setFloat64(0, Number(text), true), Held: Float64Array },
  float16: { datatype: 'FP16', bytes: 2, texts: Object.keys(halves), set: (view, text) => view.setUint16(0, halves[String(Number(text))], true), Held: Half },
  bool: { datatype: 'BOOL', bytes: 1, texts: ['true', 'false'], set: (view, text) => view.setUint8(0, Number(JSON.parse(text))), Held: Uint8Array },
}

/** Types that a run may have. */
export const others = [...Object.keys(kinds), 'string'] as readonly Other[]
/** Values of a query, beside the two of float32. */
export const COUNT = 3

export const datatypeOf = (type: Other) => (type === 'string' ? 'BYTES' : kinds[type].datatype)

/** The model takes and gives such values, too. */
export function signatureOf(type: Other | undefined): Signature {
  if (!type) return signature
  const { inputs, outputs } = signature
  const more = { shape: [COUNT], type }
  return { inputs: [...inputs, { name: 'z', ...more }], outputs: [...outputs, { name: 'w', ...more }] }
}

/** Of a query, by its row. */
export function textsOf(type: Other, [a, b]: Float32Array): string[] {
  const texts = type === 'string' ? strings : kinds[type].texts
  const first = Math.abs(Math.round(1e4 * a) + 31 * Math.round(1e4 * b))
  return Array.from({ length: COUNT }, (_, i) => texts[(first + i * (1 + (first % 7))) % texts.length])
}

/** What the model answers to them. */
export function turned<Data extends TensorData>(data: Data): Data {
  return data.slice().reverse() as Data
}

export function rawOf(type: Other, texts: readonly string[]): Uint8Array {
  return new Uint8Array(Buffer.concat(texts.map((text) => (type === 'string' ? stringBytes(JSON.parse(text)) : bytesOf(kinds[type], text))))) // biome-ignore format: one line
}

function bytesOf({ bytes, set }: Kind, text: string): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes))
  set(view, text)
  return new Uint8Array(view.buffer)
}

function stringBytes(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  const length = new DataView(new ArrayBuffer(4))
  length.setUint32(0, bytes.length, true)
  return Buffer.concat([new Uint8Array(length.buffer), bytes])
}

export function dataOf(type: Other, texts: readonly string[]): TensorData {
  if (type === 'string') return texts.map((text) => JSON.parse(text))
  return new kinds[type].Held(rawOf(type, texts).buffer as ArrayBuffer)
}

/** Texts of the values in a reply's JSON: those of 64 bits as they stand there. */
export function textsIn(type: Other, json: string, name: string): string[] {
  const { data } = JSON.parse(json).outputs.find((output: { name: string }) => output.name === name)
  if (type !== 'int64' && type !== 'uint64') return data.map((value: unknown) => JSON.stringify(value))
  const [, digits] = new RegExp(`"name":"${name}"[^{]*?"data":\\[([-\\d,]*)\\]`).exec(json) ?? []
  return digits.split(',')
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
/** To compare to the bit: of values, and of a part of a reply. */
export const bitsOf = (type: Other, texts: readonly string[]) => hex(rawOf(type, texts))
export const bitsOfData = (data: TensorData) =>
  ArrayBuffer.isView(data)
    ? hex(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    : hex(Buffer.concat(data.map(stringBytes)))

/** The same of raw bytes of so many rows. */
export function splitRaw(type: Other, raw: Uint8Array, rows: number): string[] {
  if (type !== 'string') {
    const each = COUNT * kinds[type].bytes
    if (raw.length !== rows * each) throw new Error(`the reply has ${raw.length} bytes of ${type}`)
    return Array.from({ length: rows }, (_, row) => hex(raw.subarray(row * each, (row + 1) * each)))
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length)
  let at = 0
  return Array.from({ length: rows }, () => {
    const from = at
    for (let i = 0; i < COUNT; i++) at += 4 + view.getUint32(at, true)
    return hex(raw.subarray(from, at))
  })
}
