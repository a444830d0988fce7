/** The core in WebAssembly: assembly/ behind the Core interface. The only file that touches its memory. */

import type { Core } from './core'
import { FilterBank, type FilterBankOptions, type PatchKernels } from './filter-bank'
import { KernelMatrix, type RegressionKernels } from './kernel-matrix'
import {
  type Answers,
  freshRows,
  multiplied,
  notDefinite,
  quantised,
  type Residuals,
  type Space,
  type Table,
} from './rows'

const ABI = 2

interface Exports extends RegressionKernels, PatchKernels {
  memory: WebAssembly.Memory
  heapBase: WebAssembly.Global<'i32'>
  abiVersion(): number
  gram(out: number, rows: number, n: number, stride: number): void
  vote(
    votes: number,
    answers: number,
    basis: number,
    scratch: number,
    rows: number,
    outputs: number,
    stride: number,
    degree: number,
    errors: number,
    unit: number,
  ): void
  residual(
    order: number,
    scores: number,
    answers: number,
    kernel: number,
    scratch: number,
    rows: number,
    stride: number,
    noise: number,
    rounds: number,
  ): number
  distances(out: number, rows: number, row: number, n: number, stride: number): void
  byteDistances(out: number, rows: number, row: number, n: number, stride: number): void
  inverse(inverse: number, matrix: number, factor: number, n: number): number
}

/**
 * Bytes of rows and outputs that pass through WASM memory at a time. Long rows go in column pieces of this
 * size: they stay in the second-level cache between copy and kernel, and memory stays small.
 */
export const PIECE = 1 << 19
/** Memory grows by these. */
const PAGE = 1 << 16
/** Pages that a table grows by more than it has to. */
const AHEAD = 4

export class WasmCore implements Core {
  readonly kind = 'wasm'
  readonly #exports: Exports
  /** First free byte of the call under way; every call starts again at heapBase. */
  #top = 0

  readonly #module: WebAssembly.Module

  constructor(module: WebAssembly.Module) {
    this.#module = module
    this.#exports = this.#instance()
    const version = this.#exports.abiVersion?.()
    if (version !== ABI) throw new Error(`core.wasm: expected ABI version ${ABI}, got ${version}`)
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
      const w = this.#put(weights)
      const x = this.#putRows(rows, from, width, stride)
      const y = this.#take(n * stride * 4)
      this.#exports.combine(y, w, x, n, k, stride)
      const floats = new Float32Array(this.#exports.memory.buffer)
      for (let i = 0; i < n; i++) {
        const at = y / 4 + i * stride
        out[i].set(floats.subarray(at, at + width), from)
      }
    }
    return out
  }

  gram(rows: readonly Float32Array[]): Float64Array {
    const n = rows.length
    const d = rows[0].length
    const stride = strideOf(d, 12, 4)
    this.#reset()
    const x = this.#putRows(rows, 0, d, stride)
    const g = this.#take(n * n * 8)
    this.#exports.gram(g, x, n, stride)
    return new Float64Array(this.#exports.memory.buffer, g, n * n).slice()
  }

  vote(answers: Answers, basis: Float64Array, errors: number, unit: boolean): Int32Array {
    const f = answers.length
    const degree = basis.length / f
    this.#reset()
    const [y, stride] = this.#putAnswers(answers)
    const t = this.#put(basis)
    const votes = this.#take(f * 4)
    const scratch = this.#take((Math.max(f, 2 * degree) * (2 * degree + 1) + 4 * degree + f) * 8)
    this.#exports.vote(votes, y, t, scratch, f, answers[0].length, stride, degree, errors, unit ? 1 : 0)
    return new Int32Array(this.#exports.memory.buffer, votes, f).slice()
  }

  table(width: number, capacity: number, step?: number): Table {
    if (step !== undefined) return new ByteTable(this.#instance(), width, capacity, step)
    return new WasmTable(this.#instance(), width, capacity)
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
    const doubles = new Float64Array(this.#exports.memory.buffer, inverse, n * pitch)
    const out = new Float64Array(n * n)
    for (let i = 0; i < n; i++) out.set(doubles.subarray(i * pitch, i * pitch + n), i * n)
    return out
  }

  residual(answers: Answers, kernel: Float64Array, noise: number, rounds: number): Residuals {
    const f = answers.length
    this.#reset()
    const [y, stride] = this.#putAnswers(answers)
    const k = this.#put(kernel)
    const order = this.#take(rounds * 4)
    const scores = this.#take(f * 8)
    const scratch = this.#take((2 * f * (f + 1) + 2 * f * stride + 2 * stride + 16 * f) * 8)
    if (!this.#exports.residual(order, scores, y, k, scratch, f, stride, noise, rounds)) throw notDefinite()
    const { buffer } = this.#exports.memory
    return {
      order: new Int32Array(buffer, order, rounds).slice(),
      scores: new Float64Array(buffer, scores, f).slice(),
    }
  }

  /** With a memory of its own. */
  #instance(): Exports {
    return new WebAssembly.Instance(this.#module).exports as unknown as Exports
  }

  #reset(): void {
    this.#top = this.#exports.heapBase.value
  }

  /** A 16-byte aligned region; memory grows as needed and is never given back. */
  #take(bytes: number): number {
    const at = Math.ceil(this.#top / 16) * 16
    this.#top = at + bytes
    reserve(this.#exports.memory, this.#top)
    return at
  }

  #put(values: Float32Array | Float64Array): number {
    const at = this.#take(values.byteLength)
    const { buffer } = this.#exports.memory
    if (values instanceof Float32Array) new Float32Array(buffer, at, values.length).set(values)
    else new Float64Array(buffer, at, values.length).set(values)
    return at
  }

  #putRows(rows: readonly Float32Array[], from: number, width: number, stride: number): number {
    const at = this.#take(rows.length * stride * 4)
    const floats = new Float32Array(this.#exports.memory.buffer)
    let row = at / 4
    for (const x of rows) {
      floats.set(width === x.length ? x : x.subarray(from, from + width), row)
      floats.fill(0, row + width, row + stride)
      row += stride
    }
    return at
  }

  #putAnswers(answers: Answers): [at: number, stride: number] {
    const width = answers[0].length
    const stride = strideOf(width, 16, 8)
    const at = this.#take(answers.length * stride * 8)
    const doubles = new Float64Array(this.#exports.memory.buffer)
    let row = at / 8
    for (const y of answers) {
      doubles.set(y, row)
      doubles.fill(0, row + width, row + stride)
      row += stride
    }
    return [at, stride]
  }
}

/** An instance of its own, whose memory holds the rows and nothing else but a query and its distances. */
class WasmTable implements Table {
  readonly #exports: Exports
  readonly #width: number
  readonly #stride: number
  readonly #rows: number
  readonly #row: number
  readonly #out: number

  constructor(exports: Exports, width: number, capacity: number) {
    this.#exports = exports
    this.#width = width
    this.#stride = strideOf(width, 12, 4)
    this.#row = Math.ceil(exports.heapBase.value / 16) * 16
    this.#out = this.#row + this.#stride * 4
    this.#rows = this.#out + Math.ceil(capacity / 4) * 16
    reserve(exports.memory, this.#rows)
  }

  set(index: number, row: Float32Array): void {
    reserve(this.#exports.memory, this.#rows + (index + 1) * this.#stride * 4, AHEAD) // zero, so is all padding
    this.#at(this.#rows + index * this.#stride * 4, this.#width).set(row)
  }

  get(index: number): Float32Array {
    return this.#at(this.#rows + index * this.#stride * 4, this.#width).slice()
  }

  distances(row: Float32Array, to: number, from = 0): Float32Array {
    this.#at(this.#row, this.#width).set(row)
    this.#exports.distances(this.#out, this.#rows + from * this.#stride * 4, this.#row, to - from, this.#stride)
    return this.#at(this.#out, to - from).slice()
  }

  #at(pointer: number, length: number): Float32Array {
    return new Float32Array(this.#exports.memory.buffer, pointer, length)
  }
}

/** The same in 8 bits a value. */
class ByteTable implements Table {
  readonly #exports: Exports
  readonly #width: number
  readonly #stride: number
  readonly #step: number
  readonly #row: number
  readonly #out: number
  readonly #rows: number

  constructor(exports: Exports, width: number, capacity: number, step: number) {
    this.#exports = exports
    this.#width = width
    this.#stride = Math.ceil(width / 16) * 16
    this.#step = step
    this.#row = Math.ceil(exports.heapBase.value / 16) * 16
    this.#out = this.#row + 2 * this.#stride
    this.#rows = this.#out + Math.ceil(capacity / 4) * 16
    reserve(exports.memory, this.#rows)
  }

  set(index: number, row: Float32Array): void {
    reserve(this.#exports.memory, this.#rows + (index + 1) * this.#stride, AHEAD)
    quantised(row, this.#step, this.#at(index))
  }

  get(index: number): Float32Array {
    return multiplied(this.#at(index), this.#step)
  }

  distances(row: Float32Array, to: number, from = 0): Float32Array {
    const { memory, byteDistances } = this.#exports
    quantised(row, this.#step, new Int16Array(memory.buffer, this.#row, this.#width))
    byteDistances(this.#out, this.#rows + from * this.#stride, this.#row, to - from, this.#stride)
    return new Float32Array(new Int32Array(memory.buffer, this.#out, to - from)).map((sum) => sum * this.#step ** 2)
  }

  #at(index: number): Int8Array {
    return new Int8Array(this.#exports.memory.buffer, this.#rows + index * this.#stride, this.#width)
  }
}

/** The memory of an instance; fresh, it is zero. */
class WasmSpace implements Space {
  readonly base: number
  readonly #memory: WebAssembly.Memory

  constructor({ memory, heapBase }: Exports) {
    this.base = Math.ceil(heapBase.value / 16) * 16
    this.#memory = memory
  }

  reserve(end: number): void {
    reserve(this.#memory, end)
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, length)
  }

  doubles(at: number, length: number): Float64Array {
    return new Float64Array(this.#memory.buffer, at, length)
  }

  integers(at: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, at, length)
  }

  words(at: number, length: number): Uint16Array {
    return new Uint16Array(this.#memory.buffer, at, length)
  }
}

/** Room up to an address, and for so many pages more where there is none; what is new is zero. */
function reserve(memory: WebAssembly.Memory, end: number, ahead = 0): void {
  const missing = end - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE) + ahead)
}

/** What a table takes, see `Core.table`; in JS as much. */
export function tableBytes(width: number, capacity: number, step?: number): number {
  const row = step === undefined ? 4 * strideOf(width, 12, 4) : 16 * Math.ceil(width / 16)
  return (1 + AHEAD) * PAGE + (capacity + 2) * row + 4 * capacity
}

/**
 * Values from row to row: a multiple of the kernel's block, and never a multiple of a 4 KiB page, where all
 * rows would compete for the same cache sets (locating among 30 x 1,000 answers then takes twice as long).
 */
function strideOf(width: number, block: number, bytes: number): number {
  const stride = Math.ceil(width / block) * block
  return (stride * bytes) % 4096 ? stride : stride + block
}
