/** The queries in flight: each is a call through the stack of layers, whose outcome becomes its caller's prediction. */

import { Bag } from '../base/arrays'
import type { Clock } from '../base/clock'
import type { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Prediction, Status } from '../base/prediction'
import { toNamed } from '../base/tensor'
import type { Identity } from '../pool/attempt'
import { type Answer, type Outcome, OutgoingCall, type Query, type Service, Tried } from '../service'
import { identityOf } from '../workers/worker'
import type { WaitingCaller } from './caller'
import type { Dependencies } from './dependencies'

type OpenDependencies = Pick<Dependencies, 'pool' | 'signature' | 'buffers' | 'ended'>

/** A query that is to be sent to another model. */
export interface DetachedQuery {
  readonly payload: Payload
  readonly caller: WaitingCaller
  /** False: it is admitted however long the queue is. */
  readonly refusal: false | undefined
}

export class OpenQueries {
  readonly #service: Service
  readonly dependencies: OpenDependencies
  readonly model: { readonly fingerprint: string | undefined }
  readonly clock: Clock
  readonly open = new Bag<OpenQuery>()

  constructor(
    answering: Service,
    dependencies: OpenDependencies,
    model: { readonly fingerprint: string | undefined },
    clock: Clock,
  ) {
    this.#service = answering
    this.clock = clock
    this.dependencies = dependencies
    this.model = model
  }

  ask(payload: Payload, caller: WaitingCaller, refusal?: Query['refusal']): OpenQuery {
    const call = new OpenQuery(payload, caller, this, refusal)
    this.open.add(call)
    try {
      call.start(this.#service)
    } catch (error) {
      this.open.remove(call) // no room for its tenant
      throw error
    }
    return call
  }

  /** Takes out the queries without an answer, for another model. */
  detach(): DetachedQuery[] {
    return this.open.all.filter(({ isOpen }) => isOpen).map((call) => call.detach())
  }

  /** Fails all queries with this error, and gives up their attempts. */
  end(error: ApproxiferError): void {
    for (const call of this.open.all) call.end(error)
  }
}

/** A query and its listener in one object, to save memory: each query has one. */
export class OpenQuery extends OutgoingCall implements Query {
  /** Its index among the queries in flight; -1 once it is done. */
  place = 0
  readonly payload: Payload
  readonly priority = 'normal'
  readonly why = 'first'
  readonly tried: Tried
  readonly apart: readonly Tried[]
  readonly #caller: WaitingCaller
  readonly #open: OpenQueries
  /** Whether it was detached or ended, so that its answers teach nothing. */
  #isVoid = false
  #refusal: Query['refusal']
  #isForeseen: boolean

  constructor(payload: Payload, caller: WaitingCaller, pending: OpenQueries, refusal: Query['refusal']) {
    super()
    this.payload = payload
    this.tried = new Tried(caller.trace, caller.traceparent)
    this.apart = [this.tried]
    this.#caller = caller
    this.#open = pending
    this.#refusal = refusal
    this.#isForeseen = refusal !== undefined
  }

  /** Computed on first use, since the pool counts a refusal as overload: only queries that are not answered otherwise ask for it. */
  get refusal(): Query['refusal'] {
    if (this.#isForeseen) return this.#refusal
    this.#isForeseen = true
    const { clock, dependencies } = this.#open
    const { dueAt, turn } = this.#caller
    this.#refusal = dependencies.pool.forecast.refusal(dueAt - clock.now(), turn)
    return this.#refusal
  }

  start(answering: Service): void {
    this.send(answering, this)
  }

  get choices(): WaitingCaller['choices'] {
    return this.#caller.choices
  }

  get said(): Query['said'] {
    return this.#caller.said
  }

  get turn(): WaitingCaller['turn'] {
    return this.#caller.turn
  }

  get since(): number {
    return this.#caller.since
  }

  get dueAt(): number {
    return this.#caller.dueAt
  }

  get isOpen(): boolean {
    return !this.#isVoid && this.#caller.isOpen
  }

  /** The caller does not want an answer any more. */
  leave(error: ApproxiferError): void {
    if (this.isOpen) this.#fail(error)
    this.drop('left')
  }

  end(error: ApproxiferError): void {
    if (this.isOpen) this.#fail(error)
    this.#isVoid = true
    this.drop('void')
  }

  /** @returns the query, to be sent again for the same caller */
  detach(): DetachedQuery {
    const caller = this.#caller
    const payload = this.payload.kept()
    caller.relisten((error) => caller.fail(error, this.#open.dependencies.ended))
    this.#isVoid = true
    this.drop('void')
    return { payload, caller, refusal: this.#refusal === false ? false : undefined }
  }

  settled(outcome: Outcome): void {
    if (!this.isOpen) return
    if (outcome.kind === 'failure') return this.#fail(outcome.error)
    this.#answer(outcome)
  }

  done(): void {
    this.#open.open.remove(this)
    this.#open.dependencies.buffers?.free(this.payload)
  }

  #fail(error: ApproxiferError): void {
    this.#caller.fail(error, this.#open.dependencies.ended)
  }

  #answer({ answer: { tensors }, status, confidence, by, id, reused, recovery }: Answer): void {
    const { dependencies, model } = this.#open
    const { signature, ended } = dependencies
    const { hedged } = this.tried
    const own = status === 'recovered' ? undefined : by[0]
    const now = own ? 0 : this.#open.clock.now()
    const sentAt = own ? own.startedAt : this.#sentAt(status, now)
    // An equal query that came before may have begun an attempt already.
    const queuedMs = reused ? 0 : Math.max(0, sentAt - this.#caller.since)
    const ranMs = reused ? 0 : own ? own.ranMs : now - sentAt
    const workers: string[] = []
    const identities: Identity[] = []
    for (const { worker } of by) {
      workers.push((worker as NonNullable<typeof worker>).name)
      identities.push(identityOf(worker as NonNullable<typeof worker>))
    }
    const output = toNamed(tensors, signature.outputs)
    const { fingerprint } = model
    // Property by property: a spread costs 1 kB.
    const prediction: Prediction = {
      output,
      status,
      confidence,
      queuedMs,
      ranMs,
      hedged,
      workers,
      identities,
      fingerprint,
      id,
      query: this.#caller.query,
      recovery,
    }
    if (reused) prediction.reused = true
    this.#caller.answer(prediction, ended)
  }

  /** A recovery has taken as long as its first attempt; a remembered answer as long as its lookup. */
  #sentAt(status: Status, now: number): number {
    return this.tried.attempts[0]?.startedAt || (status === 'remembered' ? this.since : now)
  }
}
