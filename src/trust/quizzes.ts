/** Queries of callers that a trusted worker has answered, and no stranger has seen: what newcomers are asked. */

import type { Payload } from '../base/payload'
import type { Evidence } from './evidence'

/** Kept at most, and values in them. */
const MOST_KEPT = 256
const MOST_VALUES = 2 ** 23

export interface Quiz {
  readonly payload: Payload
  readonly answer: Payload
}

export class Quizzes {
  readonly #evidence: Pick<Evidence, 'renewals'>
  #kept: Quiz[] = []
  /** Of which model they are. */
  #renewals: number

  constructor(evidence: Pick<Evidence, 'renewals'>) {
    this.#evidence = evidence
    this.#renewals = evidence.renewals
  }

  get isAny(): boolean {
    return this.#kept.length > 0 && this.#renewals === this.#evidence.renewals
  }

  keep(quiz: Quiz): void {
    if (this.#renewals !== this.#evidence.renewals) this.#kept = []
    this.#renewals = this.#evidence.renewals
    this.#kept.push(quiz)
    const most = Math.max(2, Math.min(MOST_KEPT, Math.floor(MOST_VALUES / (quiz.payload.size + quiz.answer.size))))
    this.#kept.splice(0, this.#kept.length - most)
  }

  /** One of them, which is asked once. @param coin  uniform, from 0 to 1 */
  take(coin: number): Quiz {
    return this.#kept.splice(Math.floor(coin * this.#kept.length), 1)[0]
  }
}
