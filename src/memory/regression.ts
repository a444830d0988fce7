/** Kernel regression over all that is remembered, kept up to date in small steps: a Gaussian process on line. */

import { joined } from '../arrays'
import type { Core } from '../core/core'
import { BLOCK, type KernelMatrix, matrixBytes } from '../core/kernel-matrix'
import { ARRAY_BYTES } from '../core/rows'
import * as saved from '../saved'
import type { Archive } from './archive'

export { BLOCK }

/** Similarities are kept in 16 bits each. */
const FULL = 65535
/** Pairs up to which new blocks get several sweeps instead of one: a small system is cheap and lags most. */
const SEVERAL = 2000
/** Of a prediction: rounding leaves less. */
export const LEAST_VARIANCE = 1e-4
/** Multiplications in one step: half a millisecond to two in WASM, a few in JavaScript. */
export const PRODUCTS = 2 ** 21
/** The same of a look, which others wait for: a twentieth of a millisecond in WASM, one in JavaScript. */
export const QUICK_PRODUCTS = 2 ** 18
const QUICK_BLOCKS = QUICK_PRODUCTS / BLOCK / BLOCK
/** Outputs that are solved for at a time; no fewer cost less. */
const WIDTH = 12
/** Outputs from which the error of leaving one out is told; as many tell it as well as all. */
const SAMPLE = 128

export interface Predicted {
  /** The caller's. */
  answer: Float32Array
  /** In units of the answers' own: the least that one of the blocks alone would leave. 0: known; about 1: a stranger. */
  variance: number
}

/**
 * (K + noise I) X = Y - mean, solved by block Gauss-Seidel: one block after the other is solved exactly for what the
 * others leave over (Saad, Iterative Methods for Sparse Linear Systems, 2003, 4.1). That costs BLOCK * size * outputs
 * multiplications, in steps, and there is at most one block for every pair that comes: nothing is ever solved anew.
 */
export class KernelRegression {
  readonly #core: Core
  readonly #outputs: number
  readonly #noise: number
  /** Similarities, and X: what every pair adds to a prediction, per similarity. */
  readonly #matrix: KernelMatrix
  readonly #answers: Float32Array[] = []
  /** Of the first block. */
  #mean: Float64Array | undefined
  /** Sums over the inverses of the blocks of K + noise I, and pairs in a block when it was inverted. */
  readonly #totals = new Map<number, { total: number; pairs: number }>()
  /** The block that is being written over; it says nothing until it is full. */
  #open = -1
  /** The last pair that was written since all was settled. */
  #written = -1
  /** Blocks to relax, the next one first. */
  #todo: number[] = []
  /** The block that is being relaxed. */
  #relaxing: Generator<void> | undefined

  /** @param noise  on the kernel's diagonal: answers differ where features do not tell queries apart */
  constructor(core: Core, outputs: number, noise: number) {
    this.#core = core
    this.#outputs = outputs
    this.#noise = noise
    this.#matrix = core.kernelMatrix(outputs)
  }

  /**
   * What was saved of so many pairs.
   *
   * @throws RangeError for what `save` never gave
   */
  static load(core: Core, outputs: number, noise: number, archive: Archive, size: number): KernelRegression {
    const regression = new KernelRegression(core, outputs, noise)
    const kernel = archive.take('kernel', 'u2', (size * (size + 1)) / 2)
    const answers = archive.take('answers', 'f4', size * outputs)
    const shares = archive.take('shares', 'f4', size * outputs)
    regression.#mean = archive.take('mean', 'f8', outputs)
    for (let i = 0, at = 0; i < size; i++) {
      regression.#matrix.set(i, kernel.subarray(at, at + i + 1))
      at += i + 1
      regression.#answers.push(answers.slice(i * outputs, (i + 1) * outputs))
      regression.#matrix.setShares(i, shares.subarray(i * outputs, (i + 1) * outputs))
    }
    regression.#loadPending(archive.take('pending', 'f8', 3))
    return regression
  }

  /** What counts yet and what does not; and the inverses, or the first look would wait for all of them. */
  #loadPending([open, written, known]: Float64Array): void {
    const blocks = Math.ceil(this.size / BLOCK)
    this.#open = saved.integer('pending[0]', open, -1, blocks - 1)
    this.#written = saved.integer('pending[1]', written, -1, this.size - 1)
    saved.integer('pending[2]', known, 0, this.size - BLOCK * (blocks - 1))
    for (let block = 0; block < blocks; block++) {
      const pairs = block < blocks - 1 ? BLOCK : known
      try {
        if (pairs) this.#invert(block, pairs)
      } catch {
        throw saved.refused('kernel', 'positive definite blocks', `another in block ${block}`)
      }
    }
  }

  /** Bytes that so many pairs take: matrix and answers, and of a block what is left over and an inverse in f64. */
  static bytes(outputs: number, pairs: number): number {
    const block = 4 * BLOCK * outputs + 2 * 8 * BLOCK * BLOCK
    return matrixBytes(outputs, pairs) + pairs * (4 * outputs + ARRAY_BYTES) + block
  }

  get size(): number {
    return this.#answers.length
  }

  /** Read-only. */
  answerOf(index: number): Float32Array {
    return this.#answers[index]
  }

  /** Whether these are the pair's similarities to the pairs before it and to itself, but for rounding. */
  agrees(index: number, similarities: ArrayLike<number>): boolean {
    return this.#matrix.get(index).every((value, j) => Math.abs(value - FULL * similarities[j]) <= 2)
  }

  /** Whether there is something to predict from. */
  get ready(): boolean {
    return this.#mean !== undefined
  }

  /**
   * Sets pair `index` (at most `size`), over whatever was there. It counts for nothing until `settle`; nor does what else the
   * block holds where it is written over: that will be next.
   *
   * @param similarities  to all pairs there are, 0..1; what it says of `index` is not read
   * @param self          to itself
   * @param answer        copied
   */
  place(index: number, similarities: ArrayLike<number>, self: number, answer: Float32Array): void {
    const block = Math.floor(index / BLOCK)
    const added = index === this.size
    if (!added && block !== this.#open) this.#reopen(block)
    const row = new Uint16Array(Math.max(this.size, index + 1))
    for (let j = 0; j < this.size; j++) row[j] = Math.round(FULL * similarities[j])
    row[index] = Math.round(FULL * self)
    this.#matrix.set(index, row)
    this.#answers[index] = answer.slice()
    this.#written = index
    if (!added) this.#totals.delete(block) // else the inverse without it says what it did
  }

  /** The other blocks take over what this one said. */
  #reopen(block: number): void {
    this.#open = block
    const [from, to] = this.#range(block)
    if (from >= to) return
    const none = new Float32Array(this.#outputs)
    for (let i = from; i < to; i++) this.#matrix.setShares(i, none)
    this.#sweep(block)
  }

  /** To be called after every `place` when the first block is settled: solves a bit further, with `work`. */
  advance(): void {
    const block = this.#todo.shift()
    if (block !== undefined && block !== this.#open) this.#relaxing = this.#relax(block)
  }

  /** Does a step of what `advance` began. @returns whether there is more of it */
  work(): boolean {
    if (this.#relaxing?.next().done) this.#relaxing = undefined
    return this.#relaxing !== undefined
  }

  /**
   * What was written counts from here on: all blocks are due once more or, where there are few, several times. Where a block
   * is written over, to be called when it is full.
   */
  settle(): void {
    this.#sweep(Math.floor(Math.max(0, this.#written) / BLOCK))
    this.#open = -1
    this.#written = -1
  }

  /** Settles the first block, in steps: then there is something to predict from. */
  *begin(): Generator<void> {
    this.settle()
    const mean = new Float64Array(this.#outputs)
    for (const answer of this.#answers) for (let c = 0; c < this.#outputs; c++) mean[c] += answer[c] / this.size
    this.#mean = mean
    for (const block of this.#todo.splice(0)) yield* this.#relax(block)
  }

  /** All blocks, this one first and then the older ones; several times where they are few. */
  #sweep(first: number): void {
    const blocks = Math.ceil(this.size / BLOCK)
    const sweep = Array.from({ length: blocks }, (_, i) => (((first - i) % blocks) + blocks) % blocks)
    const sweeps = blocks === 1 ? 1 : Math.max(1, Math.floor(SEVERAL / this.size))
    this.#todo = Array.from({ length: Math.min(sweeps, Math.ceil(BLOCK / blocks)) }, () => sweep).flat()
  }

  /** Settles what was written last, and relaxes all that is due. */
  finish(): void {
    while (this.work()) {}
    if (this.#written >= 0) this.settle()
    while (this.#todo.length) {
      this.advance()
      while (this.work()) {}
    }
  }

  /** Solves one block for what the others leave over, a few outputs and of them a few pairs at a time. */
  *#relax(block: number): Generator<void> {
    const [from, to] = this.#range(block)
    if (this.#totals.get(block)?.pairs !== to - from) this.#invert(block)
    const perPair = WIDTH * this.size
    const width = WIDTH * Math.max(1, Math.floor(PRODUCTS / (BLOCK * perPair)))
    const pairs = Math.min(BLOCK, 2 * Math.max(1, Math.floor(PRODUCTS / (2 * perPair))))
    for (let first = 0; first < this.#outputs; first += width) {
      const outputs = [first, Math.min(first + width, this.#outputs)] as const
      const rest = new Float32Array(BLOCK * (outputs[1] - first))
      for (let from = 0; from < BLOCK; from += pairs) {
        yield
        this.#leftOver(rest, block, [from, Math.min(from + pairs, BLOCK)], outputs)
      }
      this.#matrix.relax(block, rest, outputs)
    }
  }

  /** What all shares leave over of the answers of pairs from .. to - 1 of a block; into their rows of `rest`. */
  #leftOver(
    rest: Float32Array,
    block: number,
    [from, to]: readonly [number, number],
    [first, last]: readonly [number, number],
  ): void {
    const mean = this.#mean as Float64Array
    const predicted = this.#matrix.predict(block, [from, to], [first, last])
    for (let i = from, at = 0; i < to && block * BLOCK + i < this.size; i++) {
      const answer = this.#answers[block * BLOCK + i]
      const shares = this.#matrix.getShares(block * BLOCK + i)
      for (let c = first; c < last; c++, at++) {
        rest[i * (last - first) + c - first] = answer[c] - mean[c] - predicted[at] / FULL - this.#noise * shares[c]
      }
    }
  }

  /**
   * In steps, between which nothing may be placed or settled.
   *
   * @param similarities  of the query to all pairs, 0..1
   * @param self          to itself
   */
  *predict(similarities: Float32Array, self: number): Generator<void, Predicted> {
    const mean = this.#mean as Float64Array
    const shares = this.#matrix.combine(similarities)
    let variance = self
    for (let block = 0; block * BLOCK < this.size; block++) {
      if (block % QUICK_BLOCKS === 0) yield
      if (block === this.#open) continue
      if (!this.#totals.has(block)) this.#invert(block)
      const { square, ones } = this.#matrix.quadratic(block, similarities)
      const { total } = this.#totals.get(block) as { total: number }
      const explained = square - (1 - ones) ** 2 / total // as in ordinary kriging
      variance = Math.min(variance, self - explained)
    }
    const answer = shares.map((value, c) => value + mean[c])
    return { answer, variance: Math.max(variance / self, LEAST_VARIANCE) }
  }

  /**
   * The first block's pairs left out one by one, each predicted from the others: squared error per output, over at most
   * 128 outputs evenly spread, and variance, means of both. In steps.
   */
  *leaveOneOut(): Generator<void, { error: number; variance: number }> {
    const { inverse, total } = this.#invert(0)
    yield
    const n = Math.min(BLOCK, this.size)
    const sums = Array.from({ length: n }, (_, i) => inverse.subarray(i * n, (i + 1) * n).reduce((a, b) => a + b, 0))
    const precisions = sums.map((sum, i) => inverse[i * (n + 1)] - sum ** 2 / total)
    let error = 0
    const outputs = Math.min(SAMPLE, this.#outputs)
    const values = new Float64Array(n)
    for (let o = 0; o < outputs; o++) {
      if (o % 8 === 7) yield
      const c = Math.floor((o * this.#outputs) / outputs)
      let mean = 0
      for (let j = 0; j < n; j++) {
        values[j] = this.#answers[j][c]
        mean += (sums[j] * values[j]) / total
      }
      for (let i = 0; i < n; i++) {
        let rest = -sums[i] * mean
        for (let j = 0; j < n; j++) rest += inverse[i * n + j] * values[j]
        error += (rest / precisions[i]) ** 2 / (n * outputs)
      }
    }
    const own = this.#matrix.own(0)
    const variances = precisions.map((precision, i) => (1 / precision - this.#noise) / (own[i * (BLOCK + 1)] / FULL))
    return { error, variance: variances.reduce((sum, variance) => sum + variance, 0) / n }
  }

  /**
   * The first block's pairs, each predicted from those before it: squared error per output as `leaveOneOut` has it, mean over
   * the second half of them. In steps.
   */
  *leaveLaterOut(): Generator<void, number> {
    let n = Math.min(BLOCK, this.size)
    const half = n >> 1
    const { inverse } = this.#invert(0)
    const stride = n
    let error = 0
    for (; n > half; n--) {
      // Of what is left of the inverse the last pair is predicted from the others; then it is taken out.
      const last = inverse.slice((n - 1) * stride, (n - 1) * stride + n)
      error += this.#erred(inverse, stride, n) / (stride - half)
      for (let i = 0; i < n - 1; i++) {
        const factor = last[i] / last[n - 1]
        for (let j = 0; j < n - 1; j++) inverse[i * stride + j] -= factor * last[j]
      }
      yield
    }
    return error
  }

  /** Squared error, per output, of pair n - 1 predicted from those before it. @param inverse  of these n, in rows of `stride` */
  #erred(inverse: Float64Array, stride: number, n: number): number {
    const sums = Array.from({ length: n }, (_, i) => {
      return inverse.subarray(i * stride, i * stride + n).reduce((a, b) => a + b, 0)
    })
    const total = sums.reduce((a, b) => a + b, 0)
    const last = sums[n - 1]
    const weights = sums.map((sum, j) => inverse[(n - 1) * stride + j] - (last * sum) / total)
    const outputs = Math.min(SAMPLE, this.#outputs)
    let error = 0
    for (let o = 0; o < outputs; o++) {
      const c = Math.floor((o * this.#outputs) / outputs)
      const rest = weights.reduce((sum, weight, j) => sum + weight * this.#answers[j][c], 0)
      error += (rest / weights[n - 1]) ** 2 / outputs
    }
    return error
  }

  /** Arrays by name, for `load`. The block that is due first is solved before; who waits for the others may do without. */
  save(): Record<string, Float32Array | Float64Array | Uint16Array> {
    while (this.work()) {}
    this.advance()
    while (this.work()) {}
    const last = Math.floor((this.size - 1) / BLOCK)
    const rows = <T>(row: (i: number) => T) => Array.from({ length: this.size }, (_, i) => row(i))
    return {
      kernel: joined(
        rows((i) => this.#matrix.get(i)),
        Uint16Array,
      ),
      answers: joined(this.#answers, Float32Array),
      shares: joined(
        rows((i) => this.#matrix.getShares(i)),
        Float32Array,
      ),
      mean: this.#mean?.slice() ?? new Float64Array(this.#outputs),
      pending: Float64Array.of(this.#open, this.#written, this.#totals.get(last)?.pairs ?? 0),
    }
  }

  /** The pairs of a block: from .. to - 1. */
  #range(block: number): [from: number, to: number] {
    return [block * BLOCK, Math.min((block + 1) * BLOCK, this.size)]
  }

  /** Inverse of a block of K + noise I, or of its first n pairs, and the sum over it; the matrix keeps the one, this the other. */
  #invert(block: number, n = Math.min(BLOCK, this.size - block * BLOCK)): { inverse: Float64Array; total: number } {
    const own = this.#matrix.own(block)
    const matrix = new Float64Array(n * n)
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) matrix[i * n + j] = own[i * BLOCK + j] / FULL + (i === j ? this.#noise : 0)
    }
    const inverse = this.#core.inverse(matrix)
    const total = inverse.reduce((a, b) => a + b, 0)
    this.#matrix.setInverse(block, inverse)
    this.#totals.set(block, { total, pairs: n })
    return { inverse, total }
  }
}
