/**
 * Limits how many of the answers that are given without asking a worker may be wrong. Repeats get the model's earlier answer, and the
 * memory answers queries that it is confident of. A random part of both is audited, that is, asked all the same; an audit that shows a
 * wrong answer is a detected error. After a fixed number of detected errors nothing more is given until the window ends.
 *
 * So with a probability of 95 % at most `maxError` of a window's answers are wrong, whatever the queries are, whoever sends them and in
 * whatever order: the proof rests on the random audits alone. The confidence decides only how much is saved.
 *
 * A window is at most twice as long as the one before, so the budgets of all windows add up to at most 20 + 2 `maxError` times the answers.
 * In 95 of 100 streams the wrong answers stay below that sum at any time (see ALPHA).
 */

import * as saved from '../base/saved'
import { BudgetWindow, termsOf } from './budget-window'
import { partBefore, poissonMean } from './error-rates'
import { Observations } from './observations'

/** Error budget of the first window, and of the longest. Each window is twice as long as the one before. */
export const BUDGETS = { first: 20, most: 1000 }
/** The confidence threshold is recomputed after this many answers. */
const EVERY = 64
/** Probability with which a window may use up its allowed errors before it is over. */
const RISK = 0.35
/** The first window allows so many late recoveries; each later one allows twice the number of the window before, and so many more. */
const SPARE_LATE = 5
const NOTHING = Number.POSITIVE_INFINITY

/** How a query is answered. `audit`: a worker is asked although the memory is confident; until `grade` is called it may be the last allowed error. */
export interface Draw {
  readonly is: 'remember' | 'audit' | 'ask'
  /** Called with the model's answer: whether the memory was right. An audit whose answer never comes calls it with false. */
  grade(right: boolean): void
}

export interface ErrorBudgetOptions {
  /** Share of all answers that may be wrong, above 0 and below 1. */
  maxError: number
  /** Whether late queries may get recoveries, which are graded when the model's answer comes. */
  recovers: boolean
  /** Uniform in 0..1, and unpredictable for callers. */
  coin: () => number
}

/** State of an error budget, for `stats`. */
export interface BudgetStats {
  /** Number of the window, from 1 on; its length in answers; its answers so far. */
  window: number
  length: number
  answers: number
  /** Most wrong answers that the window may have, and an upper bound (95 %) on those that it has. */
  allowed: number
  wrongAtMost: number
  /** Audit rate of confident queries; errors detected so far; errors after which nothing more is given. */
  rate: number
  detectedErrors: number
  allowedDetectedErrors: number
  /** Confidence from which the memory's answer is given; undefined while none is given. */
  threshold: number | undefined
  /**
   * Answers that this window gave without asking a worker; upper bounds (95 %) on the share of them that is wrong, and on that of all its
   * answers. undefined without answers.
   */
  given: number
  shareWrongOfGiven: number | undefined
  shareWrong: number | undefined
  /** Totals of all windows: answers of the memory, repeats, and audits of both. */
  remembered: number
  repeats: number
  audits: number
}

export class ErrorBudget {
  readonly #options: ErrorBudgetOptions
  #observations = new Observations()
  #current: BudgetWindow
  #threshold = NOTHING
  #counted = 0
  readonly #late: LateRecoveries
  readonly #counts = { remembered: 0, repeats: 0, audits: 0 }

  constructor(options: ErrorBudgetOptions) {
    this.#options = options
    this.#late = new LateRecoveries(options.recovers)
    this.#current = this.#begin()
  }

  /** Counts an answer, whoever gave it. No window counts a query that failed or was dropped. */
  count(): void {
    this.#endWindow()
    this.#current.answers++
    if (++this.#counted % EVERY === 0) this.#findThreshold()
  }

  /** Number of the window, from 1 on. */
  get window(): number {
    return this.#current.number
  }

  /** Nothing is given until an open audit has its outcome. */
  get isHeld(): boolean {
    return this.#current.isHeld
  }

  /**
   * Decides how a query is answered for which the memory has this confidence. @param mayGive  if false, a worker is asked, and its answer
   * shows how good the memory is
   */
  draw(confidence: number, mayGive = true): Draw {
    this.#endWindow()
    return this.#draw(this.#observations.see(confidence), mayGive && confidence >= this.#threshold, 'remembered')
  }

  /** Decides how a repeat is answered, that is, a query of which the model's answer is cached. */
  drawRepeat(): Draw {
    this.#endWindow()
    return this.#draw(this.#observations.seeRepeat(), true, 'repeats')
  }

  #draw(number: number, isCandidate: boolean, kind: 'remembered' | 'repeats'): Draw {
    const [current, observations] = [this.#current, this.#observations]
    if (isCandidate) current.count()
    if (!isCandidate || !current.mayGive) return { is: 'ask', grade: (right) => observations.learn(number, 1, right) }
    if (this.#options.coin() >= current.terms.rate) {
      current.given++
      this.#counts[kind]++
      return { is: 'remember', grade() {} }
    }
    this.#counts.audits++
    const end = current.audit()
    return {
      is: 'audit',
      grade: (right) => {
        observations.learn(number, 1 / current.terms.rate, right)
        end(right)
        if (!right && current === this.#current) this.#findThreshold()
      },
    }
  }

  /** The model was replaced: observations of the old memory no longer count. The budget of the window stays. */
  renew(): void {
    this.#observations = new Observations()
    this.#threshold = NOTHING
    this.mended()
  }

  /**
   * What was wrong has been removed from the memory. A window without allowed errors then ends after half as many answers as a first window
   * has, since the next window, up to twice as long, is then as long as a first one.
   */
  mended(): void {
    this.#current.mayEndAfter = Math.ceil(BUDGETS.first / (2 * this.#options.maxError))
  }

  /** Whether another late recovery may be given: each counts as wrong until the model's own answer shows that it was right. */
  get mayRecover(): boolean {
    return this.#late.left >= 1
  }

  /** Counts a late recovery. @returns reports whether it was right */
  recover(): (right: boolean) => void {
    return this.#late.give()
  }

  #endWindow(): void {
    if (!this.#current.isOver) return
    this.#current = this.#begin(this.#current)
    this.#findThreshold()
  }

  #begin(before?: BudgetWindow): BudgetWindow {
    const { maxError } = this.#options
    const budget = before ? Math.min(BUDGETS.most, 2 * before.answers * maxError) : BUDGETS.first
    const late = this.#late.begin(budget)
    const own = Math.floor(budget - late)
    const length = Math.round(budget / maxError)
    const terms = termsOf({ length, maxError, budget: own }, this.#observations.points(), before?.delay)
    return new BudgetWindow((before?.number ?? 0) + 1, terms, before?.delay)
  }

  /**
   * Finds the confidence threshold at which most queries are answered, among those that will probably not use up the allowed errors. So a
   * memory that is often wrong does not use up the allowed errors of repeats.
   */
  #findThreshold(): void {
    const { terms, left, answers } = this.#current
    const audits = terms.rate * Math.max(1, terms.length - answers)
    const most = Math.min(this.#options.maxError, left > 0 ? poissonMean(left, RISK) / audits : 0)
    this.#threshold = NOTHING
    let best = 0
    for (const { confidence, share, wrong, suspected } of left > 0 ? this.#observations.points() : []) {
      const answered = wrong > most ? 0 : share * partBefore(left, audits * suspected)
      if (answered <= best) continue
      best = answered
      this.#threshold = confidence
    }
  }

  /** Learns how confident the memory was of a query before it was taught the answer. Nothing is given, and nothing counts. */
  see({ confidence, isRight }: { confidence: number; isRight: boolean }): void {
    this.#observations.learn(this.#observations.see(confidence), 1, isRight)
  }

  /**
   * State for `load`; open audits count as detected errors. Two processes that go on from the same state may together give twice as many
   * wrong answers.
   */
  save(): unknown {
    const { maxError } = this.#options
    return { maxError, window: this.#current.save(), late: this.#late.save(), observations: this.#observations.save() }
  }

  /**
   * Restores what `save` wrote. With another `maxError`, or if nothing had been answered, a first window begins with the saved
   * observations.
   * @throws RangeError if `save` cannot have written it
   */
  load(state: unknown): void {
    const { maxError, window, late, observations } = saved.object('errorBudget', state, [
      'maxError',
      'window',
      'late',
      'observations',
    ])
    const known = Observations.load(observations)
    const isSame = saved.number('errorBudget.maxError', maxError, 0, 1) === this.#options.maxError
    const loaded = isSame ? BudgetWindow.load(window, maxError as number) : undefined
    if (loaded) this.#late.load(late)
    this.#observations = known
    const isBegun = loaded && (loaded.answers || loaded.detected || this.#late.spent)
    this.#current = isBegun ? loaded : this.#begin()
    this.#findThreshold()
  }

  /** Predicted part of the looked-up queries that the memory would answer in a window like this one. */
  expectedShare(): number {
    const { length, budget } = this.#current.terms
    const { maxError } = this.#options
    const points = this.#observations.points().map((point) => ({ ...point, share: point.lookedUp }))
    return termsOf({ length, maxError, budget }, points, this.#current.delay).expectedShare
  }

  get stats(): BudgetStats {
    const { number, answers, detected, terms } = this.#current
    const { length, budget, rate, mostDetected } = terms
    const given = this.#current.given + this.#late.given
    const wrongAtMost = Math.min(this.#current.wrongAtMost, this.#current.given) + this.#late.spent
    const share = (of: number) => (of ? Math.min(1, wrongAtMost / of) : undefined)
    return {
      ...{ window: number, length, answers, rate, detectedErrors: detected, allowedDetectedErrors: mostDetected },
      allowed: budget + this.#late.allowed,
      ...{ wrongAtMost, given, shareWrongOfGiven: share(given), shareWrong: share(answers) },
      threshold: this.#threshold === NOTHING ? undefined : this.#threshold,
      ...this.#counts,
    }
  }
}

/** Recoveries that are given because a worker is late. All of them are graded, so no random audits are needed. */
class LateRecoveries {
  allowed = 0
  /** Recoveries that were wrong, or are not graded yet. */
  spent = 0
  given = 0
  readonly #isUsed: boolean
  #current = 0

  constructor(isUsed: boolean) {
    this.#isUsed = isUsed
  }

  get left(): number {
    return this.allowed - this.spent
  }

  /** @returns the part of the budget that late recoveries get */
  begin(budget: number): number {
    if (!this.#isUsed) return 0
    this.allowed = Math.floor(Math.min(budget / 2, 2 * this.given + SPARE_LATE))
    this.spent = this.given = 0
    this.#current++
    return this.allowed
  }

  save(): unknown {
    return { allowed: this.allowed, spent: this.spent, given: this.given }
  }

  load(state: unknown): void {
    const { allowed, spent, given } = saved.object('errorBudget.late', state, ['allowed', 'spent', 'given'])
    this.allowed = saved.integer('errorBudget.late.allowed', allowed, 0, BUDGETS.most)
    this.spent = saved.integer('errorBudget.late.spent', spent, 0, saved.MOST_COUNT)
    this.given = saved.integer('errorBudget.late.given', given, 0, saved.MOST_COUNT)
  }

  give(): (right: boolean) => void {
    this.spent++
    this.given++
    const given = this.#current
    return (right) => {
      if (right && given === this.#current) this.spent--
    }
  }
}
