/**
 * Equal queries: one that was answered is not asked again, and those that are under way at once share one inference. Only the model's own
 * answers are kept, for each tenant apart. A coin has some repeats asked all the same: that of the ledger, in whose budget a wrong one is, or where
 * there is none one of 1 %. What follows from another answer than the kept one, see `Repeatability`.
 */

import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { Draw, ErrorBudget } from '../layers/error-budget'
import { type ExactCache, isSame, type Kept, keyOf } from '../layers/exact-cache'
import { Repeatability } from '../layers/repeatability'
import { type SavingStats, Savings } from '../layers/savings'
import type { SecondOpinion } from '../layers/second-opinion'
import type { Learning } from '../memory/learning'
import type { Warn } from '../notices'
import { Payload } from '../payload'
import type { Identity } from '../pool/attempt'
import type { Prediction } from '../prediction'
import { type Caller, SharedCaller, tooLate } from '../query/caller'
import { toNamed } from '../tensor'
import { agree } from '../trust/equality'
import { audit, overheard } from './audit'
import type { Means } from './means'
import type { PredictOptions } from './options'
import type { Remembering } from './remembering'

/** Without a ledger: share of the queries that could be answered by what was kept, and are asked all the same. */
const ASKED = 0.01

/** A caller's query. */
export interface Request {
  readonly payload: Payload
  readonly caller: Caller
  readonly signal: AbortSignal | undefined
  readonly options: PredictOptions
  /** Why no worker is to be asked, which the pool said a moment ago; false: one is asked, whatever it would say. */
  readonly refusal?: ApproxiferError | false | undefined
}

export type Ask = (request: Request) => void

/** Callers of one query that is under way. */
interface Crowd {
  readonly tenant: string
  /** What it asked is not to be kept. */
  isForgotten: boolean
  readonly payload: Payload
  readonly shared: SharedCaller
  /** What ends the waiting of each. */
  readonly waiting: Map<Request, () => void>
}

export interface ReuseOptions {
  kept: ExactCache
  clock: Clock
  means: Pick<Means, 'signature' | 'trust' | 'ended'>
  opinion: SecondOpinion
  warn: Warn
  /** What a tenant has learned, and the budget that its repeats are in. */
  learned(tenant: string): { readonly learning?: Learning | undefined; readonly ledger?: ErrorBudget | undefined }
  /** What was learned is of a model before; what was wrong of what was kept is gone. */
  replaced(): void
  mended(): void
  /** Milliseconds that an answer of the workers takes; undefined while nobody knows. */
  inferenceMs(): number | undefined
  /** What may answer a query that none was kept for, before it is asked. */
  before?: Pick<Remembering, 'take' | 'saving'> | undefined
  /** Asks for a caller, unless it fails at once. */
  ask(request: Request, caller: Caller): void
  /** Uniform, from 0 to 1. */
  coin: () => number
}

export class Reuse {
  /** Queries that were answered so. */
  given = 0
  readonly #options: ReuseOptions
  readonly #clock: Clock
  readonly #means: ReuseOptions['means']
  readonly #ask: ReuseOptions['ask']
  readonly #kept: ExactCache
  readonly #repeatability: Repeatability
  readonly #spared = new Savings()
  readonly #underWay = new Map<string, Crowd>()

  constructor(options: ReuseOptions) {
    const { kept, clock, means, warn, ask, opinion, mended } = options
    this.#options = options
    this.#clock = clock
    this.#means = means
    this.#ask = ask
    this.#kept = kept
    const replaced = () => this.#replaced()
    this.#repeatability = new Repeatability({
      kept,
      opinion,
      warn,
      equality: () => means.trust.equality,
      replaced,
      mended,
    })
  }

  /** Answers a query, now or as soon as one that is equal, or has it asked. */
  take(request: Request): void {
    const { payload, caller } = request
    const key = keyOf(caller.turn.tenant, payload)
    const kept = this.#kept.find(key, payload)
    const ask = (own: Request) => this.#askOnce(key, own)
    // Each has a coin of its own before equal ones are asked together.
    if (kept) return this.#repeat(key, request, kept, ask)
    const { before } = this.#options
    if (before && !this.#repeatability.isOff) before.take(request, ask)
    else ask(request)
  }

  #repeat(key: string, request: Request, kept: Kept, ask: Ask): void {
    const { caller } = request
    const { clock, coin, inferenceMs, learned } = this.#options
    const { ended } = this.#means
    const { ledger, learning } = learned(caller.turn.tenant)
    const isGiven = !this.#repeatability.isOff
    const plain = (): Draw => ({ is: isGiven && coin() >= ASKED ? 'remember' : 'ask', told() {} })
    const draw = ledger && isGiven ? ledger.drawRepeat() : plain()
    if (draw.is === 'remember') {
      this.#spared.gave(inferenceMs())
      return this.#answer(caller, kept)
    }
    const grade = (prediction: Prediction) => this.#grade(key, kept, prediction, learning, draw)
    if (draw.is === 'ask') return ask(overheard(request, ended, grade))
    audit(request, { clock, ended, ask }, (prediction) => (prediction ? grade(prediction) : draw.told(false)))
  }

  /** The model was asked for what is kept. */
  #grade(
    key: string,
    kept: Kept,
    { status, output, identities }: Prediction,
    learning: Learning | undefined,
    draw: Draw,
  ) {
    if (status !== 'exact') return draw.is === 'audit' ? draw.told(false) : undefined
    const answer = new Payload(this.#means.signature.outputs.map(({ name }) => output[name]))
    const [from] = identities
    const isAsRight = learning?.experience.confidence.agrees(kept.answer.vector, answer.vector) === true
    if (isAsRight) draw.told(true)
    this.#repeatability.compare(key, kept, answer, from, (isRight) => isAsRight || draw.told(isRight))
  }

  /** The memory was wrong about a query: whether the model is still the same is to be looked into. */
  suspect(): void {
    this.#repeatability.suspect()
  }

  #replaced(): void {
    this.#kept.clear()
    for (const crowd of this.#underWay.values()) crowd.isForgotten = true // it may have been asked of the model before
    this.#options.replaced()
  }

  /** What reuse spares: of answers before asking (see `Remembering`), and where there are none of repeats. */
  saving(ledger: ErrorBudget | undefined): SavingStats {
    const { before } = this.#options
    const saved = before ? ledger && before.saving(ledger) : undefined
    const isOff = saved?.off === true || this.#repeatability.isOff
    return { ...(saved ?? (before ? new Savings() : this.#spared)), off: isOff }
  }

  #askOnce(key: string, request: Request): void {
    const { payload, caller, options } = request
    const crowd = this.#underWay.get(key)
    const mayJoin = isUsual(options)
    const isJoined = mayJoin && !this.#repeatability.isOff
    if (crowd && isJoined && isSame(crowd.payload, payload)) return this.#wait(key, crowd, request)
    if (crowd || !mayJoin) this.#ask(request, caller)
    else this.#begin(key, request)
  }

  #begin(key: string, request: Request): void {
    const shared = new SharedCaller(
      request.caller,
      this.#clock.now(),
      (prediction) => this.#answered(key, crowd, prediction),
      (error) => this.#failed(key, crowd, error),
    )
    const { payload, caller } = request
    const crowd: Crowd = { tenant: caller.turn.tenant, isForgotten: false, payload, shared, waiting: new Map() }
    this.#underWay.set(key, crowd)
    this.#wait(key, crowd, request)
    if (crowd.waiting.size) this.#ask(request, shared)
  }

  /** Who leaves, or is due before the one that is asked for all, goes alone; the last one takes the query back. */
  #wait(key: string, crowd: Crowd, request: Request): void {
    const { caller, signal } = request
    const now = this.#clock.now()
    const end = (error: ApproxiferError) => {
      crowd.waiting.get(request)?.()
      crowd.waiting.delete(request)
      caller.fail(error, this.#means.ended)
      if (crowd.waiting.size) return
      this.#forgetCrowd(key, crowd)
      crowd.shared.leave(error)
    }
    const isFirst = caller.dueAt < crowd.shared.dueAt
    const late = () => end(tooLate(caller))
    crowd.waiting.set(request, isFirst ? this.#clock.after(caller.dueAt - now, late) : () => {})
    if (signal) caller.listen(signal, end)
  }

  #answered(key: string, crowd: Crowd, prediction: Prediction): void {
    this.#forgetCrowd(key, crowd)
    const { signature, trust, ended } = this.#means
    const [first, ...others] = this.#stopped(crowd)
    const mayKeep = prediction.status === 'exact' && !crowd.isForgotten && this.#mayKeep(key, crowd, prediction)
    if (!others.length && !mayKeep) return void first?.caller.answer(prediction, ended)
    const answer = new Payload(signature.outputs.map(({ name }) => prediction.output[name])).copy()
    const before = this.#kept.of(key, crowd.payload)
    if (mayKeep && first && !(before && !agree(before.answer, answer, trust.equality)))
      // which of them is right is not known yet
      this.#kept.keep(key, {
        tenant: crowd.tenant,
        query: crowd.payload,
        answer,
        by: originOf(prediction),
        prediction: { ...prediction, ...namesOf(prediction), output: {} },
      })
    first?.caller.answer(prediction, ended)
    for (const request of others) {
      if (prediction.status === 'recovered') this.#askOnce(key, request)
      else this.#answer(request.caller, { answer, prediction })
    }
  }

  #mayKeep(key: string, { payload }: Crowd, { identities }: Prediction): boolean {
    return (
      this.#repeatability.believes(identities[0]) && (this.#kept.hasRoom || this.#kept.of(key, payload) !== undefined)
    )
  }

  /** What no answer came for in time is asked for again for those that have more; all else would go no better. */
  #failed(key: string, crowd: Crowd, error: ApproxiferError): void {
    this.#forgetCrowd(key, crowd)
    const now = this.#clock.now()
    for (const request of this.#stopped(crowd)) {
      if (error.code === 'DEADLINE' && request.caller.dueAt > now) this.#askOnce(key, request)
      else request.caller.fail(error, this.#means.ended)
    }
  }

  #stopped({ waiting }: Crowd): Request[] {
    for (const stop of waiting.values()) stop()
    const requests = [...waiting.keys()].filter(({ caller }) => caller.isOpen)
    waiting.clear()
    return requests
  }

  #forgetCrowd(key: string, crowd: Crowd): void {
    if (this.#underWay.get(key) === crowd) this.#underWay.delete(key)
  }

  #answer(caller: Caller, { answer, prediction }: Pick<Kept, 'answer' | 'prediction'>): void {
    if (!prediction) throw new Error('unreachable: its keeper is another')
    this.given++
    const output = toNamed(answer.tensors, this.#means.signature.outputs)
    caller.answer(
      { ...prediction, ...namesOf(prediction), output, queuedMs: 0, ranMs: 0, hedged: false, reused: true },
      this.#means.ended,
    )
  }

  /** The workers have another model. */
  renew(): void {
    this.#kept.clear()
    this.#options.opinion.stop()
    this.#repeatability.renew()
  }

  close(): void {
    this.#options.opinion.close()
  }

  /** Forgets what an identity answered, or what a tenant asked. */
  forget(which: { identity?: Identity; tenant?: string }): void {
    this.#kept.forget(which)
    for (const crowd of this.#underWay.values()) crowd.isForgotten ||= crowd.tenant === which.tenant
  }
}

/** Copies, since each caller may write to its own. */
const namesOf = ({ workers, identities }: Prediction) => ({ workers: [...workers], identities: [...identities] })

const originOf = ({ workers: [name], identities: [identity], ranMs }: Prediction): Kept['by'] => ({
  worker: { name, identity },
  identity,
  startedAt: Number.NaN,
  ranMs,
})

/** Whether a caller chooses nothing of his own, so that another's answer will do. */
function isUsual({ policy, minConfidence, atDeadline }: PredictOptions): boolean {
  return policy === undefined && minConfidence === undefined && atDeadline === undefined
}
