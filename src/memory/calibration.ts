/**
 * From what is seen of a recovered answer to the probability that it is right: logistic regression, learned on line, and per
 * label of the answer what it is right more or less often than that. All of it follows from the outcomes that are kept.
 */

import type { Core } from '../core/core'

/** Outcomes that are kept; older ones are forgotten, so that a stream that changes is followed. */
export const WINDOW = 2000
/** Outcomes below which there is no probability. */
const ENOUGH = 30
/** Fitted anew when this share of the outcomes is new. */
const RENEW = 1 / 16
/** Precision of the weights' normal prior, the intercept's first: slopes are small until shown. */
const PRIOR = [0.01, 1]
/** Newton's method ends when no weight moves further than this (the next step would be a millionth), or after so many steps. */
const SETTLED = 1e-3
const NEWTON_STEPS = 8
/** An outcome counts for less by a factor of e when so many came after it: a memory that grows knows more than it did. */
const RECENT = 2000

export interface Outcome {
  /** What was seen, always as many values. */
  signals: readonly number[]
  right: boolean
  /** Of the answer: its label, where it has one. */
  kind?: number | undefined
  /** The worker whose answer told. */
  from?: string | undefined
}

/** What to believe of signals that were never seen: worth one outcome in thirty. */
export interface Anchor {
  signals: readonly number[]
  probability: number
}

const ANCHOR_SHARE = 1 / 30

/**
 * A kind's credit, in log odds that are added to the others': its standard deviation among kinds; the variance by which it may
 * have moved with the next outcome of its kind, so that it follows a stream that changes within tens of answers, not within
 * the window's thousands; and the most it may come to. Of 500 queries after 95 % of one class 15 to 30 were sure and wrong
 * without.
 */
const CREDIT = { deviation: 0.8, drift: 0.0127, most: 4 }
/** How often weights and credits are fitted in turns; more changes nothing. */
const TURNS = 3

interface Credit {
  mean: number
  variance: number
}

interface Fit {
  /** Of the signals, to bring them to mean 0 and variance 1. */
  means: Float64Array
  scales: Float64Array
  /** Intercept and slopes, and their covariance (row-major). */
  weights: Float64Array
  covariance: Float64Array
}

export class Calibration {
  readonly #core: Core
  readonly #anchor: Anchor | undefined
  /** Oldest first. */
  #outcomes: Outcome[]
  #fit: Fit | undefined
  #since = 0
  /** By kind; of the outcomes there are, by the fit there is. */
  readonly #credits = new Map<number, Credit>()

  constructor(core: Core, outcomes: readonly Outcome[] = [], anchor?: Anchor) {
    this.#core = core
    this.#anchor = anchor
    this.#outcomes = outcomes.slice(-WINDOW)
  }

  /** Oldest first. */
  get outcomes(): readonly Outcome[] {
    return this.#outcomes
  }

  /**
   * @param kind  of the answer: its label, where it has one
   * @param from  the worker whose answer told
   */
  learn({ signals, right }: Pick<Outcome, 'signals' | 'right'>, kind?: number, from?: string): void {
    const outcome = { signals, right, kind, from }
    const odds = this.#odds(signals)
    if (odds !== undefined) this.#judge(outcome, odds)
    this.#outcomes.push(outcome)
    if (this.#outcomes.length > WINDOW) this.#outcomes.shift()
    this.#since++
  }

  /** Takes back what a worker's answers told: it is as if they had never been. @returns how many there were */
  forget(from: string): number {
    const left = this.#outcomes.filter((outcome) => outcome.from !== from)
    const gone = this.#outcomes.length - left.length
    this.#outcomes = left
    if (gone) this.#fit = undefined
    return gone
  }

  /** The outcomes; from here on it says what one would that has only these. */
  save(): readonly Outcome[] {
    this.#fit = undefined
    return this.#outcomes
  }

  /** Share of the outcomes that were right, by Laplace's rule of succession: one half before the first. */
  get rate(): number {
    const right = this.#outcomes.reduce((sum, outcome) => sum + Number(outcome.right), 0)
    return (right + 1) / (this.#outcomes.length + 2)
  }

  /** Undefined before 30 outcomes. @param kind  of the answer: its label, where it has one */
  probability(signals: readonly number[], kind?: number): number | undefined {
    const odds = this.#odds(signals)
    return odds === undefined ? undefined : sigmoid(odds + (this.#credit(kind)?.mean ?? 0))
  }

  /**
   * Log odds, of all kinds alike, averaged over what the weights may be (MacKay, "The evidence framework applied to
   * classification networks", 1992, eq. 20): the less was seen, the nearer to one half.
   */
  #odds(signals: readonly number[]): number | undefined {
    if (this.#outcomes.length < ENOUGH) return undefined
    if (!this.#fit || this.#since > RENEW * this.#outcomes.length) this.#renew()
    return oddsOf(this.#fit as Fit, signals)
  }

  #credit(kind: number | undefined): Credit | undefined {
    return kind === undefined ? undefined : this.#credits.get(kind)
  }

  /**
   * One step of an extended Kalman filter: the kind's credit takes in whether its answer was right. It is not drawn back to 0,
   * or a label of nearly all queries, nearly always right, could not keep what it earned.
   *
   * @returns the credit before it did
   */
  #judge({ right, kind }: Outcome, odds: number): number {
    if (kind === undefined) return 0
    const { mean, variance } = this.#credit(kind) ?? { mean: 0, variance: CREDIT.deviation ** 2 }
    const before = Math.min(CREDIT.deviation ** 2, variance + CREDIT.drift)
    const said = sigmoid(odds + mean)
    const after = 1 / (1 / before + said * (1 - said))
    const moved = mean + after * (Number(right) - said)
    this.#credits.set(kind, { mean: Math.max(-CREDIT.most, Math.min(CREDIT.most, moved)), variance: after })
    return mean
  }

  /** Fits weights and credits in turns, each to what the others leave unsaid. */
  #renew(): void {
    this.#since = 0
    const outcomes = this.#outcomes
    const lessons = lessonsOf(outcomes, this.#anchor)
    const turns = outcomes.some(({ kind }) => kind !== undefined) ? TURNS : 1
    for (let turn = 0; turn < turns; turn++) {
      const fit = fitted(this.#core, lessons, turn ? this.#fit?.weights : undefined)
      this.#fit = fit
      this.#credits.clear()
      for (const [i, outcome] of outcomes.entries()) {
        lessons.credits[i] = this.#judge(outcome, oddsOf(fit, outcome.signals))
      }
    }
  }
}

/** One row for each outcome, and the last for the anchor. */
interface Lessons {
  /** Signals of mean 0 and variance 1, after a leading 1; row-major. */
  xs: Float64Array
  means: Float64Array
  scales: Float64Array
  rights: number[]
  counts: number[]
  /** What is added to the odds that the weights give. */
  credits: Float64Array
}

function lessonsOf(outcomes: readonly Outcome[], anchor: Anchor | undefined): Lessons {
  const rows = outcomes.map(({ signals }) => signals)
  const rights = outcomes.map(({ right }) => Number(right))
  const counts = weigh(outcomes)
  if (anchor) {
    rows.push(anchor.signals) // else one that never varied could not be told from it
    rights.push(anchor.probability)
    counts.push(ANCHOR_SHARE * counts.reduce((sum, count) => sum + count, 0))
  }
  return { ...standardised(rows), rights, counts, credits: new Float64Array(rows.length) }
}

/**
 * What each outcome counts for: the older the less, and those of one kind together no more than those of the average kind. Else
 * the one class that nearly all queries had would say for a thousand more what the odds of the others mean.
 */
function weigh(outcomes: readonly Outcome[]): number[] {
  const counts = outcomes.map((_, i) => Math.exp((i + 1 - outcomes.length) / RECENT))
  const sums = new Map<number | undefined, number>()
  for (const [i, { kind }] of outcomes.entries()) sums.set(kind, (sums.get(kind) ?? 0) + counts[i])
  const average = counts.reduce((sum, count) => sum + count, 0) / sums.size
  return counts.map((count, i) => count * Math.min(1, average / (sums.get(outcomes[i].kind) as number)))
}

/** The most probable weights, by Newton's method (iteratively reweighted least squares). @param start  near them, if known */
function fitted(core: Core, { xs, means, scales, rights, counts, credits }: Lessons, start?: Float64Array): Fit {
  const n = means.length + 1
  const weights = start?.slice() ?? new Float64Array(n)
  let covariance = new Float64Array(n * n)
  for (let step = 0, moved = 1; step < NEWTON_STEPS && moved > SETTLED; step++) {
    const precision = new Float64Array(n * n)
    const gradient = weights.map((weight, i) => -prior(i) * weight)
    for (let k = 0, at = 0; k < rights.length; k++, at += n) {
      let odds = credits[k]
      for (let i = 0; i < n; i++) odds += weights[i] * xs[at + i]
      const said = sigmoid(odds)
      const off = counts[k] * (rights[k] - said)
      const bend = counts[k] * said * (1 - said)
      for (let i = 0; i < n; i++) {
        gradient[i] += off * xs[at + i]
        for (let j = 0; j <= i; j++) precision[i * n + j] += bend * xs[at + i] * xs[at + j]
      }
    }
    for (let i = 0; i < n; i++) {
      precision[i * n + i] += prior(i)
      for (let j = 0; j < i; j++) precision[j * n + i] = precision[i * n + j]
    }
    covariance = Float64Array.from(core.inverse(precision))
    moved = 0
    for (let i = 0; i < n; i++) {
      let move = 0
      for (let j = 0; j < n; j++) move += covariance[i * n + j] * gradient[j]
      weights[i] += move
      moved = Math.max(moved, Math.abs(move))
    }
  }
  return { means, scales, weights, covariance }
}

/** A signal that never varies says nothing. */
function standardised(rows: readonly (readonly number[])[]) {
  const width = rows[0].length
  const [means, squares] = [new Float64Array(width), new Float64Array(width)]
  for (const row of rows) for (let i = 0; i < width; i++) means[i] += row[i] / rows.length
  for (const row of rows) for (let i = 0; i < width; i++) squares[i] += (row[i] - means[i]) ** 2 / rows.length
  const scales = squares.map((square) => (square > 1e-12 ? 1 / Math.sqrt(square) : 0))
  const xs = new Float64Array(rows.length * (width + 1))
  let at = 0
  for (const row of rows) {
    xs[at++] = 1
    for (let i = 0; i < width; i++) xs[at++] = (row[i] - means[i]) * scales[i]
  }
  return { xs, means, scales }
}

function oddsOf({ means, scales, weights, covariance }: Fit, signals: readonly number[]): number {
  const n = weights.length
  const x = new Float64Array(n)
  x[0] = 1
  for (let i = 1; i < n; i++) x[i] = (signals[i - 1] - means[i - 1]) * scales[i - 1]
  let [mean, variance] = [0, 0]
  for (let i = 0; i < n; i++) {
    mean += weights[i] * x[i]
    for (let j = 0; j < n; j++) variance += x[i] * x[j] * covariance[i * n + j]
  }
  return mean / Math.sqrt(1 + (Math.PI / 8) * variance)
}

const prior = (i: number) => PRIOR[Math.min(i, 1)]
export const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
