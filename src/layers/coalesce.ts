/**
 * Equal queries that are under way at once share one call and its answer. A caller that leaves, or is due before the others, does not end it for
 * them. What was recovered is one caller's: each counts as an error until the model's own answer comes, so the others are asked again.
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
  /** Queries that got the answer to an equal one: they are counted here. */
  readonly counts: { reused: number }
  /** Nothing is shared: the model does not answer the same twice. */
  isOff(): boolean
}

export function coalesce(options: CoalesceOptions): Layer {
  return (next) => {
    const layer: CoalesceLayer = { ...options, next, flights: new Map() }
    return (query, caller) => {
      if (options.isOff() || !isUsual(query.said)) return next(query, caller)
      // A query that is refused may have another's answer, but others have nothing of its refusal.
      const isAlone = !layer.flights.has(keyOf(query.turn.tenant, query.payload)) && query.refusal
      return isAlone ? next(query, caller) : new SharedCall(layer, query, caller)
    }
  }
}

interface CoalesceLayer extends CoalesceOptions {
  readonly next: Service
  /** By the queries that are asked. */
  readonly flights: Map<string, Flight>
}

/** Whether its caller chose nothing for this query, so that another caller's answer will do. */
function isUsual({ policy, minConfidence, atDeadline }: OwnChoices): boolean {
  return policy === undefined && minConfidence === undefined && atDeadline === undefined
}

/** One caller's. */
class SharedCall implements Call {
  readonly query: Query
  readonly #layer: CoalesceLayer
  readonly #caller: Caller
  #flight: Flight
  isOpen = true
  /** Time is up. */
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

  /** What it was asked with came to nothing, and it has time left. */
  again(): void {
    this.#flight = this.#find()
    try {
      this.#flight.join(this)
    } catch (error) {
      this.settle({ kind: 'failure', error: asError(error, 'WORKER'), blame: 'nobody' }) // its tenant cannot be made
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

/** The call that several wait for. */
class Flight extends OutgoingCall {
  /** Its query is asked, and its caller hears of attempts, also when it waits no more. */
  readonly first: SharedCall
  readonly #layer: CoalesceLayer
  /** In the order in which they came. */
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

  /** Nobody joins any more. */
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
   * Layers beneath may give the first caller something at its deadline, and the last caller; they cannot give it to one and go on for others. With
   * `retry` they give nothing.
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
      const isOfFirst = code === 'DEADLINE' || outcome.blame === 'load' // it was asked with the first one's deadline
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
