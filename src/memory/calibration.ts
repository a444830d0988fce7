/** The probability that a recovered answer is right: online logistic regression, with an intercept for each label. */

import { wilson } from '../base/stats'
import type { Core } from '../core/core'
import { type Examples, type Fit, fitted, logOdds, logOddsAt, sigmoid, standardised } from './logistic'
import { finished, inSlices, perStep } from './steps'

/** The last recoveries, from which it learns: so it follows a stream that changes. */
export const WINDOW = 2000
/** With fewer recoveries there is no probability. */
const ENOUGH = 30
/** It is fitted again when this share of the recoveries is new. */
const RENEW = 1 / 16
/** A recovery's weight falls by a factor of e with every RECENT further ones: a growing memory gets better. */
const RECENT = 2000
/** Weight of the prior for queries unlike any other, as a share of the weight of all recoveries. */
const PRIOR_SHARE = 1 / 30

/**
 * A label's intercept is added to the log odds: its standard deviation between labels; the variance that it gains with each recovery of the label,
 * so that it follows changes within tens of answers; its largest value. Without intercepts 15 to 30 of 500 queries were confident and wrong after
 * 95 % of the queries had been of one class.
 */
const INTERCEPT = { deviation: 0.8, drift: 0.0127, most: 4 }
/**
 * A probability is bounded by the recoveries of at least the same odds, if there are this many: by the lower end of the 95 % interval of the share
 * that was right. A logistic fit extrapolates: of rankings with an average confidence of .95 (MNIST's first three), 86 % were right.
 */
const BOUNDED_BY = 100
/** Rounds of fitting weights and intercepts in turn; more changes nothing. */
const TURNS = 3

/** A recovery, and whether the model's own answer showed that it was right. */
export interface Graded {
  /** The inputs of the regression; always the same number. */
  signals: readonly number[]
  right: boolean
  /** The label of the answer, if it has one. */
  label?: number | undefined
  /** The worker whose answer graded it. */
  from?: string | undefined
}

/** The probability for these signals before any recovery was graded. */
export interface Prior {
  signals: readonly number[]
  probability: number
}

/** By label. */
type Intercepts = Map<number | undefined, { mean: number; variance: number }>

export class Calibration {
  readonly #core: Core
  readonly #prior: Prior | undefined
  readonly #late: number
  /** Oldest first. */
  #graded: Graded[]
  #fit: Fit | undefined
  /** Recoveries since the last fit. */
  #since = 0
  /** By the current fit: log odds, the highest first, and how many recoveries up to each were right. */
  #seen: { odds: number; right: number }[] = []
  readonly #isBounded: boolean
  /** By the current fit. */
  #intercepts: Intercepts = new Map()

  /**
   * @param late  if this share of further recoveries comes before `renew` has ended, it is fitted in one go @param isBounded  by the outcomes of
   * recoveries of at least the same odds
   */
  constructor(core: Core, graded: readonly Graded[] = [], prior?: Prior, late = 1, isBounded = false) {
    this.#isBounded = isBounded
    this.#core = core
    this.#prior = prior
    this.#late = late
    this.#graded = graded.slice(-WINDOW)
  }

  learn(graded: Graded): void {
    const odds = this.#odds(graded.signals)
    if (odds !== undefined) adapt(this.#intercepts, graded, odds)
    this.#graded.push(graded)
    if (this.#graded.length > WINDOW) this.#graded.shift()
    this.#since++
  }

  /** Removes what a worker's answers showed, as if they had never come. @returns the number of recoveries removed */
  forget(from: string): number {
    const left = this.#graded.filter((each) => each.from !== from)
    const gone = this.#graded.length - left.length
    this.#graded = left
    if (gone) this.#fit = undefined
    return gone
  }

  /** The recoveries that it learns from, the oldest first. It is fitted anew afterwards, so that a calibration made of them is equal. */
  save(): readonly Graded[] {
    this.#fit = undefined
    return this.#graded
  }

  /** The share of recoveries that were right, by Laplace's rule of succession: one half before the first. */
  get rate(): number {
    const right = this.#graded.reduce((sum, each) => sum + Number(each.right), 0)
    return (right + 1) / (this.#graded.length + 2)
  }

  /** Undefined before 30 recoveries. @param label  of the answer, if it has one */
  probability(signals: readonly number[], label?: number): number | undefined {
    const odds = this.#odds(signals)
    if (odds === undefined) return undefined
    const probability = sigmoid(odds + (this.#intercepts.get(label)?.mean ?? 0))
    return this.#isBounded ? Math.min(probability, this.#bound(odds)) : probability
  }

  #bound(odds: number): number {
    const surer = this.#seen.findIndex((each) => each.odds < odds)
    const count = Math.min(this.#seen.length, Math.max(BOUNDED_BY, surer < 0 ? this.#seen.length : surer))
    return wilson(this.#seen[count - 1].right, count)[0]
  }

  #see(fit: Fit, graded: readonly Graded[]): void {
    const all = graded.map(({ signals, right }) => ({ odds: logOdds(fit, signals), right: Number(right) }))
    all.sort((a, b) => b.odds - a.odds)
    for (let i = 1; i < all.length; i++) all[i].right += all[i - 1].right
    this.#seen = all
  }

  /** Log odds without the label's intercept. */
  #odds(signals: readonly number[]): number | undefined {
    if (this.#graded.length < ENOUGH) return undefined
    if (!this.#fit || this.#since > this.#late * RENEW * this.#graded.length) finished(this.renew())
    return logOdds(this.#fit as Fit, signals)
  }

  /** Fits weights and intercepts in turn, if that is due. In steps. */
  *renew(): Generator<void> {
    const graded = this.#graded.slice()
    if (graded.length < ENOUGH || (this.#fit && this.#since <= RENEW * graded.length)) return
    this.#since = 0
    const examples = examplesOf(graded, this.#prior)
    const turns = graded.some(({ label }) => label !== undefined) ? TURNS : 1
    const intercepts: Intercepts = new Map()
    let fit: Fit | undefined
    for (let turn = 0; turn < turns; turn++) {
      const last: Fit = yield* fitted(this.#core, examples, fit?.weights)
      fit = last
      intercepts.clear()
      // Without labels there are no intercepts.
      if (turns > 1)
        yield* inSlices(graded.length, perStep(64), (from, to) =>
          adaptAll(intercepts, graded, last, examples, from, to),
        )
    }
    this.#fit = fit
    this.#intercepts = intercepts
    if (this.#isBounded) this.#see(fit as Fit, graded)
    // Recoveries that came meanwhile.
    const later = this.#graded.slice(Math.max(0, this.#graded.length - this.#since))
    for (const each of later) adapt(intercepts, each, logOdds(fit as Fit, each.signals))
  }
}

/**
 * One step of an extended Kalman filter: an answer's outcome moves the intercept of its label. Intercepts do not decay towards 0: a label of nearly
 * all queries that is nearly always right would lose its own.
 *
 * @returns the intercept before
 */
function adapt(intercepts: Intercepts, { right, label }: Graded, odds: number): number {
  if (label === undefined) return 0
  const { mean, variance } = intercepts.get(label) ?? { mean: 0, variance: INTERCEPT.deviation ** 2 }
  const before = Math.min(INTERCEPT.deviation ** 2, variance + INTERCEPT.drift)
  const predicted = sigmoid(odds + mean)
  const after = 1 / (1 / before + predicted * (1 - predicted))
  const moved = mean + after * (Number(right) - predicted)
  intercepts.set(label, { mean: Math.max(-INTERCEPT.most, Math.min(INTERCEPT.most, moved)), variance: after })
  return mean
}

/**
 * Adapts to the recoveries `from` to `to` - 1 in order, and records the intercept before each, which the next round of fitting adds to its log
 * odds.
 */
function adaptAll(
  intercepts: Intercepts,
  graded: readonly Graded[],
  fit: Fit,
  { xs, offsets }: Examples,
  from: number,
  to: number,
): void {
  const n = fit.weights.length
  for (let i = from; i < to; i++) offsets[i] = adapt(intercepts, graded[i], logOddsAt(fit, xs, i * n))
}

/** One example for each recovery, and the prior as the last: it must differ from a signal that never varies. */
function examplesOf(graded: readonly Graded[], prior: Prior | undefined): Examples {
  const inputs = graded.map(({ signals }) => signals)
  const targets = graded.map(({ right }) => Number(right))
  const counts = weigh(graded)
  if (prior) {
    inputs.push(prior.signals)
    targets.push(prior.probability)
    counts.push(PRIOR_SHARE * counts.reduce((sum, count) => sum + count, 0))
  }
  return { ...standardised(inputs), targets, counts, offsets: new Float64Array(inputs.length) }
}

/** The weights of recoveries: older ones weigh less, and each label weighs at most as much as the average label, so that rare labels count. */
function weigh(graded: readonly Graded[]): number[] {
  const counts = graded.map((_, i) => Math.exp((i + 1 - graded.length) / RECENT))
  const sums = new Map<number | undefined, number>()
  for (const [i, { label }] of graded.entries()) sums.set(label, (sums.get(label) ?? 0) + counts[i])
  const average = counts.reduce((sum, count) => sum + count, 0) / sums.size
  return counts.map((count, i) => count * Math.min(1, average / (sums.get(graded[i].label) as number)))
}
