/** The core in WebAssembly: assembly/ behind the Core interface. No other file touches WASM memory. */

import type { AnswerRows, Core, FilterBankOptions, HalvesTable, Residuals, RowTable } from './core'
import { notDefinite } from './core'
import { FilterBank, type PatchKernels } from './filter-bank'
import { KernelMatrix, type RegressionKernels } from './kernel-matrix'
import { type CoreFunction, freshRows, layOut, Space, squaredLengths, strideOf } from './space'

const ABI = 4

/** The exported functions have the same parameters as in assembly/. Those that check whether a matrix is positive definite return 0 or 1. */
interface Exports
  extends RegressionKernels,
    PatchKernels,
    Readonly<Record<'distances' | 'halvesDistances' | 'gram' | 'vote', CoreFunction>> {
  memory: WebAssembly.Memory
  heapBase: WebAssembly.Global<'i32'>
  abiVersion(): number
  residual(...addresses: number[]): number
  inverse(...addresses: number[]): number
}

/**
 * Bytes of rows and outputs that pass through WASM memory at a time. Long rows are split into pieces of columns of this size: they stay in
 * the second-level cache between copy and kernel, and memory stays small.
 */
export const PIECE = 1 << 19
/** The unit in which WebAssembly memory grows, in bytes. */
const PAGE = 2 ** 16
/** A table grows by this many bytes more than it needs. */
const AHEAD = 4 * PAGE

/** Bytes of a table, see `Core.table`; in JavaScript the same. */
export function tableBytes(width: number, capacity: number): number {
  return PAGE + AHEAD + (capacity + 2) * 4 * strideOf(width, 12, 4) + 4 * capacity
}

/** Bytes of a table of rows in halves, see `Core.halvesTable`. */
export function halvesBytes(half: number, capacity: number): number {
  return 2 * (PAGE + AHEAD) + (capacity + 2) * 2 * half + 8 * capacity
}

export class WasmCore implements Core {
  readonly kind = 'wasm'
  readonly #module: WebAssembly.Module
  readonly #exports: Exports
  readonly #space: WasmSpace
  /** First free byte of the present call; each call starts again at the space's base. */
  #top = 0

  constructor(module: WebAssembly.Module) {
    this.#module = module
    this.#exports = this.#instance()
    const version = this.#exports.abiVersion?.()
    if (version !== ABI) throw new Error(`core.wasm: expected ABI version ${ABI}, got ${version}`)
    this.#space = new WasmSpace(this.#exports)
  }

  combine(weights: Float32Array, rows: readonly Float32Array[], out = freshRows(weights, rows)): Float32Array[] {
    const k = rows.length
    const n = out.length
    const d = rows[0].length
    const piece = Math.max(12, Math.floor(PIECE / 4 / (n + k) / 12) * 12)
    for (let from = 0; from < d; from += piece) {
      const width = Math.min(piece, d - from)
      const stride = strideOf(width, 12, 4)
      this.#reset()
      const w = this.#take(weights.byteLength)
      const x = this.#take(k * stride * 4)
      const y = this.#take(n * stride * 4)
      const floats = this.#space.allFloats // one view: to make another takes as long as a short product
      floats.set(weights, w / 4)
      layRows(floats, x / 4, stride, rows, from, width)
      this.#exports.combine(y, w, x, n, k, stride)
      for (let i = 0, at = y / 4; i < n; i++, at += stride) out[i].set(floats.subarray(at, at + width), from)
    }
    return out
  }

  gram(rows: readonly Float32Array[]): Float64Array {
    const n = rows.length
    const d = rows[0].length
    const stride = strideOf(d, 12, 4)
    this.#reset()
    const x = this.#take(n * stride * 4)
    layRows(this.#space.allFloats, x / 4, stride, rows, 0, d)
    const g = this.#take(n * n * 8)
    this.#exports.gram(g, x, n, stride)
    return this.#space.doubles(g, n * n).slice()
  }

  vote(answers: AnswerRows, basis: Float64Array, errors: number, unit: boolean): Int32Array {
    const f = answers.length
    const degree = basis.length / f
    this.#reset()
    const [y, stride] = this.#putAnswers(answers)
    const t = this.#put(basis)
    const votes = this.#take(f * 4)
    const scratch = this.#take((Math.max(f, 2 * degree) * (2 * degree + 1) + 4 * degree + f) * 8)
    this.#exports.vote(votes, y, t, scratch, f, answers[0].length, stride, degree, errors, unit ? 1 : 0)
    return this.#space.integers(votes, f).slice()
  }

  table(width: number, capacity: number): RowTable {
    const exports = this.#instance()
    return floatTable(new WasmSpace(exports), exports, width, capacity)
  }

  halvesTable(half: number, capacity: number, unit: number): HalvesTable {
    const exports = this.#instance()
    return halvesTable(new WasmSpace(exports), exports, half, capacity, unit)
  }

  kernelMatrix(outputs: number): KernelMatrix {
    const exports = this.#instance()
    return new KernelMatrix(new WasmSpace(exports), exports, outputs, strideOf(outputs, 12, 4))
  }

  filterBank(options: FilterBankOptions): FilterBank {
    const exports = this.#instance()
    return new FilterBank(new WasmSpace(exports), exports, options, (length) => strideOf(length, 12, 4))
  }

  inverse(matrix: Float64Array): Float64Array {
    const n = Math.round(Math.sqrt(matrix.length))
    const pitch = n + (n % 2)
    this.#reset()
    const a = this.#put(matrix)
    const factor = this.#take(n * pitch * 8)
    const inverse = this.#take(n * pitch * 8)
    if (!this.#exports.inverse(inverse, a, factor, n)) throw notDefinite()
    const doubles = this.#space.doubles(inverse, n * pitch)
    const out = new Float64Array(n * n)
    for (let i = 0; i < n; i++) out.set(doubles.subarray(i * pitch, i * pitch + n), i * n)
    return out
  }

  residual(answers: AnswerRows, kernel: Float64Array, noise: number, rounds: number): Residuals {
    const f = answers.length
    this.#reset()
    const [y, stride] = this.#putAnswers(answers)
    const k = this.#put(kernel)
    const order = this.#take(rounds * 4)
    const scores = this.#take(f * 8)
    const scratch = this.#take((2 * f * (f + 1) + 2 * f * stride + 2 * stride + 16 * f) * 8)
    if (!this.#exports.residual(order, scores, y, k, scratch, f, stride, noise, rounds)) throw notDefinite()
    return { order: this.#space.integers(order, rounds).slice(), scores: this.#space.doubles(scores, f).slice() }
  }

  /** An instance with a memory of its own. */
  #instance(): Exports {
    return new WebAssembly.Instance(this.#module).exports as unknown as Exports
  }

  #reset(): void {
    this.#top = this.#space.base
  }

  /** Reserves a 16-byte aligned region. Memory grows as needed and never shrinks. */
  #take(bytes: number): number {
    const at = Math.ceil(this.#top / 16) * 16
    this.#top = at + bytes
    this.#space.reserve(this.#top)
    return at
  }

  #put(values: Float32Array | Float64Array): number {
    const at = this.#take(values.byteLength)
    const { length } = values
    const to = values instanceof Float32Array ? this.#space.floats(at, length) : this.#space.doubles(at, length)
    to.set(values)
    return at
  }

  #putAnswers(answers: AnswerRows): [at: number, stride: number] {
    const width = answers[0].length
    const stride = strideOf(width, 16, 8)
    const at = this.#take(answers.length * stride * 8)
    layRows(this.#space.doubles(at, answers.length * stride), 0, stride, answers, 0, width)
    return [at, stride]
  }
}

/** Copies columns from .. from + width - 1 of the rows, to lie `stride` values apart from `start` on; the padding is zero. */
function layRows(
  to: Float32Array | Float64Array,
  start: number,
  stride: number,
  rows: AnswerRows,
  from: number,
  width: number,
): void {
  let at = start
  for (const row of rows) {
    to.set(width === row.length ? row : row.subarray(from, from + width), at)
    to.fill(0, at + width, at + stride)
    at += stride
  }
}

/** The memory of an instance, which is zero at first. */
class WasmSpace extends Space {
  readonly base: number
  readonly #memory: WebAssembly.Memory
  #allFloats = new Float32Array()

  constructor({ memory, heapBase }: Exports) {
    super()
    this.base = Math.ceil(heapBase.value / 16) * 16
    this.#memory = memory
  }

  protected get buffer(): ArrayBuffer {
    return this.#memory.buffer
  }

  /** All of the memory, kept until it grows. */
  get allFloats(): Float32Array {
    const { buffer } = this.#memory
    if (this.#allFloats.buffer !== buffer) this.#allFloats = new Float32Array(buffer)
    return this.#allFloats
  }

  reserve(end: number, ahead = 0): void {
    const missing = end - this.#memory.buffer.byteLength
    if (missing > 0) this.#memory.grow(Math.ceil((missing + ahead) / PAGE))
  }
}

/**
 * A table in an instance of its own, which holds besides the rows only a query and its distances. The padding of rows stays zero, as all
 * memory is at first.
 */
function floatTable(space: Space, kernels: Exports, width: number, capacity: number): RowTable {
  const stride = strideOf(width, 12, 4)
  const at = layOut(space, { row: 4 * stride, out: 4 * capacity, rows: 0 })
  const start = (index: number) => at.rows + 4 * index * stride
  return {
    set: (index, row) => {
      space.reserve(start(index + 1), AHEAD)
      space.floats(start(index), width).set(row)
    },
    get: (index) => space.floats(start(index), width).slice(),
    distances: (row, to, from = 0) => {
      space.floats(at.row, width).set(row)
      kernels.distances(at.out, start(from), at.row, to - from, stride)
      return space.floats(at.out, to - from).slice()
    },
  }
}

/** A table of rows in halves, each a multiple of 8 values. */
function halvesTable(space: Space, kernels: Exports, half: number, capacity: number, unit: number): HalvesTable {
  const each = 4 * capacity + 12
  const lengths = { plain: each, turned: each, evens: each, odds: each }
  const at = layOut(space, { row: 2 * half, scratch: 4 * half, ...lengths, rows: 0 })
  const start = (index: number) => at.rows + 2 * half * index
  const four = (index: number) => space.integers(start(index - (index % 4)), 2 * half)
  return {
    set: (index, row) => {
      space.reserve(start(index - (index % 4) + 4), AHEAD)
      const [to, pieces] = [four(index), new Int32Array(row.buffer, row.byteOffset, half / 2)]
      for (let i = 0; i < pieces.length; i++) to[piece(index, i)] = pieces[i]
      const [even, odd] = squaredLengths(row)
      space.integers(at.evens + 4 * index, 1)[0] = even
      space.integers(at.odds + 4 * index, 1)[0] = odd
    },
    get: (index) => {
      const [from, pieces] = [four(index), new Int32Array(half / 2)]
      for (let i = 0; i < pieces.length; i++) pieces[i] = from[piece(index, i)]
      return new Int8Array(pieces.buffer)
    },
    distances: (row, to, from = 0) => {
      space.bytes(at.row, 2 * half).set(row)
      const { plain, turned, scratch } = at
      const [evens, odds] = [at.evens + 4 * from, at.odds + 4 * from]
      kernels.halvesDistances(plain, turned, start(from), evens, odds, at.row, scratch, to - from, half, unit ** 2)
      return { plain: space.floats(plain, to - from), turned: space.floats(turned, to - from) }
    },
  }
}

/** Place of the i-th four values of a row in the block of four rows that it belongs to: the rows alternate every eight values. */
const piece = (index: number, i: number) => 8 * (i >> 1) + 2 * (index % 4) + (i & 1)
