/** Each query ends at its deadline. The outermost layer: beneath it no call may wait for ever. */

import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import type { Attempt } from '../pool/attempt'
import type { Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { type Timeable, Timers } from './timers'

/** A call that has expired settles within so many milliseconds; else it is settled here. */
const GRACE_MS = 20

export function limit({ clock }: { clock: Clock }): Layer {
  const timers: DeadlineTimers = { clock, deadlines: new Timers(clock), graces: new Timers(clock) }
  return (next) => (query, caller) => new LimitedCall(timers, next, query, caller)
}

interface DeadlineTimers {
  readonly clock: Clock
  readonly deadlines: Timers
  readonly graces: Timers
}

class LimitedCall implements Call, Caller, Timeable {
  readonly #timers: DeadlineTimers
  readonly #caller: Caller
  readonly #call: Call
  #isOpen = true
  #isExpired = false
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(timers: DeadlineTimers, next: Service, query: Query, caller: Caller) {
    this.#timers = timers
    this.#caller = caller
    this.#call = next(query, this)
    if (query.dueAt < Number.POSITIVE_INFINITY) timers.deadlines.set(this, query.dueAt)
  }

  due(): void {
    if (!this.#isExpired) return this.expire()
    this.settled({ kind: 'failure', error: new ApproxiferError('DEADLINE', 'no answer in time'), blame: 'nobody' })
    this.#call.drop('over')
  }

  expire(): void {
    if (!this.#isOpen || this.#isExpired) return
    const { clock, deadlines, graces } = this.#timers
    deadlines.remove(this)
    this.#isExpired = true
    graces.set(this, clock.now() + GRACE_MS)
    this.#call.expire()
  }

  drop(why: Drop): void {
    this.#close()
    this.#call.drop(why)
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    this.#caller.ended?.(attempt)
  }

  settled(outcome: Outcome): void {
    if (this.#close()) this.#caller.settled(outcome)
  }

  done(): void {
    this.#caller.done?.()
  }

  /** @returns whether it was open */
  #close(): boolean {
    if (!this.#isOpen) return false
    this.#isOpen = false
    this.#timers[this.#isExpired ? 'graces' : 'deadlines'].remove(this)
    return true
  }
}
