/** The protocol's names of element types (datatypes), and elements as raw bytes and in JSON. */

import { joined } from '../base/arrays'
import { outOfRange } from '../base/check'
import type { ElementType, NumericData, TensorData } from '../base/element'
import { bitsOfHalf, isNumeric, isReal, kindOf } from '../base/element'

/** The protocol's datatypes, with the bytes of an element. Elements of BYTES have different lengths. */
export const datatypes = {
  ...{ BOOL: 1, UINT8: 1, UINT16: 2, UINT32: 4, UINT64: 8 },
  ...{ INT8: 1, INT16: 2, INT32: 4, INT64: 8 },
  ...{ FP16: 2, BF16: 2, FP32: 4, FP64: 8, BYTES: undefined },
} as const

export type Datatype = keyof typeof datatypes

const names: Record<ElementType, Datatype> = {
  ...{ float32: 'FP32', float64: 'FP64', float16: 'FP16', bool: 'BOOL', string: 'BYTES' },
  ...{ int8: 'INT8', int16: 'INT16', int32: 'INT32', int64: 'INT64' },
  ...{ uint8: 'UINT8', uint16: 'UINT16', uint32: 'UINT32', uint64: 'UINT64' },
} as const

const types = new Map(Object.entries(names).map(([type, name]) => [name as unknown, type as ElementType]))

export function datatypeOf(type: ElementType = 'float32'): Datatype {
  return names[type]
}

/** The element type of a datatype; undefined for BF16, for which JavaScript has no array, and for an unknown name. */
export function elementTypeOf(datatype: unknown): ElementType | undefined {
  return types.get(datatype)
}

const encoder = new TextEncoder()
/** ignoreBOM keeps a byte order mark as a part of the text. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const LENGTH = Uint32Array.BYTES_PER_ELEMENT

/** Values as little-endian bytes: numbers as a view; each string as the length of its UTF-8, then the UTF-8. */
export function toRaw(data: TensorData): Uint8Array {
  if (isNumeric(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const parts = data.flatMap((text) => {
    const bytes = encoder.encode(text)
    const length = new Uint8Array(LENGTH)
    new DataView(length.buffer).setUint32(0, bytes.length, true)
    return [length, bytes]
  })
  return joined(parts, Uint8Array)
}

/** Values from raw bytes: numbers as a view if aligned, else a copy. NaN is not refused. @throws RangeError for bytes that are no values of the type */
export function fromRaw(field: string, type: ElementType, bytes: Uint8Array, count: number): TensorData {
  if (type === 'string') return stringsOf(field, bytes, count)
  const Kind = kindOf(type)
  // new Uint8Array copies; slice() of a Node Buffer would not.
  const { buffer, byteOffset } = bytes.byteOffset % Kind.BYTES_PER_ELEMENT ? new Uint8Array(bytes) : bytes
  const values = new Kind(buffer, byteOffset, count)
  if (type !== 'bool') return values
  for (let i = 0; i < count; i++) {
    if (values[i] > 1) throw outOfRange(`${field}: expected bool values (0 or 1), got ${values[i]} at ${i}`)
  }
  return values
}

function stringsOf(field: string, bytes: Uint8Array, count: number): readonly string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const texts: string[] = []
  let at = 0
  while (texts.length < count && at + LENGTH <= bytes.length) {
    const from = at + LENGTH
    at = from + view.getUint32(at, true)
    if (at > bytes.length) break
    try {
      texts.push(UTF8.decode(bytes.subarray(from, at)))
    } catch {
      throw outOfRange(`${field}: expected strings as UTF-8, got other bytes at ${texts.length}`)
    }
  }
  if (texts.length === count && at === bytes.length) return texts
  throw outOfRange(`${field}: expected ${count} strings, each behind its length, got ${bytes.length} other bytes`)
}

/** The values of a type in the words of error messages about JSON. */
export function wordsFor(type: ElementType): string {
  if (type === 'string') return 'strings'
  if (type === 'bool') return 'bool values (true or false)'
  return isReal(type) ? `finite ${type} values` : `${type} values`
}

export type JsonElement = number | bigint | boolean | string

/** Whether its integers may exceed those that a JavaScript number represents exactly. */
export function isWide(type: ElementType): boolean {
  return type === 'int64' || type === 'uint64'
}

/** Stores a JSON value in an array of the type. @returns false for a value that does not fit the type */
export function put(type: ElementType, into: NumericData | string[], at: number, value: JsonElement): boolean {
  const array = into as JsonElement[]
  if (type === 'string' || type === 'bool') {
    if (typeof value !== (type === 'bool' ? 'boolean' : 'string')) return false
    array[at] = typeof value === 'boolean' ? Number(value) : value
    return true
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') return false
  if (isReal(type)) {
    array[at] = into instanceof Uint16Array ? bitsOfHalf(Number(value)) : Number(value)
    return into instanceof Uint16Array ? ((array[at] as number) & 0x7c00) !== 0x7c00 : Number.isFinite(array[at])
  }
  if (isWide(type)) {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) return false
    array[at] = BigInt(value)
    return array[at] === BigInt(value)
  }
  array[at] = Number(value)
  return array[at] === Number(value)
}
