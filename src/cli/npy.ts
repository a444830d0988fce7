/** Inputs and labels from .npy files. */

import { readFile } from 'node:fs/promises'
import { parse } from 'npyjs'
import { size } from '../tensor'

interface Kind {
  dtypes: RegExp
  name: string
  /** How to get there, in Python. */
  remedy: string
}

const PIXELS = { dtypes: /^(u1|f[248])$/, name: 'uint8 (divided by 255) or floats', remedy: 'array.astype(np.float32)' }
const CLASSES = { dtypes: /^[iu]\d$/, name: 'integers', remedy: 'array.astype(np.int64)' }

/**
 * One query per row: uint8 divided by 255, or floats, which become float32.
 *
 * @param wanted  the shape of a row, if it is not flat
 * @throws RangeError naming the file, what was expected and what it holds; Error for a file that cannot be read
 */
export async function loadInputs(path: string, wanted?: readonly number[]): Promise<Float32Array[]> {
  const { data, shape, dtype } = await load(path, PIXELS)
  const [count = 0, ...rest] = shape
  if (!count) throw wrong(path, 'one query per row', `shape [${shape}]`)
  if (wanted) checkShape(path, rest, wanted)
  const length = size({ shape: rest })
  const values = data as unknown as Uint8Array | Float32Array | Float64Array
  const scale = dtype === 'u1' ? 255 : 1
  return Array.from({ length: count }, (_, i) => {
    const given = values.subarray(i * length, (i + 1) * length)
    const row = Float32Array.from(given, (value) => value / scale)
    const at = row.findIndex((value) => !Number.isFinite(value))
    if (at >= 0) throw wrong(path, 'finite float32 values', `${given[at]} in row ${i} at ${at}`)
    return row
  })
}

/**
 * Class labels: any integers, one per query.
 *
 * @throws as `loadInputs`
 */
export async function loadLabels(path: string): Promise<number[]> {
  const { data, shape } = await load(path, CLASSES)
  if (shape.filter((n) => n !== 1).length > 1) throw wrong(path, 'shape [n]', `[${shape}]`)
  return Array.from(data as unknown as ArrayLike<number | bigint>, Number)
}

/** An array of that kind in C order, all of it there, or an error that names the file. */
async function load(path: string, kind: Kind) {
  const bytes = await read(path)
  if (!bytes.length) throw wrong(path, 'an .npy file', 'an empty one')
  if (bytes.toString('latin1', 0, 2) === 'PK') throw wrong(path, 'an .npy file', 'an archive', "np.load(path)['name']")
  let array: ReturnType<typeof parse>
  try {
    array = parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)
  } catch (error) {
    const { message } = error as Error
    const descr = /'descr': *'>(\w+)'/.exec(bytes.toString('latin1', 0, 1000))?.[1]
    if (descr) throw wrong(path, 'little-endian values', `big-endian ${nameOf(descr)}`, `array.astype('<${descr}')`)
    throw wrong(path, 'a whole .npy file of numbers', `${bytes.length} bytes (${message})`)
  }
  if (!kind.dtypes.test(array.dtype)) throw wrong(path, kind.name, nameOf(array.dtype), kind.remedy)
  if (array.fortranOrder) throw wrong(path, 'C order', 'Fortran order', 'np.ascontiguousarray(array)')
  const { length } = array.data as unknown as ArrayLike<unknown>
  const count = size(array)
  if (length !== count) throw wrong(path, `${count} values (shape [${array.shape}])`, String(length))
  return array
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new Error(`${path}: expected an .npy file, got ${(error as Error).message}`, { cause: error })
  }
}

function checkShape(path: string, row: readonly number[], wanted: readonly number[]): void {
  if (row.length > 1 && String(row) !== String(wanted)) {
    throw wrong(path, `rows of shape [${wanted}], or flat ones`, `[${row}]`)
  }
  const [expected, got] = [wanted, row].map((shape) => size({ shape }))
  if (expected !== got) throw wrong(path, `rows of ${expected} values`, String(got))
}

/** @param remedy  what to save instead, in Python */
function wrong(path: string, expected: string, got: string, remedy?: string): RangeError {
  const todo = remedy ? `; in Python: np.save(path, ${remedy})` : ''
  return new RangeError(`${path}: expected ${expected}, got ${got}${todo}`)
}

/** 'f8' is float64 to people. */
function nameOf(dtype: string): string {
  const kinds: Record<string, string> = { f: 'float', i: 'int', u: 'uint', c: 'complex' }
  if (dtype === 'b1') return 'bool'
  if (dtype.startsWith('U')) return 'text'
  return /^[fiuc]\d+$/.test(dtype) ? `${kinds[dtype[0]]}${8 * Number(dtype.slice(1))}` : dtype
}
