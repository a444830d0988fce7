/** What is under way through a stack of layers, each call for a caller who waits for a prediction. */

import { append, Bag, NONE } from '../arrays'
import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import type { Payload } from '../payload'
import type { Attempt, Identity } from '../pool/attempt'
import { first } from '../query/acceptance'
import { type Asked, answerOf, newAsked } from '../query/asked'
import type { Caller } from '../query/caller'
import { type GroupReport, predictionOf, queryReport } from '../query/prediction'
import {
  type Answer,
  type Call,
  type Drop,
  type Outcome,
  type Query,
  type Service,
  type Caller as ServiceCaller,
  Tried,
} from '../service'
import { toNamed } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import type { Means } from './means'

type PendingMeans = Pick<Means, 'pool' | 'trust' | 'signature' | 'buffers' | 'ended' | 'coder'>

export class Pending {
  readonly #service: Service
  readonly means: PendingMeans
  readonly model: { readonly fingerprint: string | undefined }
  readonly clock: Clock
  readonly open = new Bag<PendingCall>()

  constructor(
    answering: Service,
    means: PendingMeans,
    model: { readonly fingerprint: string | undefined },
    clock: Clock,
  ) {
    this.#service = answering
    this.clock = clock
    this.means = means
    this.model = model
  }

  ask(payload: Payload, caller: Caller, refusal?: Query['refusal']): PendingCall {
    const call = new PendingCall(payload, caller, this, refusal)
    this.open.add(call)
    try {
      call.start(this.#service)
    } catch (error) {
      this.open.remove(call) // its tenant cannot be made
      throw error
    }
    return call
  }

  /** What waits for an answer is another model's to answer. */
  detach(): { payload: Payload; caller: Caller }[] {
    return this.open.all.filter(({ isOpen }) => isOpen).map((call) => call.detach())
  }

  /** An identity is believed no more: what its workers are at tells nothing, and others are asked. */
  eject(identity: Identity): void {
    const error = new ApproxiferError('WORKER', 'its worker was ejected')
    for (const { tried } of this.open.all)
      for (const attempt of tried.attempts)
        if (attempt.phase === 'running' && attempt.identity === identity)
          this.means.pool.takeBack(attempt as Asked['attempt'], error)
  }

  /** Each gets this error, and what runs is given up. */
  end(error: ApproxiferError): void {
    for (const call of this.open.all) call.end(error)
  }
}

/** A query and who hears of it: one object for both, since each of a million queries has them. */
export class PendingCall implements Query, ServiceCaller {
  /** Among those under way; -1 once it is done. */
  place = 0
  readonly payload: Payload
  readonly priority = 'normal'
  readonly refusal: Query['refusal']
  readonly tried = new Tried()
  readonly apart = [this.tried]
  readonly #caller: Caller
  readonly #pending: Pending
  /** Attempts that have an outcome. */
  #ended: readonly Asked[] = NONE
  #call: Call | undefined
  /** It was dropped while it was asked. */
  #dropped: Drop | undefined
  /** Its caller is another call's, or it was ended: its answers tell nothing. */
  #isVoid = false
  #reported: ((report: GroupReport) => void) | undefined

  constructor(payload: Payload, caller: Caller, pending: Pending, refusal: Query['refusal']) {
    this.payload = payload
    this.refusal = refusal
    this.#caller = caller
    this.#pending = pending
  }

  start(answering: Service): void {
    this.#call = answering(this, this)
    if (this.#dropped) this.#call.drop(this.#dropped)
  }

  get choices(): Caller['choices'] {
    return this.#caller.choices
  }

  get turn(): Caller['turn'] {
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

  /** The caller wants no answer any more. */
  leave(error: ApproxiferError): void {
    if (this.isOpen) this.#caller.fail(error, this.#pending.means.ended)
    this.#drop('left')
  }

  end(error: ApproxiferError): void {
    if (this.isOpen) this.#caller.fail(error, this.#pending.means.ended)
    this.#isVoid = true
    this.#drop('void')
  }

  /** @returns what is to be asked again, for the caller who waits on */
  detach(): { payload: Payload; caller: Caller } {
    const caller = this.#caller
    const payload = this.payload.kept()
    caller.relisten((error) => caller.fail(error, this.#pending.means.ended))
    this.#isVoid = true
    this.#drop('void')
    return { payload, caller }
  }

  ended(attempt: Attempt): void {
    const row = this.tried.attempts.indexOf(attempt)
    const asked = newAsked(attempt as Asked['attempt'], row ? 'hedge' : 'first', row)
    asked.onTime = this.isOpen
    asked.isVoid = this.#isVoid
    this.#ended = append(this.#ended as Asked[], asked)
    this.#pending.means.pool.tell(asked)
    if (!asked.onTime && answerOf(asked)) this.#compare()
  }

  settled(outcome: Outcome): void {
    if (!this.isOpen) return
    const { ended } = this.#pending.means
    if (outcome.kind === 'failure') return this.#caller.fail(outcome.error, ended)
    this.#answer(outcome)
    if (outcome.by.length) this.#compare() // what was recovered is no worker's
  }

  done(): void {
    this.#pending.open.remove(this)
    this.#pending.means.buffers?.free(this.payload)
    this.#reported?.(this.#report)
  }

  #drop(why: Drop): void {
    this.#dropped ??= why
    this.#call?.drop(why)
  }

  #answer({ answer: { tensors }, status, confidence, by }: Answer): void {
    const { means, model, clock } = this.#pending
    const { signature, ended } = means
    const { since } = this.#caller
    const { attempts, hedged } = this.tried
    const group = new Promise<GroupReport>((resolve) => {
      this.#reported = resolve
    })
    const [own] = by // what was recovered has taken as long as its first attempt has
    const now = own ? 0 : clock.now()
    const sentAt = own ? own.startedAt : attempts[0]?.startedAt || now
    const [queuedMs, ranMs] = [sentAt - since, own ? own.ranMs : now - sentAt]
    const workers = by.map(({ worker }) => worker as ModelWorker)
    const given = { status, confidence, queuedMs, ranMs, hedged, workers }
    const known = { fingerprint: model.fingerprint, id: undefined, group }
    this.#caller.answer(predictionOf(toNamed(tensors, signature.outputs), given, known), ended)
  }

  /** Answers of several workers show whether they agree. */
  #compare(): void {
    const answered = this.#ended.length > 1 ? this.#ended.filter(answerOf) : this.#ended
    this.#pending.means.trust.compare(this.payload, answered, this.#ended)
  }

  get #report(): GroupReport {
    const asked = [...this.#ended].sort((a, b) => a.row - b.row)
    const recovery = { report: this.tried.recovery }
    const { core } = this.#pending.means.coder
    return queryReport({ vote: undefined, asked, caller: this.#caller, recovery }, { acceptance: first, core })
  }
}
