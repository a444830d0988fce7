/** A Gaussian process regression on all that is remembered, kept up to date in small steps. */

import { joined } from '../base/arrays'
import { type AnswerSample, type JudgedOutput, sampleOf } from '../base/criterion'
import * as saved from '../base/saved'
import type { Core } from '../core/core'
import { BLOCK, type KernelMatrix } from '../core/kernel-matrix'
import { solvedAtOnce } from './at-once'
import { Inverses } from './inverses'
import { type Fitted, fittedTo, leftOut, meansOf } from './leave-one-out'
import { finished, PRODUCTS, paced, perStep } from './steps'
import { Sweep } from './sweep'
import type { Archive } from './unpack'

/** Similarities are kept in 16 bits each. */
const FULL = 65535
/** Rounding leaves no smaller variance of a prediction. */
export const LEAST_VARIANCE = 1e-4
/** Outputs that are solved for at a time; fewer cost as much. */
const WIDTH = 12
/** Outputs that pairs are left out for. */
const SAMPLE = 128

export interface Predicted {
  /** The caller's. */
  answer: Float32Array
  /** Relative to k(x, x), the least that one block alone leaves. 0: known; about 1: out of distribution. */
  variance: number
}

/** Of predictions: of each output the squared error per value, and variance relative to k(x, x). */
export interface Uncertainty {
  error: readonly number[]
  variance: number
}

/**
 * (K + noise I) X = Y - mean, solved by block Gauss-Seidel: one block after the other is solved exactly for what the others leave over (Saad, Iterative
 * Methods for Sparse Linear Systems, 2003, 4.1). That costs BLOCK * size * outputs multiplications, in steps, and there is at most one block for every
 * pair that comes: the whole is never solved again, but where outputs are many and pairs few.
 */
export class KernelRegression {
  /** Read-only for others. */
  readonly answers: Float32Array[] = []
  readonly #core: Core
  readonly #outputs: number
  readonly #noise: number
  /** Similarities, which are k(x, x') of each two pairs, and X, the dual coefficients. */
  readonly #matrix: KernelMatrix
  /** Of the blocks of K + noise I. */
  readonly #inverses: Inverses
  readonly #sweep = new Sweep((part) => (part === 'all' ? this.#solveAll() : this.#relax(part)))
  /** Of the first block's answers. */
  #mean: Float64Array | undefined
  /** The block that is being written over; it counts for nothing until it is full. */
  #open = -1
  /** The last pair that was written since all was settled. */
  #written = -1

  /** @param noise  on the kernel's diagonal: answers differ where features do not tell queries apart */
  constructor(core: Core, outputs: number, noise: number) {
    this.#core = core
    this.#outputs = outputs
    this.#noise = noise
    this.#matrix = core.kernelMatrix(outputs)
    this.#inverses = new Inverses(this.#matrix, noise)
  }

  /** What was saved of so many pairs. @throws RangeError for what `save` never gave */
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
    // The inverses as well, or the first lookup would wait for all of them.
    for (let block = 0; block < blocks; block++) {
      const pairs = block < blocks - 1 ? BLOCK : known
      try {
        if (pairs) finished(regression.#inverses.invert(block, pairs))
      } catch {
        throw saved.refused('kernel', 'positive definite blocks', `another in block ${block}`)
      }
    }
    return regression
  }

  get size(): number {
    return this.answers.length
  }

  /** Whether these are the pair's similarities to the pairs before it and to itself, but for rounding. */
  agrees(index: number, similarities: ArrayLike<number>): boolean {
    return this.#matrix.get(index).every((value, j) => Math.abs(value - FULL * similarities[j]) <= 2)
  }

  /**
   * Sets pair `index` (at most `size`). It counts for nothing until `settle`; where it is written over another one, nor
   * do the others of that block, which will be written over next.
   *
   * @param similarities  to all pairs there are, 0..1; the one to `index` is not read
   * @param kxx           k(x, x)
   * @param answer        kept as it is: nobody may change it from here on
   */
  place(index: number, similarities: ArrayLike<number>, kxx: number, answer: Float32Array): void {
    const block = Math.floor(index / BLOCK)
    const added = index === this.size
    if (!added && block !== this.#open) this.#reopen(block)
    const row = new Uint16Array(Math.max(this.size, index + 1))
    for (let j = 0; j < this.size; j++) row[j] = Math.round(FULL * similarities[j])
    row[index] = Math.round(FULL * kxx)
    this.#matrix.set(index, row)
    this.answers[index] = answer
    this.#written = index
    if (!added) this.#inverses.drop(block) // else the inverse without it still holds
  }

  /** The coefficients of a block become 0, and the other blocks are due, to make up for it. */
  #reopen(block: number): void {
    this.#open = block
    const [from, to] = this.#range(block)
    if (from >= to) return
    for (let i = from; i < to; i++) this.#matrix.shares(i).fill(0)
    this.#sweep.plan(block, this.size, this.#outputs)
  }

  /** To be called after every `place` when the first block is settled: solves a bit further, with `work`. */
  advance(): void {
    this.#sweep.begin(this.#open)
  }

  /** Does a step of what `advance` began. @returns whether there is more of it */
  work(): boolean {
    return this.#sweep.work()
  }

  /** What was written counts from here on: all blocks are due. To be called when one that is written over is full. */
  settle(): void {
    this.#sweep.plan(Math.floor(Math.max(0, this.#written) / BLOCK), this.size, this.#outputs)
    this.#open = -1
    this.#written = -1
  }

  /** The pairs at some places alone, in this order, in steps: similar as they were, and solved anew. */
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

  /** Settles the first pairs, in steps: then there is something to predict from. */
  *begin(): Generator<void> {
    this.settle()
    const sums = new Float64Array(this.size).fill(1) // all weigh the same
    this.#mean = yield* meansOf({ answers: this.answers, sums, total: this.size })
    while (this.#sweep.begin(this.#open)) while (this.work()) yield
  }

  /** Settles what was written last, and solves all that is due. */
  finish(): void {
    while (this.work()) {}
    if (this.#written >= 0) this.settle()
    while (this.#sweep.begin(this.#open)) while (this.work()) {}
  }

  /** All pairs but those of the open block. */
  #solveAll(): Generator<void> {
    const places = [...this.answers.keys()].filter((place) => Math.floor(place / BLOCK) !== this.#open)
    return solvedAtOnce(this.#core, this.#matrix, this.#noise, places, this.answers, this.#mean as Float64Array)
  }

  /** Solves one block for what the others leave over, a few outputs and of them a few pairs at a time. */
  *#relax(block: number): Generator<void> {
    const count = Math.min(BLOCK, this.size - block * BLOCK)
    if (this.#inverses.of(block)?.pairs !== count) yield* this.#inverses.invert(block, count)
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

  /** What all coefficients leave over of the answers of pairs from .. to - 1 of a block; into their rows of `rest`. */
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
      const { total } = this.#inverses.of(block) ?? finished(this.#inverses.invert(block, to - from))
      const { square, ones } = this.#matrix.quadratic(block, similarities)
      const explained = square - (1 - ones) ** 2 / total // as in ordinary kriging
      variance = Math.min(variance, kxx - explained)
    }
    return { answer, variance: Math.max(variance / kxx, LEAST_VARIANCE) }
  }

  /** The first pairs; of each output at most 128 values, evenly spread, which show the error of all. In steps. */
  *first(judged: readonly JudgedOutput[]): Generator<void, Fitted & AnswerSample> {
    const { inverse, total } = yield* this.#inverses.invert(0, this.#range(0)[1])
    const sample = sampleOf(this.answers.slice(0, BLOCK), judged, SAMPLE)
    return { ...fittedTo(sample.answers, inverse), total, spans: sample.spans }
  }

  /** Means over the first pairs, each predicted from all the others. In steps. */
  *leaveOneOut(judged: readonly JudgedOutput[]): Generator<void, Uncertainty> {
    const first = yield* this.first(judged)
    const n = first.answers.length
    const own = this.#matrix.own(0)
    const residuals: Float64Array[] = []
    let variance = 0
    yield* leftOut(first, (i, left) => {
      residuals.push(left.residual)
      variance += (left.variance - this.#noise) / (own[i] / FULL)
    })
    const error = first.spans.map(({ from, size }) => {
      let sum = 0
      for (let c = from; c < from + size; c++) for (let i = 0; i < n; i++) sum += residuals[i][c] ** 2 / (n * size)
      return sum
    })
    return { error, variance: variance / n }
  }

  /** Arrays by name, for `load`. The block that is due first is solved before; all of them after `finish`. */
  save(): Record<string, Float32Array | Float64Array | Uint16Array> {
    while (this.work()) {}
    this.advance()
    while (this.work()) {}
    const inverted = this.#inverses.of(Math.floor((this.size - 1) / BLOCK))?.pairs ?? 0
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

  /** The pairs of a block: from .. to - 1. */
  #range(block: number): [from: number, to: number] {
    return [block * BLOCK, Math.min((block + 1) * BLOCK, this.size)]
  }
}
