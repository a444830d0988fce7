/** Inputs and labels from .npy files. */

import { readFile } from 'node:fs/promises'
import { parse } from 'npyjs'

async function load(path: string) {
  const bytes = await readFile(path)
  try {
    const array = parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)
    if (array.fortranOrder) throw new Error('expected C order, got Fortran order')
    const count = array.shape.reduce((product, n) => product * n, 1)
    const { length } = array.data as unknown as ArrayLike<unknown>
    if (length !== count) throw new Error(`expected ${count} values (shape [${array.shape}]), got ${length}`)
    return array
  } catch (error) {
    throw new RangeError(`${path}: ${(error as Error).message}`)
  }
}

/**
 * One query per row: uint8 divided by 255, or float32 as it is.
 *
 * @param wanted  what a row must look like, if it is not flat
 */
export async function loadInputs(path: string, wanted?: readonly number[]): Promise<Float32Array[]> {
  const { data, shape, dtype } = await load(path)
  if (dtype !== 'u1' && dtype !== 'f4') throw new RangeError(`${path}: expected uint8 or float32, got ${nameOf(dtype)}`)
  const [count = 0, ...rest] = shape
  if (wanted && rest.length > 1 && String(rest) !== String(wanted)) {
    throw new RangeError(`${path}: expected rows of shape [${wanted}], or flat ones, got [${rest}]`)
  }
  const length = rest.reduce((product, n) => product * n, 1)
  const values = data as unknown as Uint8Array | Float32Array
  const scale = dtype === 'u1' ? 255 : 1
  return Array.from({ length: count }, (_, i) =>
    Float32Array.from(values.subarray(i * length, (i + 1) * length), (value) => value / scale),
  )
}

/** Class labels: any integers, one per query. */
export async function loadLabels(path: string): Promise<number[]> {
  const { data, shape, dtype } = await load(path)
  if (!/^[iu]/.test(dtype)) throw new RangeError(`${path}: expected integers, got ${nameOf(dtype)}`)
  if (shape.filter((n) => n !== 1).length > 1) throw new RangeError(`${path}: expected shape [n], got [${shape}]`)
  return Array.from(data as unknown as ArrayLike<number>, Number)
}

/** 'f8' is float64 to people. */
function nameOf(dtype: string): string {
  const kinds: Record<string, string> = { f: 'float', i: 'int', u: 'uint', c: 'complex' }
  return /^[fiuc]\d+$/.test(dtype) ? `${kinds[dtype[0]]}${8 * Number(dtype.slice(1))}` : dtype
}
