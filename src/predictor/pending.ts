/** What is under way through a stack of layers, each call for a caller who waits for a prediction. */

import { Bag } from '../arrays'
import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { Payload } from '../payload'
import type { GroupReport } from '../prediction'
import type { Caller } from '../query/caller'
import { predictionOf } from '../query/prediction'
import { queryReport } from '../report'
import { type Answer, type Outcome, OutgoingCall, type Query, type Service, Tried } from '../service'
import { toNamed } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import type { Means } from './means'

type PendingMeans = Pick<Means, 'pool' | 'signature' | 'buffers' | 'ended' | 'coder'>

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

  /** Each gets this error, and what runs is given up. */
  end(error: ApproxiferError): void {
    for (const call of this.open.all) call.end(error)
  }
}

/** A query and who hears of it: one object for both, since each of a million queries has them. */
export class PendingCall extends OutgoingCall implements Query {
  /** Among those under way; -1 once it is done. */
  place = 0
  readonly payload: Payload
  readonly priority = 'normal'
  readonly refusal: Query['refusal']
  readonly tried = new Tried()
  readonly apart = [this.tried]
  readonly #caller: Caller
  readonly #pending: Pending
  /** Its caller is another call's, or it was ended: its answers tell nothing. */
  #isVoid = false
  #reported: ((report: GroupReport) => void) | undefined

  constructor(payload: Payload, caller: Caller, pending: Pending, refusal: Query['refusal']) {
    super()
    this.payload = payload
    this.#caller = caller
    this.#pending = pending
    const { forecast } = pending.means.pool
    this.refusal = refusal ?? forecast.refusal(caller.dueAt - caller.since, caller.turn)
  }

  start(answering: Service): void {
    this.send(answering, this)
  }

  get choices(): Caller['choices'] {
    return this.#caller.choices
  }

  get said(): Query['said'] {
    return this.#caller.said
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
    if (this.isOpen) this.#fail(error)
    this.drop('left')
  }

  end(error: ApproxiferError): void {
    if (this.isOpen) this.#fail(error)
    this.#isVoid = true
    this.drop('void')
  }

  /** @returns what is to be asked again, for the caller who waits on */
  detach(): { payload: Payload; caller: Caller } {
    const caller = this.#caller
    const payload = this.payload.kept()
    caller.relisten((error) => caller.fail(error, this.#pending.means.ended))
    this.#isVoid = true
    this.drop('void')
    return { payload, caller }
  }

  settled(outcome: Outcome): void {
    if (!this.isOpen) return
    if (outcome.kind === 'failure') return this.#fail(outcome.error)
    this.#answer(outcome)
  }

  done(): void {
    this.#pending.open.remove(this)
    this.#pending.means.buffers?.free(this.payload)
    this.#reported?.(this.#report)
    this.tried.onDone?.()
  }

  #fail(error: ApproxiferError): void {
    this.tried.ending = error.code
    this.#caller.fail(error, this.#pending.means.ended)
  }

  #answer({ answer: { tensors }, status, confidence, by, id }: Answer): void {
    const { means, model, clock } = this.#pending
    const { signature, ended } = means
    const { since } = this.#caller
    const { attempts, hedged } = this.tried
    const group =
      this.tried.group ??
      new Promise<GroupReport>((resolve) => {
        this.#reported = resolve
      })
    this.tried.ending = status
    const own = status === 'recovered' ? undefined : by[0] // a recovery has taken as long as the query's first attempt
    const now = own ? 0 : clock.now()
    const sentAt = own ? own.startedAt : attempts[0]?.startedAt || now
    const [queuedMs, ranMs] = [sentAt - since, own ? own.ranMs : now - sentAt]
    const workers = by.map(({ worker }) => worker as ModelWorker)
    const given = { status, confidence, queuedMs, ranMs, hedged, workers }
    const known = { fingerprint: model.fingerprint, id, group }
    this.#caller.answer(predictionOf(toNamed(tensors, signature.outputs), given, known), ended)
  }

  get #report(): GroupReport {
    const { core, scheme } = this.#pending.means.coder
    return queryReport(this.tried, core, scheme.byzantine + 1)
  }
}
