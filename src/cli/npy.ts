/** Reads inputs and labels from .npy files. */

import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { filled, half } from '../base/element'
import { type AnyTensor, allFinite, isShapeOf, shownShape, size, type TensorSpec, tensorOf } from '../base/tensor'
import { lengthOf, type NpyHeader, PREFIX, parseHeader } from './npy-header'

interface Expected {
  dtypes: RegExp
  name: string
  /** A Python expression that converts `array` to such a type. */
  remedy: string
}

const PIXELS = { dtypes: /^(u1|f[248])$/, name: 'uint8 (divided by 255) or floats', remedy: 'array.astype(np.float32)' }
const CLASSES = { dtypes: /^[iu]\d$/, name: 'integers', remedy: 'array.astype(np.int64)' }

const NUMBERS = { dtypes: /^([iu][1248]|f[48])$/, name: 'numbers', remedy: 'array.astype(np.int64)' }

type Values = InstanceType<(typeof kinds)[keyof typeof kinds]>

/** The array class for each element type in a file. float16 is read as its bits: not every runtime has Float16Array. */
const kinds = {
  ...{ u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array },
  ...{ i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: BigInt64Array },
  ...{ f2: Uint16Array, f4: Float32Array, f8: Float64Array },
}

/** An array in a file. Its values are read on demand. */
interface NpyArray {
  shape: number[]
  dtype: keyof typeof kinds
  read(from: number, count: number): Values
  close(): Promise<void>
}

/** Inputs, one query per row: uint8 values are divided by 255, floats become float32. Rows are read on demand: the file may be larger than memory. */
export class InputFile {
  private constructor(
    private readonly content: NpyArray,
    readonly length: number,
    private readonly width: number,
  ) {}

  /**
   * Opens a file and checks all of its values once.
   *
   * @param wanted  the shape that a row must have, unless the file's rows are flat
   * @throws RangeError naming the file, what was expected and what it contains; Error for a file that cannot be read
   */
  static async open(path: string, wanted?: readonly number[]): Promise<InputFile> {
    return load(path, PIXELS, (content) => {
      const [count = 0, ...rest] = content.shape
      if (!count) throw wrong(path, 'one query per row', `shape [${content.shape}]`)
      if (wanted) checkShape(path, rest, wanted)
      const file = new InputFile(content, count, size({ shape: rest }))
      if (content.dtype !== 'u1') file.#checkFinite(path)
      return file
    })
  }

  /** A row, freshly read: the caller owns it. Undefined beyond the last row. */
  at(index: number): Float32Array | undefined {
    if (!(index >= 0 && index < this.length)) return undefined
    const { dtype } = this.content
    const given = this.#given(index)
    if (given instanceof Float32Array) return given
    const row = new Float32Array(given)
    if (dtype === 'u1') for (let i = 0; i < row.length; i++) row[i] = given[i] / 255
    if (dtype === 'f2') for (let i = 0; i < row.length; i++) row[i] = half(given[i])
    return row
  }

  close(): Promise<void> {
    return this.content.close()
  }

  #given(index: number) {
    const values = this.content.read(index * this.width, this.width)
    return values as Uint8Array | Uint16Array | Float32Array | Float64Array
  }

  #checkFinite(path: string): void {
    for (let i = 0; i < this.length; i++) {
      const row = this.at(i) as Float32Array
      if (allFinite(row)) continue
      const at = row.findIndex((value) => !Number.isFinite(value))
      const given = this.content.dtype === 'f2' ? row[at] : this.#given(i)[at]
      throw wrong(path, 'finite float32 values', `${given} in row ${i} at ${at}`)
    }
  }
}

/** Reads all rows of a file. Parameters and errors as in `InputFile.open`. */
export async function loadInputs(path: string, wanted?: readonly number[]): Promise<Float32Array[]> {
  const file = await InputFile.open(path, wanted)
  try {
    return Array.from({ length: file.length }, (_, i) => file.at(i) as Float32Array)
  } finally {
    await file.close()
  }
}

/**
 * Reads the tensors of one input, a query per row, in the type that the model takes. Rows of tokens may have any length.
 *
 * @throws as `InputFile.open`
 */
export async function loadTensors(
  path: string,
  spec: TensorSpec,
): Promise<{ length: number; at(row: number): AnyTensor }> {
  return load(path, NUMBERS, async (content) => {
    const [count = 0, ...shape] = content.shape
    if (!count) throw wrong(path, 'one query per row', `shape [${content.shape}]`)
    if (!isShapeOf(shape, spec, 0)) throw wrong(path, `rows of shape [${shownShape(spec)}]`, `[${shape}]`)
    const width = size({ shape })
    const values = content.read(0, count * width)
    await content.close()
    const type = spec.type as Exclude<TensorSpec['type'], 'string'>
    const at = (row: number) =>
      tensorOf(
        spec,
        filled(type ?? 'float32', width, (i) => Number(values[row * width + i])),
        shape,
      )
    return { length: count, at }
  })
}

/** Reads class labels: integers of any type, one per query. @throws as `InputFile.open` */
export async function loadLabels(path: string): Promise<number[]> {
  return load(path, CLASSES, async (content) => {
    const { shape } = content
    if (shape.filter((n) => n !== 1).length > 1) throw wrong(path, 'shape [n]', `[${shape}]`)
    const labels = Array.from(content.read(0, size(content)) as ArrayLike<number | bigint>, Number)
    await content.close()
    return labels
  })
}

/** Opens a file, checks its element type, order and length, and passes its array to `use`. Closes the file if any of that throws. */
async function load<T>(path: string, wanted: Expected, use: (content: NpyArray) => T): Promise<Awaited<T>> {
  const file = await openFile(path)
  try {
    const { header, from } = headerOf(path, file)
    const dtype = header.dtype as NpyArray['dtype']
    if (!wanted.dtypes.test(dtype)) throw wrong(path, wanted.name, nameOf(dtype), wanted.remedy)
    if (header.fortranOrder) throw wrong(path, 'C order', 'Fortran order', 'np.ascontiguousarray(array)')
    const { shape } = header
    const each = kinds[dtype].BYTES_PER_ELEMENT
    const [count, there] = [size(header), (file.size - from) / each]
    if (!Number.isInteger(there)) throw wrong(path, WHOLE, `${file.size} bytes (part of a value at the end)`)
    if (there !== count) throw wrong(path, `${count} values (shape [${shape}])`, String(there))
    const read = (first: number, n: number) => new kinds[dtype](file.read(from + first * each, n * each))
    return await use({ shape, dtype, read, close: () => file.close() })
  } catch (error) {
    await file.close()
    throw error
  }
}

const WHOLE = 'a whole .npy file of numbers'
/** Element types that `nameOf` can name. All others are records and objects. */
const KNOWN = /^(b1|[iu][1248]|f[248]|c(8|16)|U\d+)$/
/** The longest header that is read: a wrong length must not allocate memory. */
const MOST_HEADER = 2 ** 20

function headerOf(path: string, file: Bytes) {
  if (!file.size) throw wrong(path, 'an .npy file', 'an empty one')
  const head = Buffer.from(file.read(0, Math.min(PREFIX, file.size)))
  if (head.toString('latin1', 0, 2) === 'PK') throw wrong(path, 'an .npy file', 'an archive', "np.load(path)['name']")
  const from = Math.min(lengthOf(head), file.size, MOST_HEADER)
  const header = headerIn(path, file, from)
  const { dtype, isBigEndian } = header
  if (isBigEndian) throw wrong(path, 'little-endian values', `big-endian ${nameOf(dtype)}`, `array.astype('<${dtype}')`)
  if (!KNOWN.test(dtype)) throw wrong(path, WHOLE, `${file.size} bytes (Unsupported dtype: ${dtype})`)
  return { header, from }
}

function headerIn(path: string, file: Bytes, length: number): NpyHeader {
  try {
    return parseHeader(Buffer.from(file.read(0, length)))
  } catch (error) {
    throw wrong(path, WHOLE, `${file.size} bytes (${(error as Error).message})`)
  }
}

interface Bytes {
  size: number
  /** Copies `count` bytes from offset `from`. */
  read(from: number, count: number): ArrayBuffer
  close(): Promise<void>
}

/** Opens a file for reading in pieces. A pipe is read as a whole. */
async function openFile(path: string): Promise<Bytes> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path)
    const stat = await handle.stat()
    if (stat.isFile()) return inPieces(path, handle, stat.size)
    const { buffer, byteOffset, byteLength } = await handle.readFile()
    await handle.close()
    const read = (from: number, count: number) => buffer.slice(byteOffset + from, byteOffset + from + count)
    return { size: byteLength, read: read as Bytes['read'], close: async () => {} }
  } catch (error) {
    await handle?.close()
    throw new Error(`${path}: expected an .npy file, got ${(error as Error).message}`, { cause: error })
  }
}

function inPieces(path: string, handle: FileHandle, size: number): Bytes {
  return {
    size,
    read(from, count) {
      const bytes = new Uint8Array(count)
      for (let at = 0; at < count; ) {
        const came = readSync(handle.fd, bytes, at, count - at, from + at)
        if (!came) throw new Error(`${path}: expected ${size} bytes, as before, got ${from + at}`)
        at += came
      }
      return bytes.buffer
    },
    close: () => handle.close(),
  }
}

function checkShape(path: string, row: readonly number[], wanted: readonly number[]): void {
  if (row.length > 1 && String(row) !== String(wanted)) {
    throw wrong(path, `rows of shape [${wanted}], or flat ones`, `[${row}]`)
  }
  const [expected, got] = [wanted, row].map((shape) => size({ shape }))
  if (expected !== got) throw wrong(path, `rows of ${expected} values`, String(got))
}

/** @param remedy  the Python expression to save instead */
function wrong(path: string, expected: string, got: string, remedy?: string): RangeError {
  const todo = remedy ? `; in Python: np.save(path, ${remedy})` : ''
  return new RangeError(`${path}: expected ${expected}, got ${got}${todo}`)
}

/** The name that users know an element type by: float64 for 'f8'. */
function nameOf(dtype: string): string {
  const kinds: Record<string, string> = { f: 'float', i: 'int', u: 'uint', c: 'complex' }
  if (dtype === 'b1') return 'bool'
  if (dtype.startsWith('U')) return 'text'
  return /^[fiuc]\d+$/.test(dtype) ? `${kinds[dtype[0]]}${8 * Number(dtype.slice(1))}` : dtype
}
