/**
 * Audits an answer that the cache or the memory could have given: a worker is asked all the same, and the caller gets the model's own
 * answer. An audit outlives its caller and its deadline, else errors would be missed.
 */

import type { Clock } from '../base/clock'
import type { Attempt } from '../pool/attempt'
import type { Answer, Caller, Drop, Outcome, Query, Service } from '../service'
import { changed, OutgoingCall, tooLate } from '../service'
import type { Timeable, Timers } from './timers'

/** Time limit of an audit: long enough for workers to go down and restart. */
const AUDIT_MS = 60_000

export interface ReuseAuditOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly next: Service
}

/** @param report  called once, before the caller; undefined: no answer came */
export function audit(
  { clock, timers, next }: ReuseAuditOptions,
  query: Query,
  caller: Caller,
  report: (own: Answer | undefined) => void,
): ReuseAuditCall {
  const { choices, turn } = query
  const dueAt = clock.now() + AUDIT_MS
  const call = new ReuseAuditCall(timers, query, caller, report)
  const asking = {
    said: askedOf(query),
    choices: { ...choices, policy: 'retry' as const },
    turn: { ...turn, rank: 0 as const }, // while audits have no outcome, nothing may be given
    dueAt,
    why: 'audit' as const,
    refusal: false as const, // a refusal would count as an error
  }
  call.send(next, changed(query, asking))
  timers.set(call, dueAt)
  return call
}

/** Options of a query for which a worker is asked in any case. */
export function askedOf({ said }: Query): Query['said'] {
  return { ...said, ask: true, onOverload: 'fail' }
}

class ReuseAuditCall extends OutgoingCall implements Timeable {
  readonly #timers: Timers
  readonly #query: Query
  readonly #caller: Caller
  #report: ((own: Answer | undefined) => void) | undefined
  /** Whether its caller waits. */
  #isOpen = true
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(timers: Timers, query: Query, caller: Caller, report: (own: Answer | undefined) => void) {
    super()
    this.#timers = timers
    this.#query = query
    this.#caller = caller
    this.#report = report
  }

  override drop(why: Drop): void {
    this.#isOpen = false
    if (why !== 'void') return
    this.#end(undefined)
    super.drop(why)
  }

  override expire(): void {
    if (this.#isOpen) this.#caller.settled(tooLate(this.#query))
    this.#isOpen = false
  }

  /** The audit's own time limit has come. */
  due(): void {
    super.expire()
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    this.#caller.ended?.(attempt)
  }

  settled(outcome: Outcome): void {
    this.#end(outcome.kind === 'answer' ? outcome : undefined)
    if (this.#isOpen) this.#caller.settled(outcome)
    this.#isOpen = false
  }

  done(): void {
    this.#caller.done?.()
  }

  #end(own: Answer | undefined): void {
    this.#timers.remove(this)
    const report = this.#report
    this.#report = undefined
    report?.(own)
  }
}
