/** Queries that a trusted worker has answered and no untrusted worker has seen: candidates are tested with them. */

import type { Payload } from '../base/payload'
import type { Evidence } from './evidence'

/** Spot checks that are kept, and the values in them. */
const MOST_KEPT = 256
const MOST_VALUES = 2 ** 23

export interface SpotCheck {
  readonly payload: Payload
  readonly answer: Payload
}

export class SpotChecks {
  readonly #evidence: Pick<Evidence, 'renewals'>
  #kept: SpotCheck[] = []
  /** How often the model had been replaced when the kept queries were answered. */
  #renewals: number

  constructor(evidence: Pick<Evidence, 'renewals'>) {
    this.#evidence = evidence
    this.#renewals = evidence.renewals
  }

  get isAny(): boolean {
    return this.#kept.length > 0 && this.#renewals === this.#evidence.renewals
  }

  keep(check: SpotCheck): void {
    if (this.#renewals !== this.#evidence.renewals) this.#kept = []
    this.#renewals = this.#evidence.renewals
    this.#kept.push(check)
    const most = Math.max(2, Math.min(MOST_KEPT, Math.floor(MOST_VALUES / (check.payload.size + check.answer.size))))
    this.#kept.splice(0, this.#kept.length - most)
  }

  /** Removes a random spot check and returns it. @param coin  uniform, from 0 to 1 */
  take(coin: number): SpotCheck {
    return this.#kept.splice(Math.floor(coin * this.#kept.length), 1)[0]
  }
}
