/**
 * When a memory decides again how queries are compared. Metrics are chosen again whenever the pairs have doubled. Filters of images stay, unless the
 * latest images alone would do better: the first ones may have been test patterns (after 140 images of noise CIFAR's labels were 60 % right instead of 72).
 */

import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import { beginning, type Domain, grown, restudying } from './domain'
import { begin, collect, Known, type Pair } from './pairs'

/** A metric is chosen again when there are this many times as many pairs. */
const RESTUDY = 2
/** The loss of another metric must be smaller by this. */
const BETTER = 0.01
/** Whether to begin afresh is asked again after this many times as many queries. */
const AFRESH = 2
/** A memory that begins afresh has an error below this share of the answers' variance, or it knows nothing either. */
const KNOWING = 0.8
/** And its error is smaller than today's by this share of the variance: after noise it is smaller by .1 (Fashion) to .37 (CIFAR). */
const FRESHER = 0.05

export type RenewalSteps = Generator<void, Known | undefined>

export class Renewal {
  readonly #core: Core
  readonly #domain: Domain
  /** The number of pairs at which the metric is chosen again. */
  #restudyAt = Number.POSITIVE_INFINITY
  /** Images since the memory began, and the number of them after which the next BLOCK images are collected. */
  #seen = 0
  #collectAfter = 0
  /** The collected images, and the mean squared error of predicting them. */
  #latest: Pair[] = []
  #error = 0

  /** @param size  pairs in the memory */
  constructor(core: Core, domain: Domain, size: number) {
    this.#core = core
    this.#domain = domain
    this.plan(size)
  }

  /** Plans the next choice of a metric, if there is room for all queries under two metrics. */
  plan(size: number): void {
    const { capacity, sizes, bytes } = this.#domain
    const next = Math.min(RESTUDY * size, capacity)
    const fits = sizes.kind !== 'patches' && size < capacity && restudying(sizes, next) <= bytes
    this.#restudyAt = fits ? next : Number.POSITIVE_INFINITY
  }

  /**
   * To be called for every pair that comes to a memory that is ready.
   *
   * @param error  the squared error of its prediction, pooled over the outputs
   * @returns the steps of deciding again, if that is due; they return nothing if the memory should stay as it is
   */
  see(pair: Pair, error: number, known: Known): RenewalSteps | undefined {
    const { sizes, capacity, bytes } = this.#domain
    if (sizes.kind !== 'patches') return known.size >= this.#restudyAt ? this.restudy(known) : undefined
    const hasRoom = grown(sizes, Math.min(known.size + BLOCK, capacity)) + beginning(sizes) <= bytes
    if (++this.#seen <= this.#collectAfter || !hasRoom || !collect(this.#latest, pair)) return undefined
    this.#error += error / BLOCK
    return this.#latest.length === BLOCK ? this.#afresh() : undefined
  }

  /** All pairs under the best metric, if it is better than today's. */
  *restudy(known: Known): RenewalSteps {
    this.plan(known.size)
    const { similarity, places } = known
    const pairs = known.pairs(places)
    const choice = yield* similarity.reconsidered(places, pairs)
    if (!choice || choice.best.loss > choice.now.loss - BETTER) return undefined
    const again = yield* similarity.renewed(places, choice.best)
    return (yield* Known.fitted(this.#domain, again, pairs, yield* again.regressed(pairs))).known
  }

  /** The latest images alone, if each is predicted better from the others than it was by today's memory. */
  *#afresh(): RenewalSteps {
    const [latest, today] = [this.#latest, this.#error]
    this.clear()
    this.#collectAfter = AFRESH * this.#seen
    const { known, error } = yield* begin(this.#core, this.#domain, latest)
    const variance = known.pooled(known.variance)
    return error < KNOWING * variance && error < today - FRESHER * variance ? known : undefined
  }

  /** Drops the collected images. */
  clear(): void {
    this.#latest = []
    this.#error = 0
  }
}
