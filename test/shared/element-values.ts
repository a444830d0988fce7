/** Values of every element type that are easily changed on their way: extremes, signs of zero, what no double holds, what is no text. */

import { type ElementType, elementTypes, kindOf, type NumericData, type TensorData } from '../../src/base/element'
import type { Signature, TensorList } from '../../src/base/tensor'
import { datatypeOf } from '../../src/oip/elements'

const float64 = [0, -0, 5e-324, -2.2250738585072014e-308, Number.MAX_VALUE, 0.1, 1 / 3, 2 ** 53 + 2, -1e-7, 1e300]
/** 0, -0, the smallest and the largest, subnormal and normal, 1/3, 1, -2, pi. */
const halfBits = [0, 0x8000, 1, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x3555, 0x3c00, 0xc248]
const texts = ['', 'a', '\u0000', '🙂', 'ä "\\ \n', '\ufeffbom', ']}', ',', '漢字', 'e\u0301']

/** Ten of each type. */
const values: Record<ElementType, TensorData> = {
  float32: Float32Array.of(0, -0, 1e-45, -1.17549435e-38, 1e36, 0.1, 1 / 3, 2 ** 24 + 2, -1e-7, 1e30),
  float64: Float64Array.from(float64),
  float16: halves(halfBits),
  int8: Int8Array.of(0, 1, -1, 127, -128, 2, 3, 4, 5, 6),
  int16: Int16Array.of(0, 1, -1, 32_767, -32_768, 2, 3, 4, 5, 6),
  int32: Int32Array.of(0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 24 + 1, 3, 4, 5, 6),
  int64: BigInt64Array.of(
    0n,
    1n,
    -1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    2n ** 53n + 1n,
    -(2n ** 53n) - 1n,
    4n,
    5n,
    10n ** 18n,
  ),
  uint8: Uint8Array.of(0, 1, 255, 128, 127, 2, 3, 4, 5, 6),
  uint16: Uint16Array.of(0, 1, 65_535, 32_768, 2, 3, 4, 5, 6, 7),
  uint32: Uint32Array.of(0, 1, 2 ** 32 - 1, 2 ** 31, 2 ** 24 + 1, 3, 4, 5, 6, 7),
  uint64: BigUint64Array.of(0n, 1n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n + 1n, 3n, 4n, 5n, 6n, 10n ** 19n),
  bool: Uint8Array.of(0, 1, 1, 0, 1, 0, 0, 0, 1, 1),
  string: texts,
}

/** Half floats of their bits, as they are held here. */
export function halves(bits: readonly number[]): NumericData {
  const Kind = kindOf('float16')
  return new Kind(Uint16Array.from(bits).buffer, 0, bits.length)
}

/** A tensor's data as its bytes in hexadecimal, or its texts: NaN, the signs of zeros and all else are told apart. */
export function bitsOf(data: TensorData): string | readonly string[] {
  if (!ArrayBuffer.isView(data)) return data
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')
}

/** A model with an input and an output of each type: lengths that differ from query to query, or [2, 5]. */
export function everyType(isOpen: boolean): Signature {
  const shape = isOpen ? [-1, -1] : [2, 5]
  const specs = (prefix: string) =>
    elementTypes.map((type) => ({ name: `${prefix}_${type}`, shape, ...(type !== 'float32' && { type }) }))
  return { inputs: specs('in'), outputs: specs('out') }
}

/** A query of that model, and its answer where the model gives what it gets. Rows differ, and are as long as each other. */
export function everyValue(row = 0): TensorList {
  return elementTypes.map((type) => {
    const data = values[type]
    const turned = Array.from({ length: data.length }, (_, i) => data[(i + row) % data.length])
    const own = type === 'string' ? (turned as string[]) : (data as NumericData).slice()
    if (type !== 'string') turned.forEach((value, i) => void ((own as NumericData)[i] = value as never))
    return { data: own, shape: [2, 5], ...(type !== 'float32' && { type }) }
  })
}

/** As bits, in the order of the signature. */
export function bitsOfAll(tensors: TensorList): unknown[] {
  return tensors.map(({ data, shape, type = 'float32' }) => [datatypeOf(type), [...shape], bitsOf(data)])
}
