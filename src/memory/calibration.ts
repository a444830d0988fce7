/** The probability that a recovered answer is right, by online logistic regression with an intercept for each label. */

import { wilson } from '../base/stats'
import type { Core } from '../core/core'
import { type Examples, type Fit, fitted, logOdds, logOddsAt, sigmoid, standardised } from './logistic'
import { finished, inSlices, perStep } from './steps'

/** It learns from this many of the last recoveries, so that it follows a stream that changes. */
export const WINDOW = 2000
/** The least number of recoveries for a probability. */
const ENOUGH = 30
/** The regression is fitted again when this share of the recoveries is new. */
const RENEW = 1 / 16
/** A recovery's weight falls by a factor of e with every RECENT further recoveries, since a growing memory gets better. */
const RECENT = 2000
/** The weight of the prior, which stands for queries unlike any other, as a share of the weight of all recoveries. */
const PRIOR_SHARE = 1 / 30

/**
 * A label's intercept is added to the log odds. `deviation`: of intercepts between labels. `drift`: the variance that an intercept gains with each
 * recovery of its label, so that it follows changes within tens of answers. `most`: the largest intercept. Without intercepts, 15 to 30 of 500 queries
 * were confident and wrong after 95 % of the queries had been of one class.
 */
const INTERCEPT = { deviation: 0.8, drift: 0.0127, most: 4 }
/**
 * Of the recoveries with at least the same odds, but at least of this many, a share was right; the lower end of its 95 % interval bounds a probability.
 * Without that bound the logistic fit extrapolates: of rankings with a mean confidence of .95 (MNIST's first three labels), 86 % were right.
 */
const BOUNDED_BY = 100
/** Rounds of fitting weights and intercepts in turn; more rounds change nothing. */
const TURNS = 3

/** A recovery whose own answer has come. */
export interface Graded {
  /** The inputs of the regression. */
  signals: readonly number[]
  /** Whether the recovered answer was right. */
  right: boolean
  /** The label of the recovered answer, if it has one. */
  label?: number | undefined
  /** The identity of the worker whose answer graded it. */
  from?: string | undefined
}

/** A probability for some signals that holds before any recovery was graded. */
export interface Prior {
  signals: readonly number[]
  probability: number
}

/** By label; undefined for answers without one. */
type Intercepts = Map<number | undefined, { mean: number; variance: number }>

export class Calibration {
  readonly #core: Core
  readonly #prior: Prior | undefined
  readonly #late: number
  readonly #isBounded: boolean
  /** The oldest first. */
  #graded: Graded[]
  #fit: Fit | undefined
  /** Recoveries since the last fit. */
  #since = 0
  /** Recoveries by their log odds in the current fit, the highest first; `right` counts the right ones up to there. */
  #seen: { odds: number; right: number }[] = []
  #intercepts: Intercepts = new Map()

  /**
   * @param graded     of a saved state
   * @param late       how many times RENEW of the recoveries may be new before `probability` fits again by itself, without `renew`
   * @param isBounded  whether probabilities are bounded by the outcomes of recoveries with at least the same odds
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

  /** Removes the recoveries that a worker's answers graded. @returns how many they were */
  forget(from: string): number {
    const left = this.#graded.filter((each) => each.from !== from)
    const gone = this.#graded.length - left.length
    this.#graded = left
    if (gone) this.#fit = undefined
    return gone
  }

  /** The recoveries that it learns from, the oldest first. It is fitted anew afterwards, to equal a calibration that is made of them. */
  save(): readonly Graded[] {
    this.#fit = undefined
    return this.#graded
  }

  /** The probability that an answer is right; undefined before 30 recoveries. @param label  of the answer, if it has one */
  probability(signals: readonly number[], label?: number): number | undefined {
    const odds = this.#odds(signals)
    if (odds === undefined) return undefined
    const probability = sigmoid(odds + (this.#intercepts.get(label)?.mean ?? 0))
    return this.#isBounded ? Math.min(probability, this.#bound(odds)) : probability
  }

  /** The lower end of the share that was right among the recoveries with at least these odds. */
  #bound(odds: number): number {
    const surer = this.#seen.findIndex((each) => each.odds < odds)
    const count = Math.min(this.#seen.length, Math.max(BOUNDED_BY, surer < 0 ? this.#seen.length : surer))
    return wilson(this.#seen[count - 1].right, count)[0]
  }

  /** Sorts the recoveries by their odds. */
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

  /** Fits weights and intercepts, if that is due. In steps. */
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
    // Intercepts follow the recoveries that came between the steps.
    const later = this.#graded.slice(Math.max(0, this.#graded.length - this.#since))
    for (const each of later) adapt(intercepts, each, logOdds(fit as Fit, each.signals))
  }
}

/**
 * Moves the intercept of a recovery's label by its outcome: one step of an extended Kalman filter. Intercepts do not decay towards 0, since a label of
 * nearly all queries that is nearly always right would lose its intercept.
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

/** Adapts intercepts to the recoveries `from` to `to` - 1. The intercept before each recovery becomes its offset in the next round of fitting. */
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

/** One example for each recovery, and last the prior. */
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

/** The weights of recoveries. Older recoveries weigh less, and no label weighs more than the average label, so that rare labels count. */
function weigh(graded: readonly Graded[]): number[] {
  const counts = graded.map((_, i) => Math.exp((i + 1 - graded.length) / RECENT))
  const sums = new Map<number | undefined, number>()
  for (const [i, { label }] of graded.entries()) sums.set(label, (sums.get(label) ?? 0) + counts[i])
  const average = counts.reduce((sum, count) => sum + count, 0) / sums.size
  return counts.map((count, i) => count * Math.min(1, average / (sums.get(graded[i].label) as number)))
}
