/** predict(query) -> answer: checks a query, and sees that it is answered or fails by its deadline. */

import { aborted } from '../base/abort'
import { checkString, outOfRange } from '../base/check'
import type { TensorData } from '../base/element'
import { ApproxiferError } from '../base/errors'
import { guarded, threw } from '../base/notices'
import { Payload } from '../base/payload'
import type { Ending, Prediction } from '../base/prediction'
import { type QueryTensors, type Signature, toTensors } from '../base/tensor'
import type { ModelVersionReport, Trace } from '../events'
import type { GivenAnswers } from '../trust/given-answers'
import type { Reputation } from '../trust/reputation'
import { identityOf, type ModelChange, type ModelWorker } from '../workers/worker'
import { type Abilities, abilitiesOf } from './abilities'
import { Activity } from './activity'
import { Admission } from './admission'
import type { BatchAdmission, QueryBatch } from './batch-admission'
import { WaitingCaller } from './caller'
import { type Callbacks, dependenciesOf, type SamplingOf } from './dependencies'
import { judge } from './ejection'
import type { Members, Membership, Takes } from './membership'
import { predictOptions } from './option-table'
import type { PredictOptions } from './options'
import type { ReuseFactory } from './reuse'
import type { Rollout } from './rollout'
import { checkPredictNames, checkTenant, chosen, type Settings } from './settings'
import type { TrustLayers } from './stack'
import { type PredictorStats, statsOf } from './stats'
import { type Coder, NOBODY } from './tenants'
import { ModelVersion } from './version'

const NO_CHOICE: PredictOptions = Object.freeze({})

// For browsers without the symbol: what compilers of `await using` use instead.
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** Modules that only some predictors need; loaded when an option asks for them. */
interface PredictorDependencies {
  /** For callers with many queries. */
  BatchAdmission: typeof BatchAdmission
  /** Workers that join and leave. */
  membership?: Membership | undefined
  reuse?: ReuseFactory | undefined
  rollout?: typeof Rollout | undefined
  sampling?: SamplingOf | undefined
  given?: GivenAnswers | undefined
  reputation?: typeof Reputation | undefined
  trustLayers?: TrustLayers | undefined
  needs?: Takes
}

export class Predictor {
  /** What a query must look like, and what `output` will. */
  readonly signature: Signature
  /** What can be done with the model. */
  readonly abilities: Abilities
  /** `await using` closes it at the end of its block. Not a method: for its computed name bundlers would keep the class in every bundle. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>
  readonly #settings: Settings
  readonly #first: ModelVersion
  /** Undefined if a new model takes over without a rollout. */
  readonly #rollout: Rollout | undefined
  readonly #admission: Admission
  readonly #batches: BatchAdmission
  readonly #membership: Membership | undefined
  /** Undefined where no worker can sleep. */
  readonly #activity: Activity | undefined
  #closing: Promise<void> | undefined

  constructor(coder: Coder, workers: readonly ModelWorker[], settings: Settings, dependencies: PredictorDependencies) {
    const { BatchAdmission, membership, reuse, rollout, sampling, given, reputation, trustLayers } = dependencies
    Object.defineProperty(this, asyncDispose, { value: () => this.close() })
    this.signature = workers[0].signature
    this.abilities = abilitiesOf(workers[0], settings.right)
    this.#settings = settings
    const begin = (workers: readonly ModelWorker[], before?: ModelVersion): ModelVersion => {
      const callbacks: Callbacks = {
        fewer: () => (this.#rollout ? this.#rollout.fewer(version) : version.reconsider()),
        judged: (verdict) => judge(verdict, this.#all, settings),
        ended: (caller, outcome) => {
          const { ending, turn, trace } = caller
          if (trace) tellEnd(trace, outcome)
          if (this.#admission.leave(ending as Ending, turn)) version.tenants.known(turn.tenant)?.errors?.count()
          this.#batches.giveSlots()
        },
      }
      let probed: ModelChange['probed'] // computed when it is needed
      for (let i = 0; i < workers.length && !probed; i++) probed = workers[i].probed
      const fingerprint = workers.find((worker) => worker.fingerprint)?.fingerprint
      const model = { model: fingerprint, modelId: workers[0].modelId, probed }
      for (const worker of workers) settings.events.tellOf(worker.name, identityOf(worker), { event: 'joined' })
      const dependencies = dependenciesOf(coder, workers, settings, callbacks, {
        reputation,
        sampling,
        given,
        before: before?.dependencies,
      })
      const version = new ModelVersion(dependencies, settings, { model: model, reuse, trustLayers, before })
      return version
    }
    this.#admission = new Admission(settings.limits)
    this.#batches = new BatchAdmission(settings.clock, this.#admission, () => this.#version)
    this.#first = begin(workers)
    this.#first.dependencies.trust.resume()
    const needs = dependencies.needs ?? { least: 1, counted: 'workers', liars: 0 }
    const others = { settings, needs, begin: (worker: ModelWorker, before: ModelVersion) => begin([worker], before) }
    this.#rollout = rollout && new rollout(this.#first, workers[0], others)
    this.#membership = membership
    void membership?.follow(settings.clock, this.#members)
    const sleepers = (membership ? [membership] : workers).flatMap(({ sleep }) =>
      sleep ? guarded(sleep, threw('sleep', settings.warn)) : [],
    )
    const isBusy = () => this.#admission.isBusy
    if (sleepers.length) this.#activity = new Activity(settings.clock, isBusy, sleepers)
  }

  get #members(): Members {
    const own = this.#rollout ?? this.#first
    return {
      join: (worker) => {
        own.join(worker)
        this.#batches.giveSlots() // more queries may be in flight
      },
      leave: (name, how) => own.leave(name, how),
      renew: (change) => this.#renew(change),
      worker: (name) => this.#all.map(({ dependencies }) => dependencies.pool.worker(name)).find((worker) => worker),
      isEmpty: () => this.#all.every(({ dependencies }) => dependencies.pool.size === 0),
    }
  }

  /** All workers have another model. */
  #renew(change: ModelChange): void {
    this.#version.renew(change)
    const [serving] = this.modelVersions()
    this.#settings.events.tellModel(serving)
  }

  get #version(): ModelVersion {
    return this.#rollout?.serving ?? this.#first
  }

  get #all(): readonly ModelVersion[] {
    return this.#rollout?.versions ?? [this.#first]
  }

  /** How often the model was replaced. */
  get renewals(): number {
    return this.#version.counts.renewals
  }

  /**
   * Predicts one query.
   *
   * @param query  read before this returns, never kept
   * @throws TypeError, RangeError for a query that does not fit the signature or is not finite; ApproxiferError QUORUM, DEADLINE, WORKER,
   * OVERLOADED, ABORTED, CLOSED
   */
  predict(query: QueryTensors, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    return new Promise((resolve, reject) => this.#admit(query, options, false, resolve, reject))
  }

  /**
   * As `predict`, but takes the query over, which saves a copy: nobody may write to its buffer from here on. The buffer is kept as long as the
   * query is used, which may be longer than its answer takes.
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
    many?: QueryBatch,
  ): void {
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the predictor is closed')
    const unfit = this.#settings.guard?.()
    if (unfit) throw unfit
    if (options !== NO_CHOICE) checkPredictNames(options)
    const settings = this.#settings
    const { isMixed, vectors, buffers, shapeKeyOf, coder } = this.#version.dependencies
    const copy = given ? (data: TensorData) => data : buffers?.copy
    const tensors = toTensors(query, this.signature.inputs, isMixed, copy)
    const payload = new Payload(tensors, shapeKeyOf?.(tensors), vectors?.of)
    const own = options === NO_CHOICE ? settings.usual : chosen(options, coder, settings)
    const { choices, turn, signal } = own
    if (signal?.aborted) throw aborted(signal)
    const now = settings.clock.now()
    this.#activity?.asked(now)
    const { events } = settings
    const number = events.next()
    const trace = events.asked(number, turn.tenant, options.traceparent)
    try {
      this.#admission.enter(turn, () => this.#version.dependencies.pool.forecast.waitMs(turn))
    } catch (error) {
      trace?.failed(error as ApproxiferError)
      throw error
    }
    const deadlineMs = many && many.demand.dueAt < Infinity ? many.demand.dueAt - now : own.deadlineMs
    const caller = new WaitingCaller(choices, now, deadlineMs, resolve, reject, turn, options, number, trace)
    const serving = this.#rollout ?? this.#first
    serving.take({ payload, caller, signal, refusal: many?.demand.isWhole ? false : undefined })
  }

  /**
   * Predicts all queries, in order; rejects with the first error. Enough queries are in flight to keep all workers busy; the others wait here, so
   * that other callers need not wait behind them.
   */
  async predictAll(queries: Iterable<QueryTensors>, options: PredictOptions = {}): Promise<Prediction[]> {
    checkPredictNames(options)
    if (options.signal !== undefined) predictOptions.signal.check('signal', options.signal)
    return this.#batches.each(this, queries, options)
  }

  /**
   * Opens a batch of one caller, for `predictOf`. @param rows  Infinity if unknown @param isTimed  one deadline for the whole batch, from now on
   * @throws TypeError, RangeError for a wrong option
   */
  many(options: PredictOptions, rows: number, isTimed = true): QueryBatch {
    const unfit = this.#settings.guard?.()
    if (unfit) throw unfit
    const own = chosen(options, this.#version.dependencies.coder, this.#settings)
    return this.#batches.open(own, rows, isTimed, options.deadlineMs !== undefined)
  }

  /** As `predict`, for a query of a batch that has taken a slot. */
  predictOf(many: QueryBatch, query: QueryTensors, options: PredictOptions): Promise<Prediction> {
    return many.sent(new Promise((resolve, reject) => this.#admit(query, options, false, resolve, reject, many)))
  }

  /** The tenants whose state `save` can save, the nameless one included, which has the workers' records; none with the paper's code. */
  get tenants(): string[] {
    const { tenants, dependencies } = this.#version
    const { names } = tenants
    if (dependencies.coder.code !== 'systematic') return []
    return names.length && !names.includes(NOBODY) ? [NOBODY, ...names] : names
  }

  /**
   * Why no query can be answered now: no worker is left, reachable or trusted. Undefined while one may take queries. As `stats`, it wakes
   * workers.
   */
  get unready(): string | undefined {
    const { pool } = this.#version.dependencies
    const why = pool.usable ? undefined : pool.nobody
    this.#activity?.asked()
    return why
  }

  /**
   * What is known now. Workers elsewhere are not checked after some seconds without a query; as a query does, this call wakes them: see
   * `ModelWorker.sleep`.
   *
   * @param name  the tenant whose memory and budget are described
   */
  stats(name = NOBODY): PredictorStats {
    this.#activity?.asked()
    return statsOf(this.#version, this.#admission, name)
  }

  /**
   * The learned state, for the option `memory.state` of a predictor with the same model, code and memory: pairs, calibration, kernel.
   *
   * @param name  the tenant
   * @throws RangeError for an unknown tenant; ApproxiferError WORKER if the memory's thread dies meanwhile
   */
  async save(name = NOBODY): Promise<Uint8Array> {
    const state = this.#version.tenants.save(name)
    if (!state) throw outOfRange(`tenant: expected one that was asked for, got ${JSON.stringify(name)}`)
    return state
  }

  /** Forgets all that was learned from a tenant's queries. @returns whether the tenant was known */
  forgetTenant(name: string): boolean {
    checkTenant(name, this.#settings.limits.tenants)
    const known = this.#all.map(({ tenants }) => {
      const isKnown = tenants.forget(name)
      if (name === NOBODY) tenants.of(name)
      return isKnown
    })
    return known.includes(true)
  }

  /**
   * Removes what a machine's answers taught, as if they had never come; call it when they turn out to be wrong. The rest is learned again in steps
   * of a few milliseconds; until then nothing is recovered from the memory.
   *
   * @param identity  see `ModelWorker.identity` and `Prediction.identities`, also of a machine that has left; or the name of a worker
   */
  forget(identity: string): void {
    checkString('identity', identity, 'that of a worker')
    const named = this.#members.worker(identity)
    const all = new Set([identity, ...(named ? [identityOf(named)] : [])])
    for (const version of this.#all) for (const each of all) version.forget(each)
  }

  /** The models that workers have, the serving one first: see the option `rollout`. As `stats`, it wakes workers. */
  modelVersions(): ModelVersionReport[] {
    this.#activity?.asked()
    if (this.#rollout) return this.#rollout.reports
    const { fingerprint: id = 'unknown', dependencies } = this.#first
    return [{ id, state: 'serving', workers: dependencies.pool.size, compared: 0, agreed: 0, answered: 0, failed: 0 }]
  }

  /** Makes a candidate take over now, whatever is known of it. @throws RangeError for an unknown one, or one with too few workers */
  promote(id: string): void {
    this.#gathering(id).promote(id)
  }

  /** Keeps a candidate from taking over by itself. @throws RangeError for an unknown one */
  refuse(id: string): void {
    this.#gathering(id).refuse(id)
  }

  #gathering(id: string): Rollout {
    checkString('model version', id)
    if (this.#rollout) return this.#rollout
    throw outOfRange(`the model version: expected a candidate (see the option rollout), got '${id}'`)
  }

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
    this.#batches.close()
    this.#activity?.close()
    this.#membership?.close()
    this.#rollout?.close()
    await Promise.all(this.#all.map((version) => version.close(error)))
  }
}

function tellEnd(trace: Trace, outcome: Prediction | ApproxiferError): void {
  if (outcome instanceof ApproxiferError) trace.failed(outcome)
  else trace.answered(outcome)
}
