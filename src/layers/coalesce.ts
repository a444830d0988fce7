/**
 * Equal queries that are under way at the same time share one call and its answer (singleflight). A caller that leaves, or whose deadline
 * comes first, does not end the call for the others.
 *
 * A recovered answer goes to one caller only, and the others ask again: the error budget counts each recovery as wrong until the model's
 * own answer comes.
 */

import { NONE } from '../base/arrays'
import type { OwnChoices } from '../base/choices'
import type { Clock } from '../base/clock'
import { asError } from '../base/errors'
import type { Attempt } from '../pool/attempt'
import type { Answer, Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { OutgoingCall, tooLate } from '../service'
import { isSame, keyOf } from './exact-cache'

export interface CoalesceOptions {
  readonly clock: Clock
  /** Statistics of queries that got the answer to an equal one. */
  readonly counts: { reused: number }
  /** Whether nothing is shared, since the model does not answer equal queries equally. */
  isOff(): boolean
}

export function coalesce(options: CoalesceOptions): Layer {
  return (next) => {
    const layer: CoalesceLayer = { ...options, next, flights: new Map() }
    return (query, caller) => {
      if (options.isOff() || !isUsual(query.said)) return next(query, caller)
      // A query that the pool refuses may share another query's answer, but no other query may share its refusal.
      const isAlone = !layer.flights.has(keyOf(query.turn.tenant, query.payload)) && query.refusal
      return isAlone ? next(query, caller) : new SharedCall(layer, query, caller)
    }
  }
}

interface CoalesceLayer extends CoalesceOptions {
  readonly next: Service
  /** Calls under way, by the keys of their queries. */
  readonly flights: Map<string, Flight>
}

/** Whether the caller set no option of its own for this query, so that another caller's answer will do. */
function isUsual({ policy, minConfidence, atDeadline }: OwnChoices): boolean {
  return policy === undefined && minConfidence === undefined && atDeadline === undefined
}

/** One caller's part of a shared call. */
class SharedCall implements Call {
  readonly query: Query
  readonly #layer: CoalesceLayer
  readonly #caller: Caller
  #flight: Flight
  isOpen = true
  isDue = false

  constructor(layer: CoalesceLayer, query: Query, caller: Caller) {
    this.query = query
    this.#layer = layer
    this.#caller = caller
    this.#flight = this.#find()
    this.#flight.join(this)
  }

  #find(): Flight {
    const { flights } = this.#layer
    const { turn, payload } = this.query
    const known = flights.get(keyOf(turn.tenant, payload))
    return known && isSame(known.first.query.payload, payload) ? known : new Flight(this.#layer, this)
  }

  /** The shared call failed, but this caller has time left: it asks again. */
  again(): void {
    this.#flight = this.#find()
    try {
      this.#flight.join(this)
    } catch (error) {
      this.settle({ kind: 'failure', error: asError(error, 'WORKER'), blame: 'nobody' }) // the state of its tenant could not be created
      if (this.#flight.first === this) this.done()
    }
  }

  drop(why: Drop): void {
    const wasOpen = this.isOpen
    this.isOpen = false
    this.#flight.leave(this, why)
    if (wasOpen && this.#flight.first !== this) this.done()
  }

  expire(): void {
    if (!this.isOpen) return
    this.isDue = true
    this.#flight.due(this)
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    this.#caller.ended?.(attempt)
  }

  settle(outcome: Outcome): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#caller.settled(outcome)
    if (this.#flight.first !== this) this.done()
  }

  done(): void {
    this.#caller.done?.()
  }
}

/** The call that several callers wait for. */
class Flight extends OutgoingCall {
  /** Its query is sent, and its caller hears of the attempts, even after it has left. */
  readonly first: SharedCall
  readonly #layer: CoalesceLayer
  /** In order of arrival. */
  #waiting: SharedCall[] = NONE

  constructor(layer: CoalesceLayer, first: SharedCall) {
    super()
    this.#layer = layer
    this.first = first
  }

  join(call: SharedCall): void {
    if (call !== this.first) {
      call.query.tried.trace?.coalesced(this.first.query.tried.trace)
      return void this.#waiting.push(call)
    }
    this.#waiting = [call]
    const { flights, next } = this.#layer
    this.send(next, call.query)
    if (this.#waiting.length && !flights.has(this.#key)) flights.set(this.#key, this)
  }

  get #key(): string {
    const { turn, payload } = this.first.query
    return keyOf(turn.tenant, payload)
  }

  /** No further caller may join. */
  #land(): void {
    const { flights } = this.#layer
    if (flights.get(this.#key) === this) flights.delete(this.#key)
  }

  leave(call: SharedCall, why: Drop): void {
    this.#remove(call)
    if (this.#waiting.length) return
    this.#land()
    this.drop(why)
  }

  #remove(call: SharedCall): void {
    const at = this.#waiting.indexOf(call)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /**
   * At a deadline, layers beneath may give a recovery to the first caller, or to the last that waits. They cannot give one to a caller and
   * go on for the others. With `retry` they give none.
   */
  due(call: SharedCall): void {
    const isLast = this.#waiting.length === 1
    if (isLast || (call === this.first && call.query.choices.policy !== 'retry')) {
      this.#land()
      this.expire()
    } else {
      this.#remove(call)
      call.settle(tooLate(call.query))
    }
  }

  began(attempt: Attempt): void {
    this.first.began(attempt)
  }

  ended(attempt: Attempt): void {
    this.first.ended(attempt)
  }

  settled(outcome: Outcome): void {
    this.#land()
    const waiting = this.#waiting
    this.#waiting = []
    if (outcome.kind === 'answer') this.#answer(waiting, outcome)
    else {
      const now = this.#layer.clock.now()
      const { code } = outcome.error
      const isOfFirst = code === 'DEADLINE' || outcome.blame === 'load' // the call had the first caller's deadline
      const askedUntil = Math.max(now, this.first.query.dueAt)
      for (const call of waiting) {
        const mayAsk = isOfFirst && call !== this.first && !call.isDue && call.query.dueAt > askedUntil
        if (mayAsk && call.isOpen) call.again()
        else call.settle(outcome)
      }
    }
  }

  #answer([one, ...others]: readonly SharedCall[], outcome: Answer): void {
    one?.settle(outcome)
    if (!others.length) return
    const { answer, status, confidence, by, id } = outcome
    const equal: Answer = { kind: 'answer', answer, status, confidence, by, id, reused: true }
    for (const call of others) {
      if (!call.isOpen) continue
      if (status === 'recovered') call.again()
      else {
        this.#layer.counts.reused++
        call.settle(equal)
      }
    }
  }

  done(): void {
    this.first.done()
  }
}
