/**
 * The engine's one interface: a service is asked a query, and tells its caller what becomes of it. A layer makes a service of another. Of
 * every call:
 *
 * 1. The caller is told nothing before the service has returned the call. A layer that makes several calls may be told of the first while it makes
 *    the next.
 * 2. `settled` comes once, and not after `drop`.
 * 3. `began` and `ended` come for every attempt, also after `settled` and `drop`, unless a layer stops or delays them: late answers teach and count as
 *    votes. `ended` comes before what it settles.
 * 4. `done` comes once, last: no attempt runs any more, and the payload may be freed. A layer settles before it drops the rest, since a drop
 *    may bring `done` at once.
 * 5. Nobody writes to payloads and answers: whoever called `predict` gets a copy.
 * 6. `limit` ends a call at its deadline. What a layer asks after it has settled it has to end by itself.
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
  /** Of these what its caller said of it. */
  readonly said: OwnChoices
  readonly turn: Turn
  /** When it came, and when its caller's deadline is. */
  readonly since: number
  readonly dueAt: number
  readonly priority: Priority
  /** Whether it would be answered too late: what the pool said of it a moment ago; a memory may answer it all the same. `false`: it is let in however much waits. */
  readonly refusal: ApproxiferError | false | undefined
  /** Why a worker is asked. */
  readonly why: Reason
  /** Workers that its attempts keep away from: `tried`, and what layers add. */
  readonly apart: readonly Apart[]
  /** Its attempts so far, shared by all calls for it. */
  readonly tried: Tried
}

/** What a layer may change of a query. */
type QueryChange = Partial<Omit<Query, 'payload' | 'since' | 'tried'>>

/** The same query but for what is changed: its attempts are counted with the query's own. Each by its name: a spread takes 2 us, and leaves out what is a getter. */
export function changed(query: Query, change: QueryChange): Query {
  const { payload, since, tried } = query
  const { choices = query.choices, said = query.said, turn = query.turn, dueAt = query.dueAt } = change
  const { priority = query.priority, refusal = query.refusal, why = query.why, apart = query.apart } = change
  return { payload, choices, said, turn, since, dueAt, priority, refusal, why, apart, tried }
}

/** Who gave an answer, and when: an attempt, or what is kept of one, whose worker may have left. */
export interface Origin extends Pick<Attempt, 'identity' | 'startedAt' | 'ranMs'> {
  readonly worker: { readonly name: string; readonly identity?: Identity | undefined } | undefined
}

export interface Answer {
  readonly kind: 'answer'
  readonly answer: Payload
  readonly status: Status
  readonly confidence: number | undefined
  /** The attempts that it was made of: they know by which worker, from when to when. */
  readonly by: readonly Origin[]
  /** By which it may be recalled, where nothing proves it. */
  readonly id?: number | undefined
  /** Where it was recovered. */
  readonly recovery?: Prediction['recovery']
  /** It is the answer to an equal query, of which another caller has heard, or will. */
  readonly reused?: true
}

export interface Failure {
  readonly kind: 'failure'
  readonly error: ApproxiferError
  /** `payload`: no worker would answer it. `load`: an answer would be too late. `nobody`: its worker was taken away, or time is up. */
  readonly blame: 'worker' | 'payload' | 'nobody' | 'load'
}

export type Outcome = Answer | Failure

/** What a caller gets whose time is up while others are waited for in its place. */
export function tooLate({ since, dueAt }: Pick<Query, 'since' | 'dueAt'>): Failure {
  const text = `no answer within ${Math.round(dueAt - since)} ms`
  return { kind: 'failure', error: new ApproxiferError('DEADLINE', text), blame: 'nobody' }
}

/** What a group has for a query whose answer is late or lost. */
export interface Offer {
  readonly recoveries: readonly Recovered[]
  /** Whether a parity tells of the query. */
  readonly isMixed: boolean
  /** Queries of the group without an answer of their own. */
  readonly missing: number
  /** The attempts that it was decoded from. */
  readonly by: readonly Attempt[]
}

export interface Caller {
  /** A worker has begun with it; told again where that worker lost it, or was too busy for it, and another one has begun. */
  began?(attempt: Attempt): void
  ended?(attempt: Attempt): void
  /**
   * A layer beneath may have something in the place of an answer; told again when there is more.
   *
   * @param decode  what there is by then; undefined: nothing yet, or nothing any more
   * @param isLost  the answer itself is not to come, and a failure is held for as long as something may be decoded
   */
  offer?(decode: () => Offer | undefined, isLost: boolean): void
  settled(outcome: Outcome): void
  done?(): void
}

/**
 * Why a call is dropped, which decides what becomes of attempts that run. `left`: nobody wants them; their workers are told. `void`: the same, and
 * an answer that comes nevertheless tells nothing, as where the model was replaced. `over`: the query has its end; workers are told that an abort
 * frees. `teach`: they go on, since their answers teach.
 */
export type Drop = 'left' | 'void' | 'over' | 'teach'

/** After a deadline a lookup waits so long for others', ms. */
export const OVERTIME_MS = 20

export interface Call {
  /** Nobody waits for it. Queued attempts are taken back. */
  drop(why: Drop): void
  /** Time is up: it settles now, or within `OVERTIME_MS` where a memory is asked. */
  expire(): void
}

/** A caller that passes all on to another. */
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

/** A call that asks nobody: it settles as soon as it is known. */
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

  expire(): void {} // it settles in a moment
}

/** A call that may be dropped while it is asked: code of users may run then, as that of a worker. What it does not declare (`began`, `ended`, `done`) it is not told. */
export abstract class OutgoingCall implements Caller {
  #call: Call | undefined
  #dropped: Drop | undefined

  /** Again only where the call before has settled, and runs no attempt. */
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

/** The first layer is outermost. */
export const stack = (bottom: Service, ...layers: readonly Layer[]): Service =>
  layers.reduceRight((next, layer) => layer(next), bottom)

/** The attempts of one query, whichever layer asked for them: no identity is asked twice, and hedges and tries are counted for all calls together. */
export class Tried implements Apart {
  attempts: readonly Attempt[] = NONE
  /** Second attempts that were asked for since another was late; and whether a worker has begun with one. */
  hedges = 0
  hedged = false
  /** To an ejected worker: what it answers is only compared. */
  trial: Attempt | undefined
  /** What the memory says of the query: asked once, and shared by all layers. */
  recalled: RecalledAnswer | undefined
  /** No lesson is made of its answer: lookups do not pay for now, and one lesson in as many queries as are looked up then keeps the memory as it is. */
  isPassedOver = false
  /** Answers of workers that are believed, where one alone proves nothing. */
  unproven: (() => readonly Payload[]) | undefined
  /** Its caller was given what was recovered. */
  isRecovered = false
  /** Where what its caller was given is kept among the answers that may be recalled. */
  place: number | undefined
  /** How many identities may be asked, where these are not all that the pool has: a layer that adds to `apart` for good has to say so, else attempts are queued for nobody. */
  reach: Pick<Attempts, 'available'> | undefined
  /** What its layers tell; undefined where nobody listens. */
  readonly trace: Trace | undefined
  /** W3C Trace Context, for the workers. */
  readonly traceparent: string | undefined
  /** Attempts that failed, and whose workers may be asked again, since no other was left. */
  #forgiven: readonly Attempt[] | undefined

  /** Told before another worker is asked, by whom may do without one: it settles, or holds it. */
  onNeed: (() => void) | undefined
  /** What waits while a memory is asked, which may do without another attempt. */
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

  /** How many workers went down with it. One that may have gone down with another query counts half: twice as many show that it was this one. */
  get downs(): number {
    let downs = 0
    for (const { outcome } of this.attempts)
      if (outcome?.kind === 'failed' && outcome.lost) downs += outcome.lost === 'shared' ? 0.5 : 1
    return downs
  }

  /** Workers that were there answered it with an error, all of them: another server's would fare no better. */
  get isFaulty(): boolean {
    const isFault = ({ outcome }: Attempt) =>
      outcome?.kind === 'failed' && (outcome.lost ?? 'shared') === 'shared' && outcome.error.code !== 'OVERLOADED'
    return this.attempts.length > 0 && this.attempts.every(isFault)
  }

  /** How many identities it could still be sent to, beyond those that its queued attempts will take. */
  left(pool: Pick<Attempts, 'available'>): number {
    const blocked = this.attempts.flatMap((attempt) => (this.#counts(attempt) && attempt.identity) || [])
    if (this.trial?.identity) blocked.push(this.trial.identity)
    return (this.reach ?? pool).available(blocked) - this.attempts.filter(({ phase }) => phase === 'queued').length
  }

  /** Workers that failed may be asked again, once: it may be over. An answer that is none is not over, nor a silence that nobody ends. @returns whether there are any */
  forgive(): boolean {
    if (this.#forgiven) return false
    this.#forgiven = this.attempts.filter(({ outcome }) => {
      if (outcome?.kind !== 'failed' || outcome.lost === 'silent') return false
      return outcome.error.code === 'WORKER' || outcome.error.code === 'OVERLOADED'
    })
    return this.#forgiven.length > 0
  }

  /** Nobody is asked until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held
    this.#held = undefined
    for (const goOn of held ?? []) goOn()
  }

  /** @param goOn  called when it is released @returns whether it is held */
  waits(goOn: () => void): boolean {
    this.#held?.push(goOn)
    return this.#held !== undefined
  }

  get isLive(): boolean {
    return this.attempts.some(({ phase }) => phase !== 'settled')
  }

  /** An attempt that failed through nobody's fault keeps nobody away. */
  #counts(attempt: Attempt): boolean {
    const { outcome } = attempt
    return !(outcome?.kind === 'failed' && outcome.blame === 'nobody') && !this.#forgiven?.includes(attempt)
  }
}

/** What a worker gave. */
export function answerOf({ outcome }: Attempt): Payload | undefined {
  return outcome?.kind === 'answered' ? (outcome.answer as Payload) : undefined
}
