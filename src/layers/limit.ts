/** Ends each query at its deadline. This is the outermost layer: beneath it no call may wait for ever. */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { Relay } from '../service'
import { type Timeable, Timers } from './timers'

/** An expired call settles within `OVERTIME_MS`. If it does not, this layer settles it after this time. */
const GRACE_MS = 30

export function limit({ clock }: { clock: Clock }): Layer {
  const timers = new Timers(clock)
  return (next) => (query, caller) => new LimitedCall(clock, timers, next, query, caller)
}

class LimitedCall extends Relay implements Call, Timeable {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #query: Query
  readonly #call: Call
  #isOpen = true
  #isExpired = false
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(clock: Clock, timers: Timers, next: Service, query: Query, caller: Caller) {
    super(caller)
    this.#clock = clock
    this.#timers = timers
    this.#query = query
    this.#call = next(query, this)
    if (query.dueAt < Number.POSITIVE_INFINITY) timers.set(this, query.dueAt)
  }

  due(): void {
    if (!this.#isExpired) return this.expire()
    const ms = Math.round(this.#clock.now() - this.#query.since)
    this.settled({
      kind: 'failure',
      error: new ApproxiferError('DEADLINE', `no answer within ${ms} ms`),
      blame: 'nobody',
    })
    this.#call.drop('teach')
  }

  expire(): void {
    if (!this.#isOpen || this.#isExpired) return
    this.#isExpired = true
    this.#timers.set(this, this.#clock.now() + GRACE_MS)
    this.#call.expire()
  }

  drop(why: Drop): void {
    this.#close()
    this.#call.drop(why)
  }

  override settled(outcome: Outcome): void {
    if (this.#close()) this.caller.settled(outcome)
  }

  #close(): boolean {
    if (!this.#isOpen) return false
    this.#isOpen = false
    this.#timers.remove(this)
    return true
  }
}
