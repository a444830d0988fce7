/**
 * The interface of all layers: a service takes a query, returns a call, and reports to its caller. A layer makes a service of another service.
 * The contract of a call:
 *
 * 1. No method of the caller is called before the service has returned the call. (A layer that makes several calls may get reports of the
 *    first while it makes the second.)
 * 2. `settled` is called once, and not after `drop`.
 * 3. `began` and `ended` are called for every attempt, also after `settled` and `drop`, unless a layer stops or delays them: late answers
 *    still teach the memory and count as votes. An attempt's `ended` is called before the `settled` that it causes.
 * 4. `done` is called once, last: no attempt runs any more, and the payload may be freed. A layer settles before it drops its other calls,
 *    since a drop may cause `done` at once.
 * 5. Payloads and answers are read-only: the user of `predict` gets a copy.
 * 6. The layer `limit` ends a call at its deadline. A layer that makes a call after it settled its own call must end that call itself.
 */

import { append, NONE } from './base/arrays'
import type { Choices, OwnChoices } from './base/choices'
import { ApproxiferError } from './base/errors'
import type { Payload } from './base/payload'
import type { Prediction, Recovered, Status } from './base/prediction'
import type { Reason, Trace } from './events'
import type { RecalledAnswer } from './memory/service'
import type { Apart, Attempt, Attempts, Identity, Priority, Turn } from './pool/attempt'

export interface Query {
  readonly payload: Payload
  readonly choices: Required<Choices>
  /** The choices that the caller made for this query; `choices` has the predictor's defaults for all others. */
  readonly said: OwnChoices
  readonly turn: Turn
  /** The time of its arrival. */
  readonly since: number
  /** The time of its deadline. */
  readonly dueAt: number
  readonly priority: Priority
  /** The pool's refusal where a worker would answer too late; the memory may still answer. `false`: admitted however long the queue is. */
  readonly refusal: ApproxiferError | false | undefined
  /** Why a worker is asked. */
  readonly why: Reason
  /** Identities that its attempts must avoid: those of `tried`, and those that layers add. */
  readonly apart: readonly Apart[]
  /** Its attempts so far, shared by all calls for it. */
  readonly tried: Tried
}

/** The fields of a query that a layer may change. */
type QueryChange = Partial<Omit<Query, 'payload' | 'since' | 'tried'>>

/** A query with changed fields, which shares `tried` with the original. Fields are copied by name: a spread takes 2 us, and omits getters. */
export function changed(query: Query, change: QueryChange): Query {
  const { payload, since, tried } = query
  const { choices = query.choices, said = query.said, turn = query.turn, dueAt = query.dueAt } = change
  const { priority = query.priority, refusal = query.refusal, why = query.why, apart = query.apart } = change
  return { payload, choices, said, turn, since, dueAt, priority, refusal, why, apart, tried }
}

/** The source of an answer: an attempt, or its record, which outlives the worker. */
export interface Origin extends Pick<Attempt, 'identity' | 'startedAt' | 'ranMs'> {
  readonly worker: { readonly name: string; readonly identity?: Identity | undefined } | undefined
}

export interface Answer {
  readonly kind: 'answer'
  readonly answer: Payload
  readonly status: Status
  readonly confidence: number | undefined
  /** The attempts that it was made of. */
  readonly by: readonly Origin[]
  /** The id by which an unproven answer may be recalled. */
  readonly id?: number | undefined
  /** How it was recovered, if it was. */
  readonly recovery?: Prediction['recovery']
  /** Set where it is the answer to an equal query of another caller. */
  readonly reused?: true
}

export interface Failure {
  readonly kind: 'failure'
  readonly error: ApproxiferError
  /** The cause. `worker`: workers failed. `payload`: no worker could answer this query. `load`: an answer would be too late. `nobody`: its worker was removed, or the deadline passed. */
  readonly blame: 'worker' | 'payload' | 'nobody' | 'load'
}

export type Outcome = Answer | Failure

/** The failure of a caller whose deadline passed, where its query goes on for other callers. */
export function tooLate({ since, dueAt }: Pick<Query, 'since' | 'dueAt'>): Failure {
  const text = `no answer within ${Math.round(dueAt - since)} ms`
  return { kind: 'failure', error: new ApproxiferError('DEADLINE', text), blame: 'nobody' }
}

/** What a group can decode for a query whose answer is late or lost. */
export interface Offer {
  readonly recoveries: readonly Recovered[]
  /** Whether the query is mixed into an answered parity. */
  readonly isMixed: boolean
  /** How many queries of the group have no answer of their own. */
  readonly missing: number
  /** The attempts that it was decoded from. */
  readonly by: readonly Attempt[]
}

export interface Caller {
  /** A worker has begun with an attempt. Called again where that worker lost the attempt, or was too busy for it, and another one has begun. */
  began?(attempt: Attempt): void
  /** An attempt has its outcome. */
  ended?(attempt: Attempt): void
  /**
   * A layer below may decode a substitute for the answer. Called again when it knows more.
   *
   * @param decode  the substitute by the time of the call; undefined: nothing can be decoded then
   * @param isLost  whether the answer itself will not come: its failure is held back while something may be decoded
   */
  offer?(decode: () => Offer | undefined, isLost: boolean): void
  settled(outcome: Outcome): void
  done?(): void
}

/**
 * Why a call is dropped. It decides what happens to running attempts. `left`: the caller left; they are aborted. `void`: the same, and a late
 * answer is ignored, such as after the model was replaced. `over`: the query has its answer; attempts are aborted at workers that an abort
 * frees. `teach`: they go on, since their answers teach the memory.
 */
export type Drop = 'left' | 'void' | 'over' | 'teach'

/** How long after its deadline a call may wait for a lookup in the memory, ms. */
export const OVERTIME_MS = 20

export interface Call {
  /** The caller no longer waits. Queued attempts are withdrawn. */
  drop(why: Drop): void
  /** The deadline has passed: the call settles now, or within `OVERTIME_MS` where a memory is asked. */
  expire(): void
}

/** A caller that forwards every report to another caller. */
export class Relay implements Caller {
  protected readonly caller: Caller

  constructor(caller: Caller) {
    this.caller = caller
  }

  began(attempt: Attempt): void {
    this.caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    this.caller.ended?.(attempt)
  }

  offer(decode: () => Offer | undefined, isLost: boolean): void {
    this.caller.offer?.(decode, isLost)
  }

  settled(outcome: Outcome): void {
    this.caller.settled(outcome)
  }

  done(): void {
    this.caller.done?.()
  }
}

/** A call whose outcome is known already: it settles in a microtask. */
export class SettledCall implements Call {
  #isOpen = true

  constructor(caller: Caller, outcome: Outcome) {
    void Promise.resolve().then(() => {
      if (this.#isOpen) caller.settled(outcome)
      caller.done?.()
    })
  }

  drop(): void {
    this.#isOpen = false
  }

  expire(): void {} // it settles in a microtask anyway
}

/** A caller with one call to another service. It may be dropped even while that service is being called, since users' code (of a worker) may run then. */
export abstract class OutgoingCall implements Caller {
  #call: Call | undefined
  #dropped: Drop | undefined

  /** Sends the query. May be repeated once the earlier call has settled and runs no attempt. */
  send(service: Service, query: Query): void {
    this.#call = service(query, this)
    if (this.#dropped) this.#call.drop(this.#dropped)
  }

  drop(why: Drop): void {
    this.#dropped ??= why
    this.#call?.drop(why)
  }

  expire(): void {
    this.#call?.expire()
  }

  abstract settled(outcome: Outcome): void
}

export type Service = (query: Query, caller: Caller) => Call
export type Layer = (next: Service) => Service

/** Stacks layers on a service. The first layer is outermost. */
export const stack = (bottom: Service, ...layers: readonly Layer[]): Service =>
  layers.reduceRight((next, layer) => layer(next), bottom)

/** The attempts of one query, shared by all layers and calls: no identity is asked twice, and hedges and failures are counted once for all calls. */
export class Tried implements Apart {
  attempts: readonly Attempt[] = NONE
  /** How many hedges were sent. */
  hedges = 0
  /** Whether a worker has begun with a hedge. */
  hedged = false
  /** An attempt at an ejected worker, whose answer is only compared. */
  trial: Attempt | undefined
  /** The memory's answer to the query, looked up once for all layers. */
  recalled: RecalledAnswer | undefined
  /** Whether the memory does not learn the answer: while lookups do not pay, it learns only as many answers as it makes lookups. */
  isPassedOver = false
  /** The answers of trusted workers so far, where a single answer proves nothing. */
  unproven: (() => readonly Payload[]) | undefined
  /** Whether its caller was given a recovered answer. */
  isRecovered = false
  /** The position of the given answer among those that may be recalled. */
  place: number | undefined
  /** Counts the identities that may still be asked, where a layer has added to `apart` for good; default: the pool. Otherwise attempts would wait for identities that they must avoid. */
  reach: Pick<Attempts, 'available'> | undefined
  /** Records the query's events; undefined where there is no listener. */
  readonly trace: Trace | undefined
  /** W3C Trace Context, for the workers. */
  readonly traceparent: string | undefined
  /** Failed attempts whose workers may be asked again, since no other worker was left. */
  #forgiven: readonly Attempt[] | undefined

  /** Called before another worker is asked. A layer that may make this unnecessary settles the query, or calls `hold`. */
  onNeed: (() => void) | undefined
  /** Continuations that wait until `release`. */
  #held: (() => void)[] | undefined

  constructor(trace?: Trace, traceparent?: string) {
    this.trace = trace
    this.traceparent = traceparent
  }

  add(attempt: Attempt): void {
    if (!this.attempts.includes(attempt)) this.attempts = append(this.attempts as Attempt[], attempt)
  }

  blocks(identity: Identity): boolean {
    for (const attempt of this.attempts) if (attempt.identity === identity && this.#counts(attempt)) return true
    return this.trial?.identity === identity
  }

  get failures(): number {
    return this.attempts.filter(({ outcome }) => outcome?.kind === 'failed' && outcome.blame !== 'nobody').length
  }

  /**
   * How many workers died during this query. A worker that ran other queries at that time counts half, since one of them may be the cause. A worker
   * that had to give up its connection counts half, since it may only have been slow.
   */
  get downs(): number {
    let downs = 0
    for (const { outcome } of this.attempts)
      if (outcome?.kind === 'failed' && outcome.lost)
        downs += outcome.lost === 'shared' || outcome.blame === 'nobody' ? 0.5 : 1
    return downs
  }

  /** Whether the query itself is the cause: all attempts got an error from a running worker, so that any other worker would fail, too. */
  get isFaulty(): boolean {
    const isFault = ({ outcome }: Attempt) =>
      outcome?.kind === 'failed' && (outcome.lost ?? 'shared') === 'shared' && outcome.error.code !== 'OVERLOADED'
    return this.attempts.length > 0 && this.attempts.every(isFault)
  }

  /** How many identities could still be asked, beyond those that its queued attempts will use. */
  left(pool: Pick<Attempts, 'available'>): number {
    const blocked = this.attempts.flatMap((attempt) => (this.#counts(attempt) && attempt.identity) || [])
    if (this.trial?.identity) blocked.push(this.trial.identity)
    return (this.reach ?? pool).available(blocked) - this.attempts.filter(({ phase }) => phase === 'queued').length
  }

  /** Lets workers that failed be asked again, once per query: their failure may have been temporary. Malformed answers and silent workers are excluded. @returns whether there are any */
  forgive(): boolean {
    if (this.#forgiven) return false
    this.#forgiven = this.attempts.filter(({ outcome }) => {
      if (outcome?.kind !== 'failed' || outcome.lost === 'silent') return false
      return outcome.error.code === 'WORKER' || outcome.error.code === 'OVERLOADED'
    })
    return this.#forgiven.length > 0
  }

  /** Makes new attempts wait until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held
    this.#held = undefined
    for (const goOn of held ?? []) goOn()
  }

  /** Waits for `release`, if the query is held. @param goOn  called then. @returns whether the query is held */
  waits(goOn: () => void): boolean {
    this.#held?.push(goOn)
    return this.#held !== undefined
  }

  get isLive(): boolean {
    return this.attempts.some(({ phase }) => phase !== 'settled')
  }

  /** Whether an attempt blocks its identity: not if it failed with `blame: 'nobody'`, or was forgiven. */
  #counts(attempt: Attempt): boolean {
    const { outcome } = attempt
    return !(outcome?.kind === 'failed' && outcome.blame === 'nobody') && !this.#forgiven?.includes(attempt)
  }
}

/** The answer of an attempt; undefined if it failed or still runs. */
export function answerOf({ outcome }: Attempt): Payload | undefined {
  return outcome?.kind === 'answered' ? (outcome.answer as Payload) : undefined
}
