/** When a memory decides again how queries are compared: with twice as many pairs, and when queries have changed. */

import { balanced } from '../base/criterion'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import { beginning, type Domain, grown, restudying } from './domain'
import { leaveLaterOut } from './leave-one-out'
import { begin, collect, Known, type Pair } from './pairs'

/** The metric is chosen again with this many times as many pairs; by how much its loss must be smaller. */
const RESTUDY = 2
const BETTER = 0.01
/**
 * Whether to begin afresh is asked again after this many times as many queries. The error must be below a share of the
 * answers' variance, or nothing is known either; and below today's by another share: after 140 queries of noise it is
 * by .1 (Fashion), .13 (MNIST), .37 (CIFAR).
 */
const AFRESH = 2
const KNOWING = 0.8
const FRESHER = 0.05

/** The latest pairs of a memory, and when it reconsiders. */
export class Renewal {
  readonly #domain: Domain
  /** Pairs at which the metric is chosen again. */
  #restudyAt = Number.POSITIVE_INFINITY
  /** Queries seen since it began, and after how many of them the next ones are collected. */
  #seen = 0
  #collectAfter = 0
  #latest: Pair[] = []
  /** Mean squared error of predictions of the second half of the latest pairs, of all outputs as `Known.pooled`. */
  #error = 0

  /** @param size  pairs that are known */
  constructor(domain: Domain, size: number) {
    this.#domain = domain
    this.plan(size)
  }

  /** Plans when the metric is chosen again, if there is room to remember all queries anew beside the old ones. */
  plan(size: number): void {
    const { capacity, sizes, bytes } = this.#domain
    const next = Math.min(RESTUDY * size, capacity)
    const fits = size < capacity && restudying(sizes, next) <= bytes
    this.#restudyAt = fits ? next : Number.POSITIVE_INFINITY
  }

  isDue(size: number): boolean {
    return size >= this.#restudyAt
  }

  /** A query has come. @returns whether it is to be collected: there must be room for another beginning */
  see(size: number): boolean {
    const { capacity, sizes, bytes } = this.#domain
    if (++this.#seen <= this.#collectAfter) return false
    return grown(sizes, Math.min(size + BLOCK, capacity)) + beginning(sizes) <= bytes
  }

  /** Each query once. @param error  mean squared, of its prediction, of all outputs as one  @returns whether there are enough to begin with */
  collect(pair: Pair, error: number): boolean {
    if (!collect(this.#latest, pair)) return false
    const { length } = this.#latest
    if (length > BLOCK / 2) this.#error += error / (BLOCK / 2)
    return length === BLOCK
  }

  /**
   * Begins afresh with the latest pairs, if these alone would have predicted each other better as they came: the first
   * ones may have been test patterns. In steps. @returns undefined where they would not
   */
  *afresh(core: Core): Generator<void, Known | undefined> {
    const [latest, today] = [this.#latest, this.#error]
    this.clear()
    this.#collectAfter = AFRESH * this.#seen
    const tried = yield* begin(core, this.#domain, latest, BLOCK / 2) // those that it is judged by must not decide
    const first = yield* tried.regression.first(this.#domain.judged)
    const error = yield* leaveLaterOut({ ...first, answers: balanced(first) })
    const variance = tried.pooled(tried.variance)
    const isKnowing = error < KNOWING * variance
    if (!isKnowing || error > today - FRESHER * variance) return undefined
    return tried.similarity.points.mirrors ? tried : yield* begin(core, this.#domain, latest)
  }

  clear(): void {
    this.#latest = []
    this.#error = 0
  }

  /** Drops what came from a worker. */
  forget(from: string): void {
    this.#latest = this.#latest.filter((pair) => pair.from !== from)
  }
}

/** All pairs under the best metric; undefined where that is no better than today's. In steps. */
export function* renewed(domain: Domain, known: Known): Generator<void, Known | undefined> {
  const { similarity, places } = known
  const pairs = known.pairs(places)
  const choice = yield* similarity.reconsidered(places, pairs)
  if (!choice || choice.best.loss > choice.now.loss - BETTER) return undefined
  const again = yield* similarity.renewed(places, choice.best)
  return (yield* Known.fitted(domain, again, pairs, yield* again.regressed(pairs))).known
}
