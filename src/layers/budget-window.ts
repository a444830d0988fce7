/** A window of answers, and how many of them may be wrong: the probability of an audit, and the detected errors after which the memory answers nothing more. */

import * as saved from '../base/saved'
import { type Delay, OpenAudits } from './audit-delay'
import { auditRate, mostGiven, partBefore } from './error-rates'
import type { Threshold } from './observations'

/** The coin has one in 200 asked at least: without that a memory would not see that the model was replaced. */
const FLOOR = 0.005
const MOST_RATE = 0.8
/** A window is drawn for this many times the queries that come during an audit now, where it can bear them: audits take longer under more load. */
const MORE = 4
const MOST_DETECTED = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96]

/** What was drawn for a window when it began. */
export interface Terms {
  readonly length: number
  /** Wrong answers that may be given. */
  readonly budget: number
  /** Of these, those that may be given while the last detected error is not known: its outcome comes too late for them. */
  readonly kept: number
  /** Probability that a confident one is asked all the same. */
  readonly rate: number
  /** Detected errors after which nothing is given any more. */
  readonly mostDetected: number
  /** Part of the window that is answered by the memory, as far as can be predicted. */
  readonly expectedShare: number
}

/**
 * The detected errors that let most queries be answered, by what is known of the memory. What comes while audits are under way is either kept back of the
 * budget, a quarter of it at most, or there are more detected errors, by those that audits under way may become.
 *
 * @param delay  undefined where no audit had its outcome yet
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

/** Path of its fields in errors about a saved state. */
const AT = 'errorBudget.window'

export class BudgetWindow {
  answers = 0
  detected = 0
  /** Answers that were given by the memory. */
  given = 0
  /** Once its detected errors are used up it ends after this many answers: what they were about is gone. */
  mayEndAfter = Number.POSITIVE_INFINITY
  readonly #open: OpenAudits

  /** @param before  of the window before */
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

  /** Whether a confident one may be given now. */
  get mayGive(): boolean {
    return this.detected < this.terms.mostDetected && !this.isHeld
  }

  /** Nothing may be given until an audit that is under way has its outcome. */
  get isHeld(): boolean {
    return this.#open.sinceLast(this.terms.mostDetected - this.detected) > this.terms.kept
  }

  get delay(): Delay | undefined {
    return this.#open.delay
  }

  /** Detected errors that may be used up: while no more are left than audits are under way, nothing is given. */
  get left(): number {
    const { mostDetected, rate } = this.terms
    const left = mostDetected - this.detected
    return left && Math.max(1, left - Math.ceil(2 * rate * (this.delay?.mean ?? 0)))
  }

  /** One that the memory is confident of. */
  count(): void {
    this.#open.count()
  }

  /** An audit begins. @returns ends it */
  audit(): (right: boolean) => void {
    const end = this.#open.begin()
    return (right) => {
      if (end() && !right) this.detected++
    }
  }

  /** How many audits have no outcome. */
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

  /** @throws RangeError for what `save` never gave: with more than a coin allows for, or another coin */
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

  /** Of answers so far those that were wrong, at most, with a probability of 95 %. */
  get wrongAtMost(): number {
    return Math.min(this.terms.budget, mostGiven(this.detected, this.terms.rate))
  }
}
