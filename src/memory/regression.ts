/** Gaussian process regression on all remembered pairs, kept up to date in small steps. */

import { joined } from '../base/arrays'
import { type JudgedOutput, sampleOf } from '../base/criterion'
import * as saved from '../base/saved'
import type { Core } from '../core/core'
import { BLOCK, type KernelMatrix } from '../core/kernel-matrix'
import { fittedTo, leftOut, weightedMeans } from './leave-one-out'
import { PRODUCTS, paced, perStep } from './steps'
import type { Archive } from './unpack'

/** The kernel matrix holds similarities as 16-bit fractions of this. */
const FULL = 65535
/** The smallest variance of a prediction, relative to k(x, x): rounding hides smaller ones. */
export const LEAST_VARIANCE = 1e-4
/** The core solves for this many outputs at once; fewer take as long. */
const WIDTH = 12
/** Values of each output that are compared when pairs are left out. */
const SAMPLE = 128
/** With fewer pairs than this, all blocks are solved several times in a row: a small system is cheap, and changes most with every pair. */
const SEVERAL = 2000
/** With more outputs than this, all blocks are solved once: 14 sweeps of 137 pairs took 25 s with 100,000 outputs. */
const MANY = 4096

export interface Predicted {
  /** The caller owns it. */
  answer: Float32Array
  /** The posterior variance over k(x, x), the least that any one block leaves. 0: a remembered query; about 1: out of distribution. */
  variance: number
}

/** How far predictions are off. */
export interface Uncertainty {
  /** The squared error per value, of each output. */
  error: readonly number[]
  /** The posterior variance over k(x, x). */
  variance: number
}

/**
 * Solves (K + noise I) X = Y - mean by block Gauss-Seidel (Saad, Iterative Methods for Sparse Linear Systems, 2003, 4.1): each block of pairs is solved
 * exactly for what the coefficients of the other blocks leave over. One block takes BLOCK * size * outputs multiplications, in steps. At most one
 * block is solved for each new pair.
 */
export class KernelRegression {
  /** Y, by the places of pairs. Only this class writes to it. */
  readonly answers: Float32Array[] = []
  readonly #core: Core
  readonly #outputs: number
  readonly #noise: number
  /** K, the coefficients X ("shares"), and the inverses of the diagonal blocks of K + noise I. */
  readonly #matrix: KernelMatrix
  /** Of each inverted block, the sum of all entries of the inverse, and how many pairs the block had. */
  readonly #inverted = new Map<number, { total: number; pairs: number }>()
  /** Blocks that must be solved again, the next one first. */
  #due: number[] = []
  /** The remaining steps of the block that is being solved. */
  #solving: Generator<void> | undefined
  /** The mean of the first answers. */
  #mean: Float64Array | undefined
  /** The block whose pairs are being overwritten; predictions leave it out until it is full. -1: none. */
  #open = -1
  /** The last pair that was placed since `settle`. -1: none. */
  #written = -1

  /** @param noise  added to the kernel's diagonal */
  constructor(core: Core, outputs: number, noise: number) {
    this.#core = core
    this.#outputs = outputs
    this.#noise = noise
    this.#matrix = core.kernelMatrix(outputs)
  }

  /** Reads `size` pairs. @throws RangeError for arrays that `save` never gave */
  static load(core: Core, outputs: number, noise: number, archive: Archive, size: number): KernelRegression {
    const regression = new KernelRegression(core, outputs, noise)
    const kernel = archive.take('kernel', 'u2', (size * (size + 1)) / 2)
    const answers = archive.take('answers', 'f4', size * outputs)
    const coefficients = archive.take('shares', 'f4', size * outputs)
    regression.#mean = archive.take('mean', 'f8', outputs)
    for (let i = 0, at = 0; i < size; i++) {
      regression.#matrix.set(i, kernel.subarray(at, at + i + 1))
      at += i + 1
      regression.answers.push(answers.slice(i * outputs, (i + 1) * outputs))
      regression.#matrix.shares(i).set(coefficients.subarray(i * outputs, (i + 1) * outputs))
    }
    const [open, written, known] = archive.take('pending', 'f8', 3)
    const blocks = Math.ceil(size / BLOCK)
    regression.#open = saved.integer('pending[0]', open, -1, blocks - 1)
    regression.#written = saved.integer('pending[1]', written, -1, size - 1)
    saved.integer('pending[2]', known, 0, size - BLOCK * (blocks - 1))
    // All blocks are inverted now, or the first lookup would have to do it.
    for (let block = 0; block < blocks; block++) {
      const pairs = block < blocks - 1 ? BLOCK : known
      try {
        if (pairs) regression.#invert(block, pairs)
      } catch {
        throw saved.refused('kernel', 'positive definite blocks', `another in block ${block}`)
      }
    }
    return regression
  }

  get size(): number {
    return this.answers.length
  }

  /** Whether a pair has these similarities to the pairs before it and to itself, up to rounding. */
  agrees(index: number, similarities: ArrayLike<number>): boolean {
    return this.#matrix.get(index).every((value, j) => Math.abs(value - FULL * similarities[j]) <= 2)
  }

  /**
   * Sets the pair at `index`, which is at most `size`. Predictions ignore it until `settle`. If it overwrites a pair, they ignore the whole block until
   * then, since the block's other pairs are overwritten next.
   *
   * @param similarities  k(x, x') to all pairs, 0..1; the entry at `index` is not read
   * @param kxx           k(x, x)
   * @param answer        kept without a copy: the caller must not change it
   */
  place(index: number, similarities: ArrayLike<number>, kxx: number, answer: Float32Array): void {
    const block = Math.floor(index / BLOCK)
    const isAdded = index === this.size
    if (!isAdded && block !== this.#open) this.#reopen(block)
    const row = new Uint16Array(Math.max(this.size, index + 1))
    for (let j = 0; j < this.size; j++) row[j] = Math.round(FULL * similarities[j])
    row[index] = Math.round(FULL * kxx)
    this.#matrix.set(index, row)
    this.answers[index] = answer
    this.#written = index
    if (!isAdded) this.#inverted.delete(block) // the inverse of a block that only grows is still that of its first pairs
  }

  /** Sets the coefficients of a block to 0; all blocks must be solved again to make up for it. */
  #reopen(block: number): void {
    this.#open = block
    const [from, to] = this.#range(block)
    if (from >= to) return
    for (let i = from; i < to; i++) this.#matrix.shares(i).fill(0)
    this.#plan(block)
  }

  /** All blocks must be solved again: first `first`, then the older ones, last the newer ones. */
  #plan(first: number): void {
    const blocks = Math.ceil(this.size / BLOCK)
    const order = Array.from({ length: blocks }, (_, i) => (first - i + blocks) % blocks)
    const sweeps = blocks === 1 || this.#outputs > MANY ? 1 : Math.max(1, Math.floor(SEVERAL / this.size))
    this.#due = Array.from({ length: sweeps }, () => order).flat()
  }

  /** Begins to solve the next block; `work` does it. To be called after every `place`. @returns false if no block was due */
  advance(): boolean {
    const block = this.#due.shift()
    if (block !== undefined && block !== this.#open) this.#solving = this.#relax(block)
    return block !== undefined
  }

  /** Does a step of what `advance` began. @returns whether more steps remain */
  work(): boolean {
    if (this.#solving?.next().done) this.#solving = undefined
    return this.#solving !== undefined
  }

  /** From now on predictions use the placed pairs. To be called when an overwritten block is full. */
  settle(): void {
    this.#plan(Math.floor(Math.max(0, this.#written) / BLOCK))
    this.#open = -1
    this.#written = -1
  }

  /** A regression on the pairs at these places alone, in this order. In steps. */
  *only(places: readonly number[]): Generator<void, KernelRegression> {
    const made = new KernelRegression(this.#core, this.#outputs, this.#noise)
    yield* paced(places.length, perStep(Math.max(4 * this.size, this.#outputs)), (i) => {
      const row = this.#matrix.get(places[i], this.size)
      const similarities = Float64Array.from({ length: i }, (_, j) => row[places[j]] / FULL)
      made.place(i, similarities, row[places[i]] / FULL, this.answers[places[i]])
    })
    yield* made.begin()
    return made
  }

  /** Solves for the first pairs; before, nothing can be predicted. In steps. */
  *begin(): Generator<void> {
    this.settle()
    this.#mean = weightedMeans(this.answers, new Float64Array(this.size).fill(1 / this.size))
    while (this.advance()) while (this.work()) yield
  }

  /** Solves for all pairs, the last ones included. */
  finish(): void {
    while (this.work()) {}
    if (this.#written >= 0) this.settle()
    while (this.advance()) while (this.work()) {}
  }

  /** Solves one block for what the other blocks leave over. A step takes some outputs, and some of the block's pairs. */
  *#relax(block: number): Generator<void> {
    const count = Math.min(BLOCK, this.size - block * BLOCK)
    if (this.#inverted.get(block)?.pairs !== count) this.#invert(block, count)
    const perPair = WIDTH * this.size
    const width = WIDTH * Math.max(1, Math.floor(PRODUCTS / (BLOCK * perPair)))
    const pairs = Math.min(BLOCK, 2 * Math.max(1, Math.floor(PRODUCTS / (2 * perPair))))
    for (let first = 0; first < this.#outputs; first += width) {
      const outputs = [first, Math.min(first + width, this.#outputs)]
      const rest = new Float32Array(BLOCK * (outputs[1] - first))
      for (let from = 0; from < count; from += pairs) {
        yield
        this.#leftOver(rest, block, [from, Math.min(from + pairs, count + (count % 2))], outputs)
      }
      this.#matrix.relax(block, rest, outputs)
    }
  }

  /** Writes into `rest`, for pairs from .. to - 1 of a block and some outputs, the answers minus what all coefficients explain. */
  #leftOver(rest: Float32Array, block: number, [from, to]: number[], [first, last]: number[]): void {
    const mean = this.#mean as Float64Array
    const predicted = this.#matrix.predict(block, [from, to], [first, last])
    for (let i = from, at = 0; i < to && block * BLOCK + i < this.size; i++) {
      const answer = this.answers[block * BLOCK + i]
      const own = this.#matrix.shares(block * BLOCK + i, [first, last])
      for (let c = first; c < last; c++, at++) {
        rest[i * (last - first) + c - first] = answer[c] - mean[c] - predicted[at] / FULL - this.#noise * own[c - first]
      }
    }
  }

  /** Inverts the block, or its first pairs; about a millisecond. */
  #invert(block: number, pairs: number): { inverse: Float64Array; total: number } {
    const inverse = this.#matrix.invert(block, pairs, this.#noise)
    const total = inverse.reduce((a, b) => a + b, 0)
    this.#inverted.set(block, { total, pairs })
    return { inverse, total }
  }

  /**
   * @param similarities  of the query to all pairs, 0..1
   * @param kxx           k(x, x) of the query
   */
  predict(similarities: Float32Array, kxx: number): Predicted {
    const mean = this.#mean as Float64Array
    const answer = this.#matrix.combine(similarities, [0, this.#outputs])
    for (let c = 0; c < answer.length; c++) answer[c] += mean[c]
    let variance = kxx
    for (let block = 0; block * BLOCK < this.size; block++) {
      if (block === this.#open) continue
      const [from, to] = this.#range(block)
      const { total } = this.#inverted.get(block) ?? this.#invert(block, to - from)
      const { square, ones } = this.#matrix.quadratic(block, similarities)
      const explained = square - (1 - ones) ** 2 / total // the variance of ordinary kriging
      variance = Math.min(variance, kxx - explained)
    }
    return { answer, variance: Math.max(variance / kxx, LEAST_VARIANCE) }
  }

  /** Leave-one-out errors of the first block's pairs, over at most SAMPLE values of each output. In steps. */
  *leaveOneOut(judged: readonly JudgedOutput[]): Generator<void, Uncertainty> {
    const { inverse } = this.#invert(0, this.#range(0)[1])
    const { answers, spans } = sampleOf(this.answers.slice(0, BLOCK), judged, SAMPLE)
    const n = answers.length
    const own = this.#matrix.own(0)
    const residuals: Float64Array[] = []
    let variance = 0
    yield* leftOut(fittedTo(answers, inverse), (i, left) => {
      residuals.push(left.residual)
      variance += (left.variance - this.#noise) / (own[i] / FULL)
    })
    const error = spans.map(({ from, size }) => {
      let sum = 0
      for (let c = from; c < from + size; c++) for (let i = 0; i < n; i++) sum += residuals[i][c] ** 2 / (n * size)
      return sum
    })
    return { error, variance: variance / n }
  }

  /** Arrays by name, for `load`. The next due block is solved first; `finish` would solve all of them. */
  save(): Record<string, Float32Array | Float64Array | Uint16Array> {
    while (this.work()) {}
    this.advance()
    while (this.work()) {}
    const inverted = this.#inverted.get(Math.floor((this.size - 1) / BLOCK))?.pairs ?? 0
    const rows = this.answers.map((_, i) => this.#matrix.get(i))
    const coefficients = this.answers.map((_, i) => this.#matrix.shares(i))
    return {
      kernel: joined(rows, Uint16Array),
      answers: joined(this.answers, Float32Array),
      shares: joined(coefficients, Float32Array),
      mean: this.#mean?.slice() ?? new Float64Array(this.#outputs),
      pending: Float64Array.of(this.#open, this.#written, inverted),
    }
  }

  /** The places from .. to - 1 of a block's pairs. */
  #range(block: number): [from: number, to: number] {
    return [block * BLOCK, Math.min((block + 1) * BLOCK, this.size)]
  }
}
