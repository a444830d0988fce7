/**
 * Earlier queries and the model's own answers to them: what a lost answer can be recovered from without any
 * redundancy. Bounded, serialisable, without a clock.
 */

import type { Core } from '../core/core'
import type { Table } from '../core/rows'
import { checkInteger, expected } from '../errors'

export interface MemoryOptions {
  /** Values in a query. */
  inputs: number
  /** Values in an answer. */
  outputs: number
  /** What it may hold, queries and answers together. Default 64 MiB. */
  bytes?: number
  /** How many neighbours `near` gives. Default 64. */
  neighbours?: number
  /** How queries are compared; called with a query, which it must not change. Default: as they are. */
  features?: (query: Float32Array) => Float32Array
}

/** Pairs below which neighbours are strangers. */
const ENOUGH = 16

/** A query nearer to a remembered one than this share of the mean squared distance is a duplicate. */
const DUPLICATE = 1e-4

export class Memory {
  /** Pairs it has room for. */
  readonly capacity: number
  readonly features: (query: Float32Array) => Float32Array
  readonly #options: MemoryOptions
  readonly #table: Table
  readonly #answers: Float32Array[] = []
  readonly #neighbours: number
  /** Where the next pair goes: when full, over the oldest. */
  #next = 0
  /** Mean squared distance between what came in and what was there. */
  #spread = 0

  /** @throws RangeError for sizes out of range */
  constructor(core: Core, options: MemoryOptions) {
    const inputs = checkInteger('inputs', options.inputs, 1)
    const outputs = checkInteger('outputs', options.outputs, 1)
    const bytes = checkInteger('bytes', options.bytes ?? 64 * 2 ** 20, 1)
    this.#neighbours = checkInteger('neighbours', options.neighbours ?? 64, 1)
    this.features = options.features ?? ((query) => query)
    const width = this.features(new Float32Array(inputs)).length
    this.capacity = checkInteger('bytes', Math.floor(bytes / (4 * (width + outputs))), 1)
    this.#options = { ...options, inputs, outputs }
    this.#table = core.table(width, this.capacity)
  }

  /** Whether it holds enough for the nearest to be near. */
  get ready(): boolean {
    return this.size >= Math.min(ENOUGH, this.capacity)
  }

  /** Pairs it holds. */
  get size(): number {
    return this.#answers.length
  }

  /**
   * Keeps a query and its answer, unless one much like it is there already. Only the model's own answers may
   * come in, never recovered ones or lies.
   *
   * @returns whether it was kept
   */
  remember(query: Float32Array, answer: Float32Array): boolean {
    const { inputs, outputs } = this.#options
    if (query.length !== inputs) throw new RangeError(expected('query', `${inputs} values`, query.length))
    if (answer.length !== outputs) throw new RangeError(expected('answer', `${outputs} values`, answer.length))
    const features = this.features(query)
    if (this.size) {
      const distances = this.#table.distances(features, this.size)
      const mean = distances.reduce((sum, d) => sum + d, 0) / this.size
      this.#spread = this.#spread ? 0.99 * this.#spread + 0.01 * mean : mean
      if (distances.some((d) => d <= DUPLICATE * this.#spread)) return false
    }
    this.#table.set(this.#next, features)
    this.#answers[this.#next] = answer.slice()
    this.#next = (this.#next + 1) % this.capacity
    return true
  }

  /** The remembered queries nearest to these features, nearest first; one pass over the memory. */
  near(features: Float32Array): { features: Float32Array; answer: Float32Array }[] {
    const distances = this.#table.distances(features, this.size)
    return nearest(distances, this.#neighbours).map((i) => ({
      features: this.#table.get(i),
      answer: this.#answers[i],
    }))
  }
}

/** Indices of the `count` smallest values, ascending. */
function nearest(values: Float32Array, count: number): number[] {
  const best: number[] = []
  let worst = Number.POSITIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    if (best.length === count && values[i] >= worst) continue
    let at = best.length
    while (at > 0 && values[best[at - 1]] > values[i]) at--
    best.splice(at, 0, i)
    if (best.length > count) best.pop()
    worst = values[best[best.length - 1]]
  }
  return best
}
