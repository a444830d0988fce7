/** predict(query) -> answer: gives every query a place in a group, a deadline, and an end. */

import { aborted, onAbort } from '../abort'
import { checkMs, checkNames, checkString } from '../check'
import type { Codec } from '../codec/codec'
import { criterionOf } from '../criterion'
import { ApproxiferError, asError } from '../errors'
import type { Agreement } from '../memory/agreements'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { DEFAULT_BYTES } from '../memory/memory'
import { Pool, type WorkerStats } from '../pool/pool'
import { Budget, Extras } from '../query/budget'
import { Deadlines } from '../query/deadlines'
import { Lateness, LateWatch } from '../query/lateness'
import { Learning } from '../query/learning'
import { GroupRun, type LiveRun, type Service } from '../query/run'
import { type Ending, type House, type Prediction, type Status, Ticket } from '../query/ticket'
import { VerifiedRun } from '../query/verified'
import { seeded } from '../random'
import { type Query, type Signature, toRow } from '../tensor'
import { Evidence, type WorkerEvidence } from '../trust/evidence'
import { Scores } from '../trust/scores'
import { type Verdict, Verification } from '../trust/verification'
import type { ModelWorker } from '../workers/worker'
import type { Membership } from './membership'
import {
  checkChoices,
  checkPartition,
  checkSignal,
  isVerified,
  type PredictOptions,
  predictOptions,
  type Settings,
} from './options'
import { type Tenant, Tenants } from './tenants'

export interface PredictorStats {
  core: 'wasm' | 'js'
  /** Queries waiting or under way. */
  open: number
  exact: number
  recovered: number
  checked: number
  unverified: number
  /** Queries that ended in an error, by its code. */
  failed: Record<string, number>
  groups: number
  /** Second requests for late queries, and those of them that were answered first. */
  hedges: { sent: number; won: number }
  /** How long a query waits until it is late; undefined before enough were answered. */
  lateMs: number | undefined
  /** Queries remembered. */
  remembered: number
  /** How far off an answer without a label may be to agree; undefined where there are labels, or until it was learned. */
  tolerance: number | undefined
  /** How often recovered answers agreed with the model's own, which came late. */
  agreements: Agreement[]
  /** Each worker, and what is held against it; see `WorkerEvidence`. */
  workers: (WorkerStats & WorkerEvidence)[]
}

const NO_CHOICE: PredictOptions = Object.freeze({})
/** Queries per worker that predictAll keeps under way. */
const AHEAD = 4
/** Steps within a turn after which who was given room has taken it; one too few wakes another in vain. */
const STEPS = 8
/** Hedges that may be saved up. */
const BURST = 10
/**
 * Late queries that may be given a recovery, as a share of all: twice as many as are late by definition, and those of 500
 * queries saved up. A pool that slows down as a whole must not turn everybody's answer into a recovery.
 */
const RECOVERED = { times: 2, queries: 500 }

/** The partition of queries that name none. */
const NOBODY = ''

/** Where the runtime lacks the symbol: the one that compilers of `await using` use instead. */
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

export class Predictor {
  /** What a query must look like, and what `output` will. */
  readonly signature: Signature
  /** `await using` closes it at the end of its block. No method: bundlers would keep the class in every bundle for its computed name. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>
  readonly #settings: Settings
  readonly #shared: Omit<Service, 'codec' | 'learning'>
  readonly #codec: Codec
  /** Whether single answers are proven, so that something can be learned from them. */
  readonly #honest: boolean
  readonly #tenants: Tenants
  readonly #house: House
  /** Of queries that do not have one of their own. */
  readonly #deadlines: Deadlines
  readonly #watch: LateWatch<Ticket> | undefined
  readonly #runs: LiveRun[] = []
  readonly #membership: Membership | undefined
  /** Of the model, where it is known. */
  #fingerprint: string | undefined
  #renewals = 0
  #open = 0
  readonly #counts: Record<Status, number> = { exact: 0, checked: 0, recovered: 0, unverified: 0 }
  readonly #failed: Record<string, number> = {}
  #groups = 0
  /** Calls of `room` that wait for it. */
  readonly #forRoom: (() => void)[] = []
  #closing: Promise<void> | undefined

  /** @param membership  tells of workers that come and go */
  constructor(codec: Codec, workers: readonly ModelWorker[], settings: Settings, membership?: Membership) {
    const { clock, hangMs, hedges, patience, rule, seed } = settings
    const { signature } = workers[0]
    const criterion = criterionOf(signature.outputs, settings)
    const honest = !codec.scheme.byzantine || isVerified(codec)
    this.#honest = honest
    const recovered = RECOVERED.times * (1 - patience)
    this.signature = signature
    Object.defineProperty(this, asyncDispose, { value: () => this.close() })
    this.#settings = settings
    this.#codec = codec
    this.#house = { clock, outputs: signature.outputs, settled: (ending) => this.#settled(ending) }
    this.#deadlines = new Deadlines(clock)
    const fewer = () => this.#reconsider()
    const lateness = new Lateness(patience)
    const lateMs = () => lateness.lateMs
    const { maxBatch } = settings
    const pool = new Pool(workers, { clock, hangMs, signature, useAll: !honest, fewer, lateMs, maxBatch })
    const { integrity, audit, rounding } = settings
    const verifying = { pool, clock, criterion, liars: codec.scheme.byzantine, integrity, audit, rounding, seed }
    const judged = (verdict: Verdict) => this.#judged(verdict)
    this.#shared = {
      pool,
      clock,
      random: seeded(seed),
      rule,
      criterion,
      lateness,
      hedges: new Budget(hedges, BURST),
      recoveries: new Budget(recovered, recovered * RECOVERED.queries),
      extras: new Extras(),
      hedged: { sent: 0, won: 0 },
      verification: new Verification({ ...verifying, evidence: new Evidence(), bars: honest, judged }),
      scores: new Scores(settings.falseAlarms),
      done: (run) => this.#done(run),
    }
    this.#fingerprint = workers.find((worker) => worker.fingerprint)?.fingerprint
    this.#tenants = new Tenants(settings.partitions, (partition) => this.#tenant(partition, this.#fingerprint))
    for (const partition of Object.keys(settings.states)) this.#tenants.of(partition) // what cannot be read is refused now
    if (settings.partitions === 1) this.#tenants.of(NOBODY)
    this.#shared.verification.resume()
    this.#membership = membership
    void membership?.follow(clock, {
      join: (worker) => this.#join(worker),
      leave: (name, how) => this.#leave(name, how),
      renew: (fingerprint) => this.#renew(fingerprint),
      worker: (name) => pool.worker(name),
      isEmpty: () => pool.size === 0,
    })
    if (!honest || codec.code !== 'systematic') return
    this.#watch = new LateWatch(clock, this.#shared.lateness, (ticket) => ticket.run?.late(ticket))
  }

  #join(worker: ModelWorker): void {
    this.#shared.verification.join(worker)
    this.#wake() // more may be under way
  }

  #leave(name: string, how: 'remove' | 'drain'): void {
    const { pool, verification, scores } = this.#shared
    const worker = pool.worker(name)
    if (!pool[how](name)) return
    if (worker) verification.left(worker)
    scores.clear(name)
  }

  /** The workers have another model: answers of the one before teach nothing of it, nor may a group have some of each. */
  #renew(fingerprint: string | undefined): void {
    this.#renewals++
    this.#fingerprint = fingerprint
    for (const run of [...this.#runs]) run.end(new ApproxiferError('WORKER', 'the model of the workers was replaced'))
    this.#shared.verification.evidence.renew()
    for (const partition of this.#tenants.names) this.forgetPartition(partition)
  }

  /** How often the model was replaced. */
  get renewals(): number {
    return this.#renewals
  }

  /** What serves a partition; it has learned what its state says. */
  #tenant(partition: string, fingerprint: string | undefined): Tenant {
    const { clock, criterion } = this.#shared
    const { partitions, states, memory, warn } = this.#settings
    const state = Object.hasOwn(states, partition) ? states[partition] : undefined // one may be named __proto__
    delete states[partition] // it is taken up once: what is forgotten later stays so
    const codec = this.#codec.another()
    const honest = !codec.scheme.byzantine || isVerified(codec)
    const bytes = Math.floor((memory ? (memory.bytes ?? DEFAULT_BYTES) : DEFAULT_BYTES) / partitions)
    const own = partitions > 1 && memory !== false ? { ...memory, bytes } : memory
    const evidence = partition === NOBODY ? this.#shared.verification.evidence : undefined // it is nobody's in particular
    const learned = { criterion, fingerprint, kernels: codec.kernels, evidence, warn, memory: honest && own }
    const experience = this.#experience(codec, learned, state)
    const learning = new Learning(experience, clock, warn, 1 / partitions)
    const service = { ...this.#shared, codec, learning: honest ? learning : undefined }
    return { service, learning }
  }

  #experience(codec: Codec, options: ExperienceOptions, state: Uint8Array | undefined): Experience {
    const { unfitState, warn } = this.#settings
    try {
      return new Experience(codec.core, this.signature, { ...options, state })
    } catch (error) {
      if (state === undefined || unfitState === 'refuse') throw error
      warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
      return new Experience(codec.core, this.signature, options)
    }
  }

  /**
   * One query's answer.
   *
   * @param query  read before this returns, never kept
   * @throws TypeError, RangeError for a query that does not fit the signature or is not finite;
   *   ApproxiferError QUORUM, DEADLINE, WORKER, OVERLOADED, ABORTED, CLOSED
   */
  predict(query: Query, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    return new Promise((resolve, reject) => this.#admit(query, options, false, resolve, reject))
  }

  /**
   * The same for a query that is given away, which saves a copy where the model has one input: nobody may write to its
   * memory from here on. That, and what it is a view of, is kept as long as the query is used, also after its answer.
   */
  predictGiven(query: Query, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    return new Promise((resolve, reject) => this.#admit(query, options, true, resolve, reject))
  }

  #admit(
    query: Query,
    options: PredictOptions,
    given: boolean,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ): void {
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the predictor is closed')
    this.#checkRequest()
    if (options !== NO_CHOICE) checkNames('', options, predictOptions)
    const { signal } = options
    const settings = this.#settings
    const row = toRow(query, this.signature.inputs, given)
    const choices =
      options === NO_CHOICE ? settings.choices : checkChoices(options, this.#codec, settings.rule, settings.choices)
    const ms = checkMs('deadlineMs', options.deadlineMs ?? settings.deadlineMs)
    const partition = checkPartition(options.partition ?? NOBODY, settings.partitions)
    checkSignal(signal)
    if (signal?.aborted) throw aborted(signal)
    if (this.#open >= settings.maxQueries) {
      this.#count('OVERLOADED')
      throw new ApproxiferError('OVERLOADED', `${this.#open} queries are in the house already`)
    }
    // Half of a short deadline for the group to fill, half for the answers.
    const maxWaitMs = Math.min(settings.maxWaitMs, ms / 2)
    const ticket = new Ticket(row, choices, maxWaitMs, ms, this.#house, resolve, reject)
    this.#open++
    this.#enter(ticket, partition) // first, so that a worker is at work meanwhile
    ticket.watch(ms === settings.deadlineMs ? this.#deadlines : new Deadlines(settings.clock), signal)
  }

  /**
   * The answers to all queries, in their order; rejects with the first error, if there is one. So many are under way at a
   * time that all workers have something to do; the others wait here, and other callers need not wait behind them.
   */
  async predictAll(queries: Iterable<Query>, options: PredictOptions = {}): Promise<Prediction[]> {
    checkNames('', options, predictOptions)
    checkSignal(options.signal)
    const predictions: Promise<Prediction>[] = []
    let failure: { error: unknown } | undefined
    const stop = new AbortController()
    const forget = onAbort(options.signal, () => stop.abort())
    try {
      for (const query of queries) {
        while (!this.hasRoom && !stop.signal.aborted) await this.room(stop.signal)
        if (failure) break
        const prediction = this.predict(query, options)
        prediction.catch((error) => {
          failure ??= { error }
          stop.abort()
        })
        predictions.push(prediction)
        if (failure || this.#closing || options.signal?.aborted) break
      }
    } finally {
      forget()
    }
    if (failure) throw failure.error
    return Promise.all(predictions)
  }

  /** Whether there is room for one more query of somebody who has many: all workers have something to do, and others need not wait behind him. */
  get hasRoom(): boolean {
    return this.#open < this.#comfortable || this.#closing !== undefined
  }

  /**
   * Waits where there is no room, until there may be some: `hasRoom` is to be asked again, since others may have been quicker. At once
   * where the signal has fired.
   */
  async room(signal?: AbortSignal): Promise<void> {
    this.#checkRequest()
    if (this.hasRoom || signal?.aborted) return
    const forget = onAbort(signal, () => this.#wake())
    await new Promise<void>((resolve) => this.#forRoom.push(resolve))
    forget()
  }

  /** @throws ApproxiferError CLOSED in a request that would wait for ever */
  #checkRequest(): void {
    const error = this.#settings.guard?.()
    if (error) throw error
  }

  /** Queries that keep all workers busy. */
  get #comfortable(): number {
    const { pool } = this.#shared
    return Math.min(this.#settings.maxQueries, AHEAD * pool.size + this.#codec.scheme.queries)
  }

  /** Those of which something may be learned, for `save`: none with the paper's code and byzantine > 0. */
  get partitions(): string[] {
    return this.#honest ? this.#tenants.names : []
  }

  /** Why no query can be answered now: no worker is left, or can be reached, or is trusted. Undefined while one may take queries. */
  get unready(): string | undefined {
    const { pool } = this.#shared
    return pool.usable ? undefined : pool.nobody
  }

  /** @param partition  whose memory it tells of */
  stats(partition = NOBODY): PredictorStats {
    const { lateness, hedged, pool, verification } = this.#shared
    const experience = this.#tenants.known(partition)?.learning.experience
    return {
      core: this.#codec.core.kind,
      open: this.#open,
      ...this.#counts,
      failed: { ...this.#failed },
      groups: this.#groups,
      hedges: { ...hedged },
      lateMs: lateness.lateMs,
      remembered: experience?.remembered ?? 0,
      tolerance: experience?.confidence.tolerance,
      agreements: experience?.confidence.agreements ?? [],
      workers: pool.stats().map((stats) => ({ ...stats, ...verification.evidence.of(stats.identity) })),
    }
  }

  /**
   * What was learned so far, for the option `state` of a predictor with the same model, code and memory: remembered
   * queries, what recovered answers are worth, the kernel.
   *
   * @param partition  whose
   * @throws RangeError for one that is not known
   */
  save(partition = NOBODY): Uint8Array {
    const tenant = this.#tenants.known(partition)
    if (!tenant) throw new RangeError(`partition: expected one that was asked for, got ${JSON.stringify(partition)}`)
    return tenant.learning.save()
  }

  /** Forgets all that was learned of a partition's queries. @returns whether it was known */
  forgetPartition(partition: string): boolean {
    checkPartition(partition, this.#settings.partitions)
    const known = this.#tenants.forget(partition)
    if (partition === NOBODY) this.#tenants.of(partition)
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
    for (const learning of this.#tenants) learning.forget(worker)
  }

  /** Settles every open query with CLOSED and closes the workers. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { pool } = this.#shared
    const error = new ApproxiferError('CLOSED', 'the predictor was closed')
    this.#watch?.stop()
    for (const run of [...this.#runs]) run.end(error)
    for (const learning of this.#tenants) learning.close()
    this.#wake()
    this.#membership?.close()
    await pool.close(error)
  }

  /** Gives a query a place in a group. A throw on its way costs this one query, and nobody else. */
  #enter(ticket: Ticket, partition: string): void {
    const { hedges, recoveries } = this.#shared
    try {
      const tenant = this.#tenants.of(partition)
      const run = tenant.filling?.filling ? tenant.filling : this.#openRun(tenant.service)
      tenant.filling = run
      ticket.run = run
      hedges.earn()
      recoveries.earn()
      run.join(ticket)
      if (this.#watch) ticket.noticeLate(this.#watch)
    } catch (error) {
      ticket.leave(asError(error, 'WORKER'))
    }
  }

  /** A worker was shown to lie, or is believed again. */
  #judged(verdict: Verdict): void {
    const { worker, identity, kind, evidence } = verdict
    const { warn, onVerdict } = this.#settings
    onVerdict(verdict)
    if (kind === 'released') return
    if (kind === 'kept')
      return warn('workers disagree so often that hardly any would be left: does the model answer the same twice?')
    const { lies, proven } = evidence
    warn(`${worker} lied, with proof (${lies} lies, ${proven} proven answers so far): it is quarantined`)
    const own = this.#shared.pool.identities.workersOf(identity)
    for (const name of new Set([worker, ...own.map(({ name }) => name)])) this.forget(name)
    this.#reconsider(identity)
  }

  #reconsider(convicted?: string): void {
    for (const run of [...this.#runs]) run.reconsider(convicted)
  }

  #openRun(service: Service): LiveRun {
    const run = isVerified(service.codec) ? new VerifiedRun(service) : new GroupRun(service)
    run.place = this.#runs.push(run) - 1
    this.#groups++
    return run
  }

  #done(run: LiveRun): void {
    const last = this.#runs.pop() as LiveRun
    if (last === run) return
    this.#runs[run.place] = last
    last.place = run.place
  }

  #settled(ending: Ending): void {
    this.#open--
    this.#count(ending)
    if (this.#forRoom.length) void this.#letIn()
  }

  #count(ending: Ending): void {
    if (ending in this.#counts) this.#counts[ending as Status]++
    else this.#failed[ending] = (this.#failed[ending] ?? 0) + 1
  }

  /** Lets as many look again as there is room for, and the next ones where somebody did not take it after all. */
  async #letIn(): Promise<void> {
    while (this.#forRoom.length && this.#open < this.#comfortable) {
      for (const wake of this.#forRoom.splice(0, this.#comfortable - this.#open)) wake()
      for (let i = 0; i < STEPS; i++) await undefined
    }
  }

  /** Lets all that wait for room look again. */
  #wake(): void {
    for (const wake of this.#forRoom.splice(0)) wake()
  }
}
