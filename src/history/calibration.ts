/** From what is seen of a recovered answer to the probability that it is right: logistic regression, learned on line. */

import type { Core } from '../core/core'
import * as saved from '../saved'

/** Outcomes that are kept; older ones are forgotten, so that a stream that changes is followed. */
const WINDOW = 2000
/** Outcomes below which there is no probability. */
const ENOUGH = 30
/** Fitted anew when this share of the outcomes is new. */
const RENEW = 1 / 16
/** Precision of the weights' normal prior, the intercept's first: slopes are small until shown. */
const PRIOR = [0.01, 1]
const NEWTON_STEPS = 8

export interface Outcome {
  /** What was seen, always as many values. */
  signals: readonly number[]
  right: boolean
}

/**
 * How fast one kind of answer loses credit that turns out wrong more often than was said, in log odds; what is left of that
 * after the next of its kind; how much is chance and costs nothing; the most it loses; and from which probability on an answer
 * counts, since it is the sure ones that must not be wrong. A stream that changes shows in tens of answers, not in the window's
 * thousands: of 500 queries after 95 % of one class 30 were sure and wrong without.
 */
const DOUBT = { rate: 0.35, left: 0.98, chance: 0.8, most: 4, from: 0.7 }
/** An outcome counts for less by a factor of e when so many came after it: a memory that grows knows more than it did. */
const RECENT = 800

/** What to believe of signals that were never seen: worth one outcome in thirty. */
export interface Anchor {
  signals: readonly number[]
  probability: number
}

const ANCHOR_SHARE = 1 / 30

/** Signals beyond this would have no finite variance. */
const MOST_SIGNAL = 1e100

/** Outcomes of a saved state. @param signals  how many each has */
export function savedOutcomes(field: string, value: unknown, signals: number): Outcome[] {
  return saved.list(field, value, WINDOW).map((each, i) => {
    const at = `${field}[${i}]`
    const outcome = saved.object(at, each, ['signals', 'right'])
    const right = saved.flag(`${at}.right`, outcome.right)
    return { signals: saved.numbers(`${at}.signals`, outcome.signals, signals, -MOST_SIGNAL, MOST_SIGNAL), right }
  })
}

interface Fit {
  /** Of the signals, to bring them to mean 0 and variance 1. */
  means: number[]
  scales: number[]
  /** Intercept and slopes, and their covariance (row-major). */
  weights: number[]
  covariance: Float64Array
}

export class Calibration {
  /** Oldest first. */
  readonly outcomes: Outcome[]
  readonly #core: Core
  readonly #anchor: Anchor | undefined
  #fit: Fit | undefined
  #since = 0
  /** Log odds to take off, by kind of answer; not saved: they are of the last tens of answers. */
  readonly #doubts = new Map<number, number>()

  constructor(core: Core, outcomes: readonly Outcome[] = [], anchor?: Anchor) {
    this.#core = core
    this.#anchor = anchor
    this.outcomes = outcomes.slice(-WINDOW)
  }

  /** @param kind  of the answer: its label, where it has one */
  learn(outcome: Outcome, kind?: number): void {
    if (kind !== undefined) this.#judge(outcome, kind)
    this.outcomes.push(outcome)
    if (this.outcomes.length > WINDOW) this.outcomes.shift()
    this.#since++
  }

  #judge({ signals, right }: Outcome, kind: number): void {
    const odds = this.#odds(signals)
    if (odds === undefined || sigmoid(odds) < DOUBT.from) return
    const said = sigmoid(odds - this.#doubt(kind))
    const doubt = DOUBT.left * (this.#doubts.get(kind) ?? 0) + DOUBT.rate * (said - Number(right))
    this.#doubts.set(kind, Math.max(0, Math.min(DOUBT.chance + DOUBT.most, doubt)))
  }

  /** The outcomes; from here on it says what one would that has only these, but for doubts. */
  save(): Outcome[] {
    this.#fit = undefined
    return this.outcomes
  }

  /** Share of the outcomes that were right, by Laplace's rule of succession: one half before the first. */
  get rate(): number {
    const right = this.outcomes.reduce((sum, outcome) => sum + Number(outcome.right), 0)
    return (right + 1) / (this.outcomes.length + 2)
  }

  /**
   * The probability, averaged over what the weights may be (MacKay, "The evidence framework applied to
   * classification networks", 1992, eq. 20): the less was seen, the nearer to one half. Undefined before 30 outcomes.
   */
  probability(signals: readonly number[], kind?: number): number | undefined {
    const odds = this.#odds(signals)
    return odds === undefined ? undefined : sigmoid(odds - this.#doubt(kind))
  }

  /** Log odds, of all kinds alike. */
  #odds(signals: readonly number[]): number | undefined {
    if (this.outcomes.length < ENOUGH) return undefined
    if (!this.#fit || this.#since > RENEW * this.outcomes.length) this.#renew()
    const { means, scales, weights, covariance } = this.#fit as Fit
    const x = [1, ...signals.map((value, i) => (value - means[i]) * scales[i])]
    const n = x.length
    let [mean, variance] = [0, 0]
    for (let i = 0; i < n; i++) {
      mean += weights[i] * x[i]
      for (let j = 0; j < n; j++) variance += x[i] * x[j] * covariance[i * n + j]
    }
    return mean / Math.sqrt(1 + (Math.PI / 8) * variance)
  }

  #doubt(kind: number | undefined): number {
    const doubt = kind === undefined ? 0 : (this.#doubts.get(kind) ?? 0)
    return Math.max(0, doubt - DOUBT.chance)
  }

  /** The most probable weights, by Newton's method (iteratively reweighted least squares). */
  #renew(): void {
    this.#since = 0
    const rows = this.outcomes.map(({ signals }) => signals)
    if (this.#anchor) rows.push(this.#anchor.signals) // else one that never varied could not be told from it
    const means = rows[0].map((_, i) => mean(rows.map((row) => row[i])))
    const scales = means.map((centre, i) => {
      const variance = mean(rows.map((row) => (row[i] - centre) ** 2))
      return variance > 1e-12 ? 1 / Math.sqrt(variance) : 0 // a signal that never varies says nothing
    })
    const standard = (row: readonly number[]) => [1, ...row.map((value, i) => (value - means[i]) * scales[i])]
    const last = this.outcomes.length - 1
    const lessons = this.outcomes.map(({ signals, right }, i) => ({
      x: standard(signals),
      right: Number(right),
      weight: Math.exp((i - last) / RECENT),
    }))
    if (this.#anchor) {
      const { signals, probability } = this.#anchor
      lessons.push({
        x: standard(signals),
        right: probability,
        weight: ANCHOR_SHARE * lessons.reduce((sum, each) => sum + each.weight, 0),
      })
    }
    const n = means.length + 1
    let weights = new Array<number>(n).fill(0)
    let covariance = new Float64Array(n * n)
    for (let step = 0; step < NEWTON_STEPS; step++) {
      const precision = new Float64Array(n * n)
      const gradient = weights.map((w, i) => -prior(i) * w)
      for (let i = 0; i < n; i++) precision[i * n + i] = prior(i)
      for (const { x, right, weight } of lessons) {
        const p = sigmoid(x.reduce((sum, value, i) => sum + value * weights[i], 0))
        for (let i = 0; i < n; i++) {
          gradient[i] += weight * (right - p) * x[i]
          for (let j = 0; j < n; j++) precision[i * n + j] += weight * p * (1 - p) * x[i] * x[j]
        }
      }
      covariance = Float64Array.from(this.#core.inverse(precision))
      weights = weights.map((w, i) => w + gradient.reduce((sum, g, j) => sum + covariance[i * n + j] * g, 0))
    }
    this.#fit = { means, scales, weights, covariance }
  }
}

const prior = (i: number) => PRIOR[Math.min(i, 1)]
export const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
