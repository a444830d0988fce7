/**
 * A window of answers of which a limited number may be wrong. It fixes the audit rate and the number of detected errors after which the
 * memory stops answering.
 */

import * as saved from '../base/saved'
import { type Delay, OpenAudits } from './audit-delay'
import { auditRate, mostGiven, partBefore } from './error-rates'
import type { Threshold } from './observations'

/** Least audit rate, one in 200: without audits nobody would notice that the model was replaced. */
const FLOOR = 0.005
const MOST_RATE = 0.8
/** Audits take longer under load: a window allows for this many times the queries that now come during an audit, if its budget can bear that. */
const MORE = 4
const MOST_DETECTED = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96]

/** The terms of a window, fixed when it begins. */
export interface Terms {
  readonly length: number
  /** Most wrong answers that the window may give. */
  readonly budget: number
  /** Part of `budget` for answers that are given while an audit is open that may be the last allowed error. */
  readonly kept: number
  /** Probability that a query is asked although the memory is confident. */
  readonly rate: number
  /** Detected errors after which the memory answers nothing more. */
  readonly mostDetected: number
  /** Predicted part of the queries that the memory answers. */
  readonly expectedShare: number
}

/**
 * Chooses the number of allowed errors that lets the memory answer most queries. Queries that come during open audits are covered in one of
 * two ways: by a reserve of at most a quarter of the budget, or by counting open audits as if they had found errors.
 *
 * @param delay  undefined until an audit has an outcome
 */
export function termsOf(
  { length, maxError, budget }: { length: number; maxError: number; budget: number },
  points: readonly Threshold[],
  delay: Delay | undefined,
  more = MORE,
): Terms {
  let best: Terms | undefined
  const mayKeep = Math.floor(budget / 4)
  const enough = delay ? Math.min(mayKeep, 2 * delay.most) : mayKeep
  for (const kept of delay && enough ? [enough, 0] : [enough]) {
    for (const mostDetected of MOST_DETECTED) {
      const rate = Math.max(FLOOR, auditRate(mostDetected, budget - kept))
      if (rate > MOST_RATE) continue
      const spare = delay && kept < delay.most ? Math.ceil(rate * more * delay.mean) : 0
      let expectedShare = 0
      for (const { share, wrong } of points) {
        if (wrong > maxError || spare >= mostDetected) continue
        expectedShare = Math.max(
          expectedShare,
          (1 - rate) * share * partBefore(mostDetected - spare, rate * length * wrong),
        )
      }
      if (!best || expectedShare > best.expectedShare)
        best = { length, budget, kept, rate, mostDetected, expectedShare }
    }
  }
  if (!best?.expectedShare && more > 1) return termsOf({ length, maxError, budget }, points, delay, more / 2)
  return best as Terms
}

/** Path of the fields in errors about a saved state. */
const AT = 'errorBudget.window'

export class BudgetWindow {
  answers = 0
  detected = 0
  given = 0
  /** After the last allowed error the window ends once it has this many answers: what was wrong has been removed. */
  mayEndAfter = Number.POSITIVE_INFINITY
  readonly #open: OpenAudits

  /** @param before  audit delay of the previous window */
  constructor(
    readonly number: number,
    readonly terms: Terms,
    before?: Delay,
  ) {
    this.#open = new OpenAudits(before?.mean)
  }

  get isOver(): boolean {
    const { answers, detected, terms } = this
    return answers >= terms.length || (detected >= terms.mostDetected && answers >= this.mayEndAfter)
  }

  /** Whether the memory may answer now. */
  get mayGive(): boolean {
    return this.detected < this.terms.mostDetected && !this.isHeld
  }

  /** The memory has to wait until an open audit has an outcome. */
  get isHeld(): boolean {
    return this.#open.sinceLast(this.terms.mostDetected - this.detected) > this.terms.kept
  }

  get delay(): Delay | undefined {
    return this.#open.delay
  }

  /** Detected errors that are still allowed, less those that open audits are expected to find; at least 1 until none is allowed. */
  get left(): number {
    const { mostDetected, rate } = this.terms
    const left = mostDetected - this.detected
    return left && Math.max(1, left - Math.ceil(2 * rate * (this.delay?.mean ?? 0)))
  }

  /** Counts a query that the memory is confident of. */
  count(): void {
    this.#open.count()
  }

  /** Begins an audit. @returns ends it with whether the memory was right */
  audit(): (right: boolean) => void {
    const end = this.#open.begin()
    return (right) => {
      if (end() && !right) this.detected++
    }
  }

  /** Audits without an outcome. */
  get open(): number {
    return this.#open.size
  }

  save(): unknown {
    const { number, terms, answers, given, detected, open, mayEndAfter } = this
    return {
      number,
      answers,
      given,
      detected: detected + open,
      ...(mayEndAfter < terms.length && { mayEndAfter }),
      ...terms,
    }
  }

  /** @throws RangeError if `save` cannot have written it, as where the budget is too large or the audit rate too low */
  static load(state: unknown, maxError: number): BudgetWindow {
    const terms = ['length', 'budget', 'kept', 'rate', 'mostDetected', 'expectedShare'] as const
    const names = ['number', 'answers', 'given', 'detected', 'mayEndAfter', ...terms] as const
    const all = saved.object(AT, state, names)
    const count = (name: (typeof names)[number]) => saved.integer(`${AT}.${name}`, all[name], 0, saved.MOST_COUNT)
    const share = (name: (typeof names)[number], least = 0) => saved.number(`${AT}.${name}`, all[name], least, 1)
    const [length, budget, kept, mostDetected] = [
      count('length'),
      count('budget'),
      count('kept'),
      count('mostDetected'),
    ]
    if (budget > Math.ceil(maxError * length) || kept > budget)
      throw saved.refused(`${AT}.budget`, 'one for its length', budget)
    const rate = share('rate', Math.max(FLOOR, auditRate(mostDetected, budget - kept) - 1e-9))
    const loaded = new BudgetWindow(count('number'), {
      length,
      budget,
      kept,
      rate,
      mostDetected,
      expectedShare: share('expectedShare'),
    })
    loaded.answers = count('answers')
    loaded.given = count('given')
    loaded.detected = count('detected')
    if (all.mayEndAfter !== undefined) loaded.mayEndAfter = count('mayEndAfter')
    return loaded
  }

  /** Upper bound, with a probability of 95 %, on the wrong answers given so far. */
  get wrongAtMost(): number {
    return Math.min(this.terms.budget, mostGiven(this.detected, this.terms.rate))
  }
}
