/**
 * Answers before asking, within a budget of wrong ones. Repeats have the model's earlier answer, and a memory answers what it is confident of;
 * a secret coin has some of both asked all the same, and each of these that was wrong is a detected error. After as many detected errors as were allowed for
 * nothing more is given until the window is over. So at most `maxError` of a window's answers are wrong with a probability of 95 %, whatever is
 * asked, by whom, and in whatever order: only the coin counts. Confidence decides nothing but how much is saved.
 *
 * The budgets of all windows so far add up to 20 + 2 `maxError` times the answers at most, since the next window is at most twice as long as the one
 * before was. So the wrong answers keep that bound at any time, in 95 of 100 streams (see ALPHA).
 */

import * as saved from '../base/saved'
import { BudgetWindow, termsOf } from './budget-window'
import { partBefore, poissonMean } from './error-rates'
import { Observations } from './observations'

/** Budgets of the first window, and of the longest. Each is twice as long as the one before. */
export const BUDGETS = { first: 20, most: 1000 }
/** Answers after which the threshold is found anew. */
const EVERY = 64
/** A window may run out of detected errors before it is over with this probability. */
const RISK = 0.35
/** Late recoveries that the first window allows for, and that every window has beyond twice those of the one before. */
const SPARE_LATE = 5
const NOTHING = Number.POSITIVE_INFINITY

/** What becomes of a query. `audit`: it is asked though the memory is confident; until `told` it may be the last detected error. */
export interface Draw {
  readonly is: 'remember' | 'audit' | 'ask'
  /** The model's answer came: whether the memory was right. Of an audit, also that none ever came: false. */
  grade(right: boolean): void
}

export interface ErrorBudgetOptions {
  /** Of all answers those that may be wrong, above 0, below 1. */
  maxError: number
  /** Whether late queries may be given recoveries, which are graded when the model's answer comes. */
  recovers: boolean
  /** Uniform, from 0 to 1; nobody can foretell it. */
  coin: () => number
}

/** Where an error budget stands, for `stats`. */
export interface BudgetStats {
  /** Windows so far, this one included; how many answers it has, and had. */
  window: number
  length: number
  answers: number
  /** Wrong answers that it may have, and has at most with a probability of 95 %. */
  allowed: number
  wrongAtMost: number
  /** Of confident ones those that are asked all the same; detected errors so far, and after which nothing more is given. */
  rate: number
  detectedErrors: number
  allowedDetectedErrors: number
  /** Confidence from which the memory's answer is given; undefined while none is. */
  threshold: number | undefined
  /** Of this window's answers those that were given unasked, the share of them that may be wrong (95 %), and of all answers; undefined before the first. */
  given: number
  shareWrongOfGiven: number | undefined
  shareWrong: number | undefined
  /** Answers of the memory that were given unasked, and repeats, in all windows; and both that were asked all the same. */
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

  /** One more answer was given, whoever it is from. What fails or is taken back is none, and ends none of its windows */
  count(): void {
    this.#endWindow()
    this.#current.answers++
    if (++this.#counted % EVERY === 0) this.#look()
  }

  /** Which window it is, from 1 on. */
  get window(): number {
    return this.#current.number
  }

  /** Nothing is given until an audit that is under way has its outcome. */
  get isHeld(): boolean {
    return this.#current.isHeld
  }

  /** One more query, of whose answer the memory is so confident. @param mayGive  else it is asked for, and shows whether the memory is of use */
  draw(confidence: number, mayGive = true): Draw {
    this.#endWindow()
    return this.#draw(this.#observations.see(confidence), mayGive && confidence >= this.#threshold, 'remembered')
  }

  /** One more query whose answer by the model is kept: a candidate as long as anything may be given. */
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
        if (!right && current === this.#current) this.#look()
      },
    }
  }

  /** What was kept and learned is of another model, and gone: of what is learned from now on nothing is known yet. The budget stays what it was. */
  renew(): void {
    this.#observations = new Observations()
    this.#threshold = NOTHING
    this.mended()
  }

  /**
   * What was wrong is gone. A window that has no detected errors left ends once it had half as many answers as a first window has, since the next one
   * may have twice that: as a first window has.
   */
  mended(): void {
    this.#current.mayEndAfter = Math.ceil(BUDGETS.first / (2 * this.#options.maxError))
  }

  /** Whether one more late recovery may be given: each counts as wrong until the model's own answer has come. */
  get mayRecover(): boolean {
    return this.#late.left >= 1
  }

  /** One is given. @returns tells how that was */
  recover(): (right: boolean) => void {
    return this.#late.give()
  }

  #endWindow(): void {
    if (!this.#current.isOver) return
    this.#current = this.#begin(this.#current)
    this.#look()
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
   * Finds the threshold: of those at which the detected errors that are left will probably do the one at which most is answered, so that a memory that is
   * often wrong does not use up the detected errors of repeats.
   */
  #look(): void {
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

  /** What the memory said of a query before it was taught the answer: nothing is given, and nothing counts. */
  see({ confidence, isRight }: { confidence: number; isRight: boolean }): void {
    this.#observations.learn(this.#observations.see(confidence), 1, isRight)
  }

  /** Where it stands, for `load`: audits under way count as caught. Who goes on from one state twice may have twice as many wrong answers. */
  save(): unknown {
    const { maxError } = this.#options
    return { maxError, window: this.#current.save(), late: this.#late.save(), observations: this.#observations.save() }
  }

  /**
   * Goes on where `save` was; with another `maxError`, and where nothing had been answered, a first window begins with what is known of the
   * memory. @throws RangeError for what it never gave
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
    this.#look()
  }

  /** Part of the queries that are looked up that would be answered unasked in a window like this one, by what is known now. */
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

/** Those that are given when a worker is late: they are counted, so that no coin is needed. */
class LateRecoveries {
  allowed = 0
  /** Wrong ones, and those that nobody knows of yet. */
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

  /** @returns what of the budget it takes */
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
