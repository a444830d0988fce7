/**
 * Now and then asks a second worker for a query that one has answered, or compares two answers that came anyway: a difference shows that
 * one of the workers lies. No caller waits for it.
 */

import type { Payload } from '../base/payload'
import type { Attempt } from '../pool/attempt'
import type { Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { answerOf, Relay } from '../service'

export interface AuditOptions {
  readonly trust: {
    /** @param answered  one or more answered attempts for the query */
    compare(payload: Payload, answered: readonly Attempt<Payload, Payload>[]): void
  }
}

export function audit({ trust }: AuditOptions): Layer {
  return (next) => (query, caller) => new AuditedCall(trust, next, query, caller)
}

class AuditedCall extends Relay implements Call {
  readonly #trust: AuditOptions['trust']
  readonly #query: Query
  readonly #call: Call
  /** Once the call is settled or dropped, each further answer is compared. */
  #isOver = false
  /** The model was replaced: answers prove nothing any more. */
  #isVoid = false

  constructor(trust: AuditOptions['trust'], next: Service, query: Query, caller: Caller) {
    super(caller)
    this.#trust = trust
    this.#query = query
    this.#call = next(query, this)
  }

  drop(why: Drop): void {
    this.#isOver = true
    if (why === 'void') this.#isVoid = true
    this.#call.drop(why)
  }

  expire(): void {
    this.#call.expire()
  }

  override ended(attempt: Attempt): void {
    super.ended(attempt)
    if (this.#isOver && answerOf(attempt)) this.#compare()
  }

  override settled(outcome: Outcome): void {
    this.#isOver = true
    super.settled(outcome)
    if (outcome.kind === 'answer') this.#compare()
  }

  #compare(): void {
    if (this.#isVoid) return
    const answered = this.#query.tried.attempts.filter(answerOf) as readonly Attempt<Payload, Payload>[]
    this.#trust.compare(this.#query.payload, answered)
  }
}
