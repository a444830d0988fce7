/** A service whose attempts the test begins and ends by hand, and a caller that writes down what it is told. */

import { expect } from 'vitest'
import type { Clock } from '../../src/base/clock'
import { ApproxiferError, type Code } from '../../src/base/errors'
import { Payload } from '../../src/base/payload'
import { type Attempt, type Identity, NORMAL } from '../../src/pool/attempt'
import { type Caller, type Drop, type Failure, type Outcome, type Query, type Service, Tried } from '../../src/service'
import { VirtualClock } from '../../src/testing/virtual-clock'

export const payload = (...values: number[]) =>
  new Payload([{ data: Float32Array.from(values), shape: [values.length] }])

export function failure(code: Code, blame: Failure['blame'], message = 'broke'): Failure {
  return { kind: 'failure', error: new ApproxiferError(code, message), blame }
}

export function queryOf(over: Partial<Query> & { choices?: Partial<Query['choices']> } = {}): Query {
  const tried = over.tried ?? new Tried()
  return {
    ...{
      payload: payload(1),
      said: {},
      turn: NORMAL,
      since: 0,
      dueAt: 1000,
      priority: 'normal',
      refusal: undefined,
      why: 'first',
    },
    ...{ apart: [tried], tried, ...over },
    choices: { policy: 'auto', minConfidence: 0.9, atDeadline: 'fail', onOverload: 'fail', ...over.choices },
  }
}

export class FakeAttempt {
  identity: Identity | undefined
  worker: { name: string; interruptible?: boolean } | undefined
  /** Strangers that were sent it: written by the test. */
  seenBy: Identity[] = []
  onTime = false
  outcome: { kind: string; blame?: string; error?: ApproxiferError; answer?: Payload; lost?: string } | undefined
  startedAt = Number.NaN
  ranMs = 0
  factor = 1
  /** How it was dropped. */
  dropped: Drop | undefined
  #isOver = false

  constructor(
    readonly query: Query,
    readonly caller: Caller,
    readonly clock: Clock,
  ) {}

  get phase(): Attempt['phase'] {
    if (this.outcome) return 'settled'
    return this.identity ? 'running' : 'queued'
  }

  get own(): Attempt {
    return this as unknown as Attempt
  }

  begin(identity: Identity): this {
    expect(
      this.query.apart.some((apart) => apart.blocks(identity)),
      `${identity} is asked twice`,
    ).toBe(false)
    this.identity = identity
    this.worker = { name: identity }
    this.startedAt = this.clock.now()
    this.caller.began?.(this.own)
    return this
  }

  answer(...values: number[]): void {
    const answer = payload(...values)
    this.outcome = { kind: 'answered', answer }
    this.#end({ kind: 'answer', answer, status: 'exact', confidence: 1, by: [this.own] })
  }

  fail(blame: Failure['blame'] = 'worker', over: { code?: Code; lost?: 'down' | 'shared' | 'silent' } = {}): void {
    const { code = 'WORKER', lost } = over
    const failed = failure(code, blame)
    this.outcome = { kind: 'failed', blame, error: failed.error, lost }
    this.#end(failed)
  }

  drop(why: Drop): void {
    this.#isOver = true
    this.dropped ??= why
    if (this.phase !== 'queued') return
    this.outcome = { kind: 'cancelled' }
    this.#end(failure('ABORTED', 'nobody'))
  }

  expire(): void {
    if (!this.#isOver) this.caller.settled(failure('DEADLINE', 'nobody'))
    this.drop('over')
  }

  #end(outcome: Outcome): void {
    this.onTime = !this.#isOver
    this.caller.ended?.(this.own)
    if (!this.#isOver) this.caller.settled(outcome)
    this.#isOver = true
    this.caller.done?.()
  }
}

/** @returns what it was asked, in turn */
export function fakeService(clock = new VirtualClock()) {
  const asked: FakeAttempt[] = []
  const service: Service = (query, caller) => {
    const attempt = new FakeAttempt(query, caller, clock)
    query.tried.add(attempt.own)
    asked.push(attempt)
    return { drop: (why) => attempt.drop(why), expire: () => attempt.expire() }
  }
  return { clock, asked, service }
}

/** @returns a caller, and what it was told: it fails the test where that breaks the contract */
export function listener() {
  const log: string[] = []
  const outcomes: Outcome[] = []
  const caller: Caller = {
    began: ({ identity }) => log.push(`began ${identity}`),
    ended: ({ identity }) => log.push(`ended ${identity}`),
    settled(outcome) {
      expect(outcomes.push(outcome), 'settled twice').toBe(1)
      log.push(outcome.kind === 'answer' ? `${outcome.status} ${outcome.answer.vector.join()}` : outcome.error.code)
    },
    done() {
      expect(log, 'done twice').not.toContain('done')
      log.push('done')
    },
  }
  return { log, outcomes, caller }
}
