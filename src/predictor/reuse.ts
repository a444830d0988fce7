/**
 * Equal queries: one that was answered is not asked again, and those that are under way at once share one inference. Only the model's own
 * answers are kept, for each tenant apart. Now and then one is asked all the same: a model that answers otherwise than before ends all reuse, until it
 * is replaced.
 */

import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { Ledger } from '../ledger/ledger'
import type { Warn } from '../notices'
import { Payload } from '../payload'
import type { Identity } from '../pool/attempt'
import { type Caller, SharedCaller, tooLate } from '../query/caller'
import { agree } from '../query/equality'
import type { Prediction } from '../query/prediction'
import { toNamed } from '../tensor'
import { isSame, type Kept, type KeptAnswers, keyOf } from './kept-answers'
import type { Means } from './means'
import type { PredictOptions } from './options'
import type { Remembering } from './remembering'
import type { UnaskedSaving } from './worth'

/** Share of the queries that could be answered by what was kept, and are asked all the same. */
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
  kept: KeptAnswers
  clock: Clock
  means: Pick<Means, 'signature' | 'trust' | 'ended'>
  warn: Warn
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
  readonly #clock: Clock
  readonly #means: ReuseOptions['means']
  readonly #warn: Warn
  readonly #ask: ReuseOptions['ask']
  readonly #coin: () => number
  readonly #before: ReuseOptions['before']
  readonly #kept: KeptAnswers
  readonly #underWay = new Map<string, Crowd>()
  /** The model does not answer the same twice. */
  #isOff = false

  constructor({ kept, clock, means, warn, ask, before, coin }: ReuseOptions) {
    this.#clock = clock
    this.#means = means
    this.#warn = warn
    this.#ask = ask
    this.#coin = coin
    this.#before = before
    this.#kept = kept
  }

  /** Answers a query, now or as soon as one that is equal, or has it asked. */
  take(request: Request): void {
    const { payload, caller } = request
    if (this.#isOff) return void this.#ask(request, caller)
    const key = keyOf(caller.turn.tenant, payload)
    const kept = this.#kept.find(key, payload)
    if (kept && this.#coin() >= ASKED) return this.#answer(caller, kept)
    // Each has a coin of its own before equal ones are asked together.
    if (this.#before && !kept) this.#before.take(request, (own) => this.#askOnce(key, own, undefined))
    else this.#askOnce(key, request, kept)
  }

  /** Of answers before asking, see `Remembering`. */
  saving(ledger: Ledger): UnaskedSaving | undefined {
    return this.#before?.saving(ledger)
  }

  #askOnce(key: string, request: Request, kept: Kept | undefined): void {
    const { payload, caller, options } = request
    const crowd = this.#underWay.get(key)
    const mayJoin = isUsual(options)
    if (crowd && mayJoin && isSame(crowd.payload, payload)) return this.#wait(key, crowd, request)
    if (crowd || !mayJoin) this.#ask(request, caller)
    else this.#begin(key, request, kept)
  }

  #begin(key: string, request: Request, kept: Kept | undefined): void {
    const shared = new SharedCaller(
      request.caller,
      this.#clock.now(),
      (prediction) => this.#answered(key, crowd, prediction, kept),
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

  #answered(key: string, crowd: Crowd, prediction: Prediction, before: Kept | undefined): void {
    this.#forgetCrowd(key, crowd)
    const { signature, trust, ended } = this.#means
    const [first, ...others] = this.#stopped(crowd)
    const mayKeep = prediction.status === 'exact' && !crowd.isForgotten && this.#kept.isOn
    if (!others.length && !mayKeep) return void first?.caller.answer(prediction, ended)
    const answer = new Payload(signature.outputs.map(({ name }) => prediction.output[name])).copy()
    if (mayKeep) {
      const isKept = before && this.#kept.has(key, before) // no answer of a model before
      if (isKept && !agree(before.answer, answer, trust.equality)) {
        this.#warn('a query that was asked again had another answer: no answer is used again (reuse.exact)')
        this.#kept.clear()
        this.#isOff = true
      }
      if (!this.#isOff && first)
        this.#kept.keep(key, {
          tenant: crowd.tenant,
          query: crowd.payload,
          answer,
          prediction: { ...prediction, ...namesOf(prediction), output: {} },
          at: this.#clock.now(),
        })
    }
    first?.caller.answer(prediction, ended)
    for (const request of others) {
      if (prediction.status === 'recovered') this.#askOnce(key, request, undefined)
      else this.#answer(request.caller, { answer, prediction })
    }
  }

  /** What no answer came for in time is asked for again for those that have more; all else would go no better. */
  #failed(key: string, crowd: Crowd, error: ApproxiferError): void {
    this.#forgetCrowd(key, crowd)
    const now = this.#clock.now()
    for (const request of this.#stopped(crowd)) {
      if (error.code === 'DEADLINE' && request.caller.dueAt > now) this.#askOnce(key, request, undefined)
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
    this.#isOff = false
  }

  /** Forgets what an identity answered, or what a tenant asked. */
  forget(which: { identity?: Identity; tenant?: string }): void {
    this.#kept.forget(which)
    for (const crowd of this.#underWay.values()) crowd.isForgotten ||= crowd.tenant === which.tenant
  }
}

/** Copies, since each caller may write to its own. */
const namesOf = ({ workers, identities }: Prediction) => ({ workers: [...workers], identities: [...identities] })

/** Whether a caller chooses nothing of his own, so that another's answer will do. */
function isUsual({ policy, minConfidence, atDeadline }: PredictOptions): boolean {
  return policy === undefined && minConfidence === undefined && atDeadline === undefined
}
