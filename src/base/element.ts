/** Element types of tensors: all that ONNX Runtime's JavaScript API accepts, and the JavaScript arrays that hold them. */

import { joined } from './arrays'

/** `float16` is held in a `Float16Array` if the runtime has one, else as bits in a `Uint16Array`; `bool` as bytes 0 and 1. */
interface Held {
  float32: Float32Array
  float64: Float64Array
  float16: Uint16Array
  int8: Int8Array
  int16: Int16Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  uint16: Uint16Array
  uint32: Uint32Array
  uint64: BigUint64Array
  bool: Uint8Array
  string: readonly string[]
}

export type ElementType = keyof Held
export type TensorData = Held[ElementType]
export type NumericData = Exclude<TensorData, readonly string[]>

export interface ArrayKind {
  new (length: number): NumericData
  new (buffer: ArrayBufferLike, from: number, length: number): NumericData
  readonly BYTES_PER_ELEMENT: number
}

/** The array that holds half floats in this runtime. */
const Half = ((globalThis as { Float16Array?: unknown }).Float16Array ?? Uint16Array) as unknown as ArrayKind

const kinds: Record<Exclude<ElementType, 'string'>, ArrayKind> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Half,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
}

/** Bytes of a string besides its characters. */
const STRING = 24

export const elementTypes = [...Object.keys(kinds), 'string'] as readonly ElementType[]

/** The typed array of an element type; strings are held in a plain array. */
export function kindOf(type: Exclude<ElementType, 'string'>): ArrayKind {
  return kinds[type]
}

/** Bytes of one value. Strings have no fixed size. */
export const elementBytes = (type: Exclude<ElementType, 'string'> = 'float32') => kinds[type].BYTES_PER_ELEMENT

/** Bytes of memory that the values take. */
export function heldBytes(data: TensorData): number {
  return isNumeric(data) ? data.byteLength : data.reduce((sum, text) => sum + 2 * text.length + STRING, 0)
}

/** Whether `data` is an array for this element type. Half floats may also come as bits. */
export function isHeldAs(type: ElementType, data: unknown): data is TensorData {
  if (type === 'string') return Array.isArray(data) && data.every((value) => typeof value === 'string')
  return data instanceof kinds[type] || (type === 'float16' && data instanceof Uint16Array)
}

/** The array that an element type is expected in, for errors. */
export function heldIn(type: ElementType): string {
  if (type === 'string') return 'an array of strings'
  const { name } = kinds[type] as unknown as { name: string }
  return `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`
}

export function copyOf<T extends TensorData>(data: T): T {
  return data.slice() as T
}

/** As many zeros or empty strings, in an array of the same kind. */
export function blank(data: TensorData, length = data.length): TensorData {
  return isNumeric(data) ? new (data.constructor as ArrayKind)(length) : new Array<string>(length).fill('')
}

/** `count` values from `at` on: a view, or a copy of strings. */
export function partOf(data: TensorData, at: number, count: number): TensorData {
  return isNumeric(data) ? data.subarray(at, at + count) : data.slice(at, at + count)
}

export function isNumeric(data: TensorData): data is NumericData {
  return ArrayBuffer.isView(data)
}

/** Whether the values are in memory that several threads share. */
export function isShared(data: TensorData): data is NumericData & { buffer: SharedArrayBuffer } {
  return typeof SharedArrayBuffer !== 'undefined' && isNumeric(data) && data.buffer instanceof SharedArrayBuffer
}

/** Concatenates values of the same type. @param into  is filled; default: a new array */
export function joinedData(parts: readonly TensorData[], into?: NumericData): TensorData {
  const [first] = parts
  if (!isNumeric(first)) return (parts as (readonly string[])[]).flat()
  return joined(parts as Float32Array[], first.constructor as Float32ArrayConstructor, into as Float32Array | undefined)
}

/** Whether two arrays hold the same values, to the bit. */
export function isEqual(a: TensorData, b: TensorData): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false
  return true
}

/** Whether the type has real numbers, which rounding may change. */
export function isReal(type: ElementType = 'float32'): boolean {
  return type.startsWith('float')
}

/** Values of a real type as numbers; bits of half floats are converted. */
export function realsOf(type: ElementType, data: TensorData): ArrayLike<number> {
  return type === 'float16' && data instanceof Uint16Array ? Array.from(data, half) : (data as Float32Array)
}

/** Converts the bits of a half float. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}

/** The bits of the nearest half float; of two that are equally near, the one with an even last bit. */
export function bitsOfHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (!(size < 65520)) return Number.isNaN(value) ? 0x7e00 : sign | 0x7c00
  float64[0] = size
  const exponent = Math.max(-14, ((high[1] >>> 20) & 0x7ff) - 1023)
  const steps = size / 2 ** (exponent - 10)
  const below = Math.floor(steps)
  const rest = steps - below
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1)
  return sign | ((exponent + 14) * 1024 + below + Number(up))
}

const float64 = new Float64Array(1)
const high = new Uint32Array(float64.buffer)

/** A new array of a type. @param valueAt  gives each value, an integer for integer types; rounded for half floats */
export function filled(
  type: Exclude<ElementType, 'string'>,
  length: number,
  valueAt: (i: number) => number,
): NumericData {
  const data = new (kindOf(type))(length)
  const isBits = type === 'float16' && data instanceof Uint16Array
  for (let i = 0; i < length; i++) {
    const value = valueAt(i)
    data[i] = typeof data[i] === 'bigint' ? BigInt(value) : isBits ? bitsOfHalf(value) : value
  }
  return data
}
