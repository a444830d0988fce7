/** The probability that a recovered answer is right: logistic regression on line, with an intercept for each label. */

import { wilson } from '../base/stats'
import type { Core } from '../core/core'
import { type Examples, type Fit, fitted, logOdds, logOddsAt, sigmoid, standardised } from './logistic'
import { finished, inSlices, perStep } from './steps'

/** Recoveries that are kept; older ones are dropped, so that it follows a stream that changes. */
export const WINDOW = 2000
/** Fewer give no probability. */
const ENOUGH = 30
/** Fitted anew when this share of them is new. */
const RENEW = 1 / 16
/** After RECENT further recoveries one counts for less by a factor of e: a memory that grows gets better. */
const RECENT = 2000
/** Weight of the prior for inputs out of distribution, as a share of that of all recoveries. */
const PRIOR_SHARE = 1 / 30

/**
 * A label's intercept, added to the log odds of all: its standard deviation among labels; the variance that it gains
 * with each recovery of that label, so that it follows a stream that changes within tens of answers; and its largest
 * value. Without intercepts, of 500 queries after 95 % of one class, 15 to 30 were confident and wrong.
 */
const INTERCEPT = { deviation: 0.8, drift: 0.0127, most: 4 }
/**
 * Of so many recoveries at least that are as sure the share that was right bounds a probability, by the low end of its 95 % interval. A logistic fit goes
 * on beyond what was seen: of rankings that it gave .95 on average (MNIST's first three), 86 % were right.
 */
const BOUNDED_BY = 100
/** How often weights and intercepts are fitted in turns; more changes nothing. */
const TURNS = 3

/** A recovery, and whether it was right, as its own answer showed in the end. */
export interface Graded {
  /** What was seen of it, always as many values. */
  signals: readonly number[]
  right: boolean
  /** Of the answer, where it has one. */
  label?: number | undefined
  /** The worker whose answer showed it. */
  from?: string | undefined
}

/** The probability that something with these signals is right, before any recovery was graded. */
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
  /** Recoveries since that was fitted, or is being. */
  #since = 0
  /** By the fit there is: log odds, the surest first, and how many up to each were right. */
  #seen: { odds: number; right: number }[] = []
  readonly #isBounded: boolean
  /** To the fit there is. */
  #intercepts: Intercepts = new Map()

  /** @param late  by how much more than is due: where nobody took the steps of `renew` till then, it is fitted all at once @param isBounded  by what those that are as sure have shown */
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

  /** Takes back what a worker's answers showed, as if they had never come. @returns how many there were */
  forget(from: string): number {
    const left = this.#graded.filter((each) => each.from !== from)
    const gone = this.#graded.length - left.length
    this.#graded = left
    if (gone) this.#fit = undefined
    return gone
  }

  /** All that it follows from, oldest first. It is fitted anew after this, as one that is made of it would be. */
  save(): readonly Graded[] {
    this.#fit = undefined
    return this.#graded
  }

  /** Share of the recoveries that were right, by Laplace's rule of succession: one half before the first. */
  get rate(): number {
    const right = this.#graded.reduce((sum, each) => sum + Number(each.right), 0)
    return (right + 1) / (this.#graded.length + 2)
  }

  /** Undefined before 30 recoveries. @param label  of the answer, where it has one */
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

  /** Log odds, of all labels alike. */
  #odds(signals: readonly number[]): number | undefined {
    if (this.#graded.length < ENOUGH) return undefined
    if (!this.#fit || this.#since > this.#late * RENEW * this.#graded.length) finished(this.renew())
    return logOdds(this.#fit as Fit, signals)
  }

  /** Fits weights and intercepts in turns, each to what the others leave over, if that is due. In steps. */
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
      // Without labels no intercept moves.
      if (turns > 1)
        yield* inSlices(graded.length, perStep(64), (from, to) =>
          adaptAll(intercepts, graded, last, examples, from, to),
        )
    }
    this.#fit = fit
    this.#intercepts = intercepts
    if (this.#isBounded) this.#see(fit as Fit, graded)
    // Those that were learned meanwhile.
    const later = this.#graded.slice(Math.max(0, this.#graded.length - this.#since))
    for (const each of later) adapt(intercepts, each, logOdds(fit as Fit, each.signals))
  }
}

/**
 * One step of an extended Kalman filter: whether an answer was right moves the intercept of its label. It is not
 * drawn back to 0, or a label of nearly all queries, nearly always right, could not keep its own.
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

/** Those from `from` to `to` - 1, one after the other; what the intercept of each was before is added to its log odds in the next turn. */
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

/** One for each recovery, and the last for the prior: it must differ from a signal that never varies. */
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

/** What each counts: older ones less; those of one label together no more than the average label, to hear rare ones. */
function weigh(graded: readonly Graded[]): number[] {
  const counts = graded.map((_, i) => Math.exp((i + 1 - graded.length) / RECENT))
  const sums = new Map<number | undefined, number>()
  for (const [i, { label }] of graded.entries()) sums.set(label, (sums.get(label) ?? 0) + counts[i])
  const average = counts.reduce((sum, count) => sum + count, 0) / sums.size
  return counts.map((count, i) => count * Math.min(1, average / (sums.get(graded[i].label) as number)))
}
