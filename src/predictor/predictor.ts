/** predict(query) -> answer: gives every query a place in a group, a deadline, and an end. */

import { aborted } from '../abort'
import { checkNames, checkString } from '../check'
import type { TensorData } from '../element'
import { ApproxiferError, asError } from '../errors'
import { Payload } from '../payload'
import { NORMAL } from '../pool/attempt'
import { Caller } from '../query/caller'
import type { Prediction } from '../query/prediction'
import type { Query } from '../query/query'
import * as renamed from '../renamed'
import { type QueryTensors, type Signature, toTensors } from '../tensor'
import type { Verdict } from '../trust/reputation'
import type { ModelWorker } from '../workers/worker'
import { type Abilities, abilitiesOf } from './abilities'
import { Admission } from './admission'
import { Generation } from './generation'
import { type Means, meansOf } from './means'
import type { Membership } from './membership'
import { predictOptions } from './option-table'
import type { PredictOptions } from './options'
import { predictEach } from './predict-each'
import type { Request, Reuse } from './reuse'
import { checkChoices, checkTenant, type Settings, turnOf } from './settings'
import { type PredictorStats, statsOf } from './stats'
import { type Coder, NOBODY } from './tenants'
import { type UnaskedKinds, unaskedOf } from './unasked'

const NO_CHOICE: PredictOptions = Object.freeze({})
const predictNames = Object.keys(predictOptions)
/** Queries per slot of a worker that predictAll keeps under way. */
const AHEAD = 4

// Browsers without the symbol: what compilers of `await using` take in its place.
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

export class Predictor {
  /** What a query must look like, and what `output` will. */
  readonly signature: Signature
  /** What can be done with the model. */
  readonly abilities: Abilities
  /** `await using` closes it at the end of its block. No method: bundlers would keep the class in every bundle for its computed name. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>
  readonly #settings: Settings
  readonly #means: Means
  readonly #generation: Generation
  readonly #admission: Admission
  readonly #membership: Membership | undefined
  readonly #reuse: Reuse | undefined
  #closing: Promise<void> | undefined

  /** @param membership  tells of workers that come and go @param reuse  loaded where it is wanted */
  constructor(
    coder: Coder,
    workers: readonly ModelWorker[],
    settings: Settings,
    membership?: Membership,
    unasked?: UnaskedKinds,
  ) {
    Object.defineProperty(this, asyncDispose, { value: () => this.close() })
    this.signature = workers[0].signature
    this.abilities = abilitiesOf(workers[0], settings.right)
    this.#settings = settings
    this.#means = meansOf(coder, workers, settings, {
      fewer: () => this.#generation.reconsider(),
      judged: (verdict) => this.#judged(verdict),
      ended: (ending, tenant) => this.#admission.leave(ending, tenant),
    })
    const { pool, trust } = this.#means
    this.#admission = new Admission(settings.limits, () => AHEAD * pool.slots + coder.scheme.queries)
    const fingerprint = workers.find((worker) => worker.fingerprint)?.fingerprint
    this.#generation = new Generation(this.#means, settings, fingerprint)
    trust.resume()
    this.#reuse = unasked && this.#reusing(unasked)
    this.#membership = membership
    void membership?.follow(settings.clock, {
      join: (worker) => this.#joined(worker),
      leave(name, how) {
        const worker = pool.worker(name)
        if (pool[how](name) && worker) trust.left(worker)
      },
      renew: (fingerprint) => {
        this.#generation.renew(fingerprint)
        this.#reuse?.renew()
      },
      worker: (name) => pool.worker(name),
      isEmpty: () => pool.size === 0,
    })
  }

  #joined(worker: ModelWorker): void {
    const { pool, trust, buffers } = this.#means
    pool.add(worker, !trust.joined(worker))
    buffers?.joined(worker)
    this.#admission.wake() // more may be under way
  }

  /** How often the model was replaced. */
  get renewals(): number {
    return this.#generation.counts.renewals
  }

  /**
   * One query's answer.
   *
   * @param query  read before this returns, never kept
   * @throws TypeError, RangeError for a query that does not fit the signature or is not finite;
   *   ApproxiferError QUORUM, DEADLINE, WORKER, OVERLOADED, ABORTED, CLOSED
   */
  predict(query: QueryTensors, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    return new Promise((resolve, reject) => this.#admit(query, options, false, resolve, reject))
  }

  /**
   * The same for a query that is given away, which saves a copy: nobody may write to its
   * memory from here on. That, and what it is a view of, is kept as long as the query is used, also after its answer.
   */
  predictGiven(query: QueryTensors, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    return new Promise((resolve, reject) => this.#admit(query, options, true, resolve, reject))
  }

  #admit(
    query: QueryTensors,
    options: PredictOptions,
    given: boolean,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ): void {
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the predictor is closed')
    this.#checkRequest()
    if (options !== NO_CHOICE) checkNames('', options, predictNames, renamed.predict)
    const { signal } = options
    const settings = this.#settings
    const { isMixed, buffers } = this.#means
    const copy = given ? (data: TensorData) => data : buffers?.copy
    const tensors = toTensors(query, this.signature.inputs, isMixed, copy)
    const payload = new Payload(tensors, this.#means.shapeKeyOf(tensors))
    const choices =
      options === NO_CHOICE ? settings.choices : checkChoices(options, this.#means.coder, settings.choices)
    const ms = predictOptions.deadlineMs.check('deadlineMs', options.deadlineMs ?? settings.deadlineMs)
    const tenant = checkTenant(options.tenant ?? NOBODY, settings.limits.tenants)
    const turn = options === NO_CHOICE ? NORMAL : turnOf(tenant, options.priority)
    if (signal !== undefined) predictOptions.signal.check('signal', signal)
    if (options.ask !== undefined) predictOptions.ask.check('ask', options.ask)
    if (signal?.aborted) throw aborted(signal)
    this.#admission.enter(tenant)
    const caller = new Caller(choices, settings.clock.now(), ms, resolve, reject, turn)
    const request = { payload, caller, signal, options }
    if (!this.#reuse) this.#enter(request, caller)
    else this.#reuse.take(request)
  }

  #reusing(kinds: UnaskedKinds): Reuse {
    const ask = (request: Request, caller: Caller) => this.#enter(request, caller)
    const learned = (tenant: string) => this.#generation.tenants.of(tenant).context
    return unaskedOf(kinds, this.#settings, this.#means, { ask, learned })
  }

  /** A throw on its way costs this one query, and nobody else. @param caller  its own, or who asks for several */
  #enter({ payload, signal, caller: own }: Request, caller: Caller): Query | undefined {
    try {
      const query = this.#generation.enter(payload, caller)
      if (signal && caller === own && caller.isOpen) caller.listen(signal, (error) => query.leave(error))
      return query
    } catch (error) {
      if (caller.isOpen) caller.fail(asError(error, 'WORKER'), this.#means.ended)
    }
  }

  /**
   * The answers to all queries, in their order; rejects with the first error, if there is one. So many are under way at a
   * time that all workers have something to do; the others wait here, and other callers need not wait behind them.
   */
  async predictAll(queries: Iterable<QueryTensors>, options: PredictOptions = {}): Promise<Prediction[]> {
    checkNames('', options, predictNames, renamed.predict)
    if (options.signal !== undefined) predictOptions.signal.check('signal', options.signal)
    return predictEach(this, queries, options)
  }

  /** Whether there is room for one more query of somebody who has many: all workers have something to do, and others need not wait behind him. */
  get hasRoom(): boolean {
    return this.#admission.hasRoom
  }

  /**
   * Waits where there is no room, until there may be some: `hasRoom` is to be asked again, since others may have been quicker. At once
   * where the signal has fired.
   */
  async room(signal?: AbortSignal): Promise<void> {
    this.#checkRequest()
    await this.#admission.room(signal)
  }

  /** @throws ApproxiferError CLOSED in a request that would wait for ever */
  #checkRequest(): void {
    const error = this.#settings.guard?.()
    if (error) throw error
  }

  /** Those of which something may be learned, for `save`, nobody's among them, which holds the workers' record: none with the paper's code. */
  get tenants(): string[] {
    const { names } = this.#generation.tenants
    if (this.#means.coder.code !== 'systematic') return []
    return names.length && !names.includes(NOBODY) ? [NOBODY, ...names] : names
  }

  /** Why no query can be answered now: no worker is left, or can be reached, or is trusted. Undefined while one may take queries. */
  get unready(): string | undefined {
    const { pool } = this.#means
    return pool.usable ? undefined : pool.nobody
  }

  /** @param name  of the tenant whose memory it tells of */
  stats(name = NOBODY): PredictorStats {
    return statsOf(this.#means, this.#generation, this.#admission, name, this.#reuse?.given)
  }

  /**
   * What was learned so far, for the option `state` of a predictor with the same model, code and memory: remembered
   * queries, what recovered answers are worth, the kernel.
   *
   * @param name  of the tenant
   * @throws RangeError for one that is not known
   */
  save(name = NOBODY): Uint8Array {
    const state = this.#generation.tenants.save(name)
    if (!state) throw new RangeError(`tenant: expected one that was asked for, got ${JSON.stringify(name)}`)
    return state
  }

  /** Forgets all that was learned of a tenant's queries. @returns whether it was known */
  forgetTenant(name: string): boolean {
    checkTenant(name, this.#settings.limits.tenants)
    this.#reuse?.forget({ tenant: name })
    const known = this.#generation.tenants.forget(name)
    if (name === NOBODY) this.#generation.tenants.of(name)
    return known
  }

  /**
   * Takes out what a worker's answers taught, for who learns that it was wrong: as if they had never come. What is left is looked at
   * anew, in steps of a few milliseconds; until that is done nothing is recovered from memory.
   *
   * @param worker  its name; of one that has left, too
   */
  forget(worker: string): void {
    checkString('worker', worker, "a worker's name")
    this.#reuse?.forget({ worker })
    for (const { learning } of this.#generation.tenants) learning?.forget(worker)
  }

  /** It takes no queries any more. */
  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** Settles every open query with CLOSED and closes the workers. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const error = new ApproxiferError('CLOSED', 'the predictor was closed')
    this.#generation.end(error)
    for (const { learning } of this.#generation.tenants) learning?.close()
    this.#admission.close()
    this.#membership?.close()
    await this.#means.pool.close(error)
  }

  /** A worker was shown to lie, or is believed again. */
  #judged(verdict: Verdict): void {
    const { worker, identity, kind, evidence } = verdict
    const { warn, onVerdict } = this.#settings
    onVerdict(verdict)
    if (kind === 'readmitted') return
    if (kind === 'kept')
      return warn('workers disagree so often that hardly any would be left: does the model answer the same twice?')
    const { lies, proven } = evidence
    warn(`${worker} lied, with proof (${lies} lies, ${proven} proven answers so far): it is ejected`)
    const own = this.#means.pool.identities.workersOf(identity)
    for (const name of new Set([worker, ...own.map(({ name }) => name)])) this.forget(name)
    this.#generation.reconsider(identity)
  }
}
