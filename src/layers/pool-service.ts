/** The innermost service: one attempt, at the worker of the pool that will answer first. */

import { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Attempt, Attempts, Owner } from '../pool/attempt'
import type { Call, Caller, Drop, Outcome, Query, Service } from '../service'

/** A resolved promise is cheaper than `queueMicrotask`, which makes an object for async hooks each time. */
const SOON = Promise.resolve()

type AttemptsPool = Pick<Attempts<Payload, Payload>, 'submit' | 'cancel' | 'release' | 'record'>

export function poolService(pool: AttemptsPool): Service {
  return (query, caller) => new AttemptCall(pool, query, caller)
}

class AttemptCall implements Call, Owner {
  readonly #pool: AttemptsPool
  readonly #query: Query
  readonly #caller: Caller
  /** undefined during `submit`. */
  readonly #attempt: Attempt<Payload, Payload> | undefined
  /** Whether the constructor has returned: the caller may not be called until it has the call. */
  #isReturned = false
  #hasBegun = false
  #isOver = false

  constructor(pool: AttemptsPool, query: Query, caller: Caller) {
    this.#pool = pool
    this.#query = query
    this.#caller = caller
    const { payload, turn, dueAt, priority, apart, tried } = query
    const { traceparent } = tried
    const attempt = pool.submit({ payload, owner: this, apart, priority, dueAt, turn, traceparent, isStranded: true })
    this.#attempt = attempt
    tried.add(attempt)
    if (this.#hasBegun) void SOON.then(() => this.#tellBegun())
    else this.#isReturned = true
  }

  /** If a worker is free, the pool calls this before `submit` returns. */
  began(attempt: Attempt): void {
    const { tried, why } = this.#query
    tried.add(attempt)
    tried.trace?.began(attempt, tried.attempts.indexOf(attempt), why)
    this.#hasBegun = true
    if (this.#isReturned) this.#caller.began?.(attempt)
  }

  settled(): void {
    if (!this.#attempt) return void SOON.then(() => this.settled()) // a worker closed the pool during `submit`
    this.#tellBegun()
    const caller = this.#caller
    const attempt = this.#attempt
    this.#pool.record({ attempt, onTime: !this.#isOver })
    const { tried } = this.#query
    tried.trace?.settled(attempt, tried.attempts.indexOf(attempt))
    caller.ended?.(attempt)
    if (!this.#isOver) {
      this.#isOver = true
      caller.settled(outcomeOf(attempt))
    }
    caller.done?.()
  }

  drop(why: Drop): void {
    this.#isOver = true
    this.#leave(why)
  }

  expire(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#caller.settled(failed(new ApproxiferError('DEADLINE', 'no answer in time'), 'nobody'))
    this.#leave('over')
  }

  #leave(why: Drop): void {
    const attempt = this.#attempt
    if (!attempt || attempt.phase === 'settled') return
    const isQueued = attempt.phase === 'queued'
    const isTold = why === 'left' || why === 'void' || (why === 'over' && attempt.worker?.interruptible === true)
    this.#pool[isTold ? 'cancel' : 'release'](attempt)
    if (isQueued) this.settled() // the pool does not report attempts that were queued
  }

  #tellBegun(): void {
    if (this.#isReturned) return
    this.#isReturned = true
    const attempt = this.#attempt as Attempt
    if (attempt.worker) this.#caller.began?.(attempt) // otherwise the worker has lost the attempt by now, and the next worker's `began` is reported
  }
}

function outcomeOf(attempt: Attempt<Payload, Payload>): Outcome {
  const { outcome, worker } = attempt
  if (outcome?.kind === 'answered')
    return { kind: 'answer', answer: outcome.answer, status: 'exact', confidence: 1, by: [attempt] }
  if (outcome?.kind !== 'failed') return failed(new ApproxiferError('ABORTED', 'the attempt was taken back'), 'nobody')
  const { error, blame } = outcome
  return failed(error, error.code === 'OVERLOADED' && !worker ? 'load' : blame)
}

function failed(error: ApproxiferError, blame: 'worker' | 'payload' | 'nobody' | 'load'): Outcome {
  return { kind: 'failure', error, blame }
}
