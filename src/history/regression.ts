/** Kernel regression over all that is remembered, kept up to date in small steps: a Gaussian process on line. */

import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/rows'
import * as saved from '../saved'
import type { Archive } from './archive'

/** Pairs that are solved for together. */
export const BLOCK = 128
/** Similarities are kept in 16 bits each, the lower triangle only. */
const FULL = 65535
/** Pairs up to which new blocks get several sweeps instead of one: a small system is cheap and lags most. */
const SEVERAL = 2000
const LEAST_VARIANCE = 1e-4
/** Similarities read, and multiplications, in one step of solving: each takes one or two milliseconds. */
const READS = 2 ** 18
const PRODUCTS = 2 ** 21
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
  /** Row i: similarities to 0 .. i. */
  readonly #kernel: Uint16Array[] = []
  readonly #answers: Float32Array[] = []
  /** X: what every pair adds to a prediction, per similarity. */
  readonly #shares: Float32Array[] = []
  /** Of the first block. */
  #mean: Float64Array | undefined
  /** Inverse of a block of K + noise I, the sum over it, and pairs in it when that was computed. */
  readonly #inverses = new Map<number, { inverse: Float64Array; total: number; n: number }>()
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
      regression.#kernel.push(kernel.slice(at, at + i + 1))
      at += i + 1
      regression.#answers.push(answers.slice(i * outputs, (i + 1) * outputs))
      regression.#shares.push(shares.slice(i * outputs, (i + 1) * outputs))
    }
    regression.#loadPending(archive.take('pending', 'f8', 3))
    return regression
  }

  /** What counts yet and what does not; and whether all blocks can be solved: the first prediction needs the inverses anyway. */
  #loadPending([open, written, known]: Float64Array): void {
    const blocks = Math.ceil(this.size / BLOCK)
    this.#open = saved.integer('pending[0]', open, -1, blocks - 1)
    this.#written = saved.integer('pending[1]', written, -1, this.size - 1)
    const last = Math.min(BLOCK, this.size - BLOCK * (blocks - 1))
    saved.integer('pending[2]', known, 0, last)
    for (let block = 0; block < blocks; block++) {
      const n = block < blocks - 1 ? BLOCK : known
      try {
        if (n) this.#inverse(block, n)
      } catch {
        throw saved.refused('kernel', 'positive definite blocks', `another in block ${block}`)
      }
    }
  }

  /**
   * Bytes that a pair takes, of `capacity`: a row of the kernel, on average half as long as the last, answer and shares;
   * of its block's inverse a row, and of the block that is being relaxed a column, here and in the core.
   */
  static bytes(outputs: number, capacity: number): number {
    return capacity + 8 * outputs + 3 * ARRAY_BYTES + 8 * BLOCK + 2 * 4 * BLOCK
  }

  get size(): number {
    return this.#answers.length
  }

  /** Read-only. */
  answerOf(index: number): Float32Array {
    return this.#answers[index]
  }

  /** Whether these are the pair's similarities to all pairs, itself included, but for rounding. */
  agrees(index: number, similarities: ArrayLike<number>): boolean {
    for (let j = 0; j < this.size; j++) {
      if (!(Math.abs(this.#at(index, j) - similarities[j]) <= 2 / FULL)) return false
    }
    return true
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
    this.#kernel[index] ??= new Uint16Array(index + 1)
    for (let j = 0; j < this.size; j++) {
      const value = Math.round(FULL * similarities[j])
      if (j < index) this.#kernel[index][j] = value
      else if (j > index) this.#kernel[j][index] = value
    }
    this.#kernel[index][index] = Math.round(FULL * self)
    this.#answers[index] = answer.slice()
    this.#shares[index] = new Float32Array(this.#outputs)
    this.#written = index
    if (!added) this.#inverses.delete(block) // else the one without it says what it did
  }

  /** The other blocks take over what this one said. */
  #reopen(block: number): void {
    this.#open = block
    const old = this.#shares.slice(block * BLOCK, (block + 1) * BLOCK)
    for (const share of old) share.fill(0)
    if (old.length) this.#sweep(block)
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

  /** Solves one block for what the others leave over, a few rows and then a few outputs at a time. */
  *#relax(block: number): Generator<void> {
    const { size } = this
    const [from, to] = [block * BLOCK, Math.min((block + 1) * BLOCK, size)]
    const weights = new Float32Array((to - from) * size)
    const rows = Math.ceil(READS / size)
    for (let i = from; i < to; i++) {
      for (let j = 0; j < size; j++) weights[(i - from) * size + j] = this.#at(i, j)
      if ((i - from) % rows === rows - 1) yield
    }
    const inverse = new Float32Array(this.#inverse(block).inverse)
    const width = Math.max(1, Math.floor(PRODUCTS / weights.length))
    for (let first = 0; first < this.#outputs; first += width) {
      yield
      this.#relaxOutputs(from, weights, inverse, first, Math.min(first + width, this.#outputs))
    }
  }

  /** The same for outputs first .. last - 1, which do not depend on the others. */
  #relaxOutputs(from: number, weights: Float32Array, inverse: Float32Array, first: number, last: number): void {
    const mean = this.#mean as Float64Array
    const part = (row: Float32Array) => row.subarray(first, last)
    const rest = this.#core.combine(weights, this.#shares.map(part)).map((predicted, i) => {
      const [answer, share] = [this.#answers[from + i], this.#shares[from + i]]
      return predicted.map((value, c) => {
        const at = first + c
        return answer[at] - mean[at] - value - this.#noise * share[at]
      })
    })
    this.#core.combine(inverse, rest).forEach((step, i) => {
      const share = this.#shares[from + i]
      for (let c = 0; c < step.length; c++) share[first + c] += step[c]
    })
  }

  /**
   * @param similarities  of the query to all pairs, 0..1
   * @param self          to itself
   */
  predict(similarities: Float32Array, self: number): Predicted {
    const mean = this.#mean as Float64Array
    const [shares] = this.#core.combine(similarities, this.#shares)
    let variance = self
    for (let block = 0; block * BLOCK < this.size; block++) {
      if (block === this.#open) continue
      const kept = this.#inverses.get(block) ?? this.#inverse(block)
      const part = similarities.subarray(block * BLOCK, block * BLOCK + kept.n)
      variance = Math.min(variance, self - explained(kept, part))
    }
    const answer = shares.map((value, c) => value + mean[c])
    return { answer, variance: Math.max(variance / self, LEAST_VARIANCE) }
  }

  /**
   * The first block's pairs left out one by one, each predicted from the others: squared error per output, over at most
   * 128 outputs evenly spread, and variance, means of both. In steps.
   */
  *leaveOneOut(): Generator<void, { error: number; variance: number }> {
    const { inverse, total } = this.#inverse(0)
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
    const variances = precisions.map((precision, i) => (1 / precision - this.#noise) / this.#at(i, i))
    return { error, variance: variances.reduce((sum, variance) => sum + variance, 0) / n }
  }

  /** Arrays by name, for `load`. The block that is due first is solved before; who waits for the others may do without. */
  save(): Record<string, Float32Array | Float64Array | Uint16Array> {
    while (this.work()) {}
    this.advance()
    while (this.work()) {}
    const last = Math.floor((this.size - 1) / BLOCK)
    return {
      kernel: joined(this.#kernel, Uint16Array),
      answers: joined(this.#answers, Float32Array),
      shares: joined(this.#shares, Float32Array),
      mean: this.#mean?.slice() ?? new Float64Array(this.#outputs),
      pending: Float64Array.of(this.#open, this.#written, this.#inverses.get(last)?.n ?? 0),
    }
  }

  #pairsIn(block: number): number {
    return Math.min(BLOCK, this.size - block * BLOCK)
  }

  #at(i: number, j: number): number {
    return (j <= i ? this.#kernel[i][j] : this.#kernel[j][i]) / FULL
  }

  #inverse(block: number, n = this.#pairsIn(block)): { inverse: Float64Array; total: number; n: number } {
    let kept = this.#inverses.get(block)
    const from = block * BLOCK
    if (kept?.n !== n) {
      const matrix = new Float64Array(n * n)
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) matrix[i * n + j] = this.#at(from + i, from + j) + (i === j ? this.#noise : 0)
      }
      const inverse = this.#core.inverse(matrix)
      kept = { inverse, total: inverse.reduce((a, b) => a + b, 0), n }
      this.#inverses.set(block, kept)
    }
    return kept
  }
}

/** What one block takes off a query's variance, as in ordinary kriging. */
function explained({ inverse, total }: { inverse: Float64Array; total: number }, k: Float32Array): number {
  const n = k.length
  let [square, ones] = [0, 0]
  for (let i = 0; i < n; i++) {
    let row = 0
    for (let j = 0; j < n; j++) row += inverse[i * n + j] * k[j]
    square += k[i] * row
    ones += row
  }
  return square - (1 - ones) ** 2 / total
}

function joined<T extends Float32Array | Uint16Array>(rows: readonly T[], Kind: new (length: number) => T): T {
  const all = new Kind(rows.reduce((sum, row) => sum + row.length, 0))
  let at = 0
  for (const row of rows) {
    all.set(row, at)
    at += row.length
  }
  return all
}
