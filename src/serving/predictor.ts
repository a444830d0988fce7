/** predict(query) -> answer: gives every query a place in a group, a deadline, and an end. */

import { aborted, onAbort } from '../abort'
import type { Codec } from '../codec/codec'
import { criterionOf } from '../criterion'
import { ApproxiferError, asError, checkNames, expected } from '../errors'
import { Experience } from '../history/experience'
import type { Agreement } from '../history/worth'
import { seeded } from '../random'
import { type Query, type Signature, toRow } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import { Budget, Extras } from './budget'
import { Lateness, LateWatch } from './lateness'
import { Learning } from './learning'
import { checkChoices, checkMs, checkSignal, type PredictOptions, predictOptions, type Settings } from './options'
import { Pool, type WorkerStats } from './pool'
import { GroupRun, type Service } from './run'
import { type Ending, type Prediction, type Status, Ticket } from './ticket'

export interface PredictorStats {
  core: 'wasm' | 'js'
  /** Queries waiting or under way. */
  open: number
  exact: number
  recovered: number
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
  workers: WorkerStats[]
}

const NO_CHOICE: PredictOptions = Object.freeze({})
/** Queries per worker that predictAll keeps under way. */
const AHEAD = 4
/** Hedges that may be saved up. */
const BURST = 10
/**
 * Late queries that may be given a recovery, as a share of all: twice as many as are late by definition, and those of 500
 * queries saved up. A pool that slows down as a whole must not turn everybody's answer into a recovery.
 */
const RECOVERED = { times: 2, queries: 500 }

// Browsers without the symbol: what compilers of `await using` take in its place.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

export class Predictor {
  /** What a query must look like, and what `output` will. */
  readonly signature: Signature
  readonly #settings: Settings
  readonly #service: Service
  /** Where somebody may lie it stays empty. */
  readonly #experience: Experience
  readonly #watch: LateWatch<Ticket> | undefined
  readonly #runs: GroupRun[] = []
  /** The group that queries join. */
  #filling: GroupRun | undefined
  #open = 0
  readonly #counts: Record<Status, number> = { exact: 0, recovered: 0, unverified: 0 }
  readonly #failed: Record<string, number> = {}
  #groups = 0
  /** Calls of predictAll that wait for room in the house. */
  readonly #forRoom: (() => void)[] = []
  #closing: Promise<void> | undefined

  constructor(codec: Codec, workers: readonly ModelWorker[], settings: Settings) {
    const { clock, hangMs, hedges, patience, warn, rule, seed } = settings
    const { signature } = workers[0]
    const criterion = criterionOf(signature.outputs, settings)
    const fingerprint = workers.find((worker) => worker.fingerprint)?.fingerprint
    const honest = !codec.scheme.byzantine
    const memory = honest && settings.memory
    const learned = { ...settings, memory, criterion, fingerprint, kernels: codec.kernels }
    this.#experience = new Experience(codec.core, signature, learned)
    const learning = honest ? new Learning(this.#experience, clock, warn) : undefined
    const recovered = RECOVERED.times * (1 - patience)
    this.signature = signature
    this.#settings = settings
    this.#service = {
      codec,
      pool: new Pool(workers, { clock, hangMs, signature, useAll: !honest }),
      clock,
      random: seeded(seed),
      rule,
      criterion,
      learning,
      lateness: new Lateness(patience),
      hedges: new Budget(hedges, BURST),
      recoveries: new Budget(recovered, recovered * RECOVERED.queries),
      extras: new Extras(),
      hedged: { sent: 0, won: 0 },
      done: (run) => this.#done(run),
    }
    if (!honest || codec.code !== 'systematic') return
    this.#watch = new LateWatch(clock, this.#service.lateness, (ticket) => ticket.run?.late(ticket))
  }

  /**
   * One query's answer.
   *
   * @param query  read before this returns, never kept
   * @throws TypeError, RangeError for a query that does not fit the signature or is not finite;
   *   ApproxiferError QUORUM, DEADLINE, WORKER, OVERLOADED, ABORTED, CLOSED
   */
  async predict(query: Query, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the predictor is closed')
    if (options !== NO_CHOICE) checkNames('', options, predictOptions)
    const { signal } = options
    const settings = this.#settings
    const row = toRow(query, this.signature.inputs)
    const choices =
      options === NO_CHOICE
        ? settings.choices
        : checkChoices(options, this.#service.codec.scheme, settings.rule, settings.choices)
    const ms = checkMs('deadlineMs', options.deadlineMs ?? settings.deadlineMs)
    checkSignal(signal)
    if (signal?.aborted) throw aborted(signal)
    if (this.#open >= settings.maxQueries) {
      this.#count('OVERLOADED')
      throw new ApproxiferError('OVERLOADED', `${this.#open} queries are in the house already`)
    }
    return new Promise((resolve, reject) => {
      // Half of a short deadline for the group to fill, half for the answers.
      const maxWaitMs = Math.min(settings.maxWaitMs, ms / 2)
      const caller = { resolve, reject, settled: (ending: Ending) => this.#settled(ending) }
      const ticket = new Ticket(row, choices, maxWaitMs, this.#service.clock, this.signature.outputs, caller)
      this.#open++
      this.#enter(ticket) // first, so that a worker is at work meanwhile
      ticket.watch(this.#service.clock, ms, signal)
    })
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
    const { pool, codec } = this.#service
    const most = Math.min(this.#settings.maxQueries, AHEAD * pool.workers.length + codec.scheme.queries)
    const forget = onAbort(options.signal, () => this.#wake())
    try {
      for (const query of queries) {
        const stop = () => failure || this.#closing || options.signal?.aborted
        while (this.#open >= most && !stop()) {
          await new Promise<void>((resolve) => this.#forRoom.push(resolve))
        }
        if (failure) break
        const prediction = this.predict(query, options)
        prediction.catch((error) => {
          failure ??= { error }
          this.#wake()
        })
        predictions.push(prediction)
        if (stop()) break
      }
    } finally {
      forget()
    }
    if (failure) throw failure.error
    return Promise.all(predictions)
  }

  stats(): PredictorStats {
    const { codec, learning, lateness, hedged, pool } = this.#service
    return {
      core: codec.core.kind,
      open: this.#open,
      ...this.#counts,
      failed: { ...this.#failed },
      groups: this.#groups,
      hedges: { ...hedged },
      lateMs: lateness.lateMs,
      remembered: learning?.experience.remembered ?? 0,
      tolerance: learning?.experience.tolerance,
      agreements: learning?.experience.agreements ?? [],
      workers: pool.stats(),
    }
  }

  /**
   * What was learned so far, for the option `state` of a predictor with the same model, code and memory: remembered
   * queries, what recovered answers are worth, the kernel.
   */
  save(): Uint8Array {
    return this.#service.learning?.save() ?? this.#experience.save()
  }

  /**
   * Takes out what a worker's answers taught, for who learns that it was wrong: as if they had never come. What is left is looked at
   * anew, in steps of a few milliseconds; until that is done nothing is recovered from memory.
   *
   * @param worker  its name; of one that has left, too
   */
  forget(worker: string): void {
    if (typeof worker !== 'string') throw new TypeError(expected('worker', "a worker's name", worker))
    this.#service.learning?.forget(worker)
  }

  /** Settles every open query with CLOSED and closes the workers. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** `await using` closes it at the end of its block. */
  [asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { learning, pool } = this.#service
    const error = new ApproxiferError('CLOSED', 'the predictor was closed')
    this.#watch?.stop()
    for (const run of [...this.#runs]) run.end(error)
    learning?.close()
    this.#wake()
    await pool.close(error)
  }

  /** Gives a query a place in a group. A throw on its way costs this one query, and nobody else. */
  #enter(ticket: Ticket): void {
    const { hedges, recoveries } = this.#service
    try {
      const run = this.#filling?.filling ? this.#filling : this.#openRun()
      this.#filling = run
      ticket.run = run
      hedges.earn()
      recoveries.earn()
      run.join(ticket)
      this.#watch?.add(ticket)
    } catch (error) {
      ticket.fail(asError(error, 'WORKER'))
      ticket.run?.left(ticket)
    }
  }

  #openRun(): GroupRun {
    const run = new GroupRun(this.#service)
    run.place = this.#runs.push(run) - 1
    this.#groups++
    return run
  }

  #done(run: GroupRun): void {
    const last = this.#runs.pop() as GroupRun
    if (last === run) return
    this.#runs[run.place] = last
    last.place = run.place
  }

  #settled(ending: Ending): void {
    this.#open--
    this.#count(ending)
    this.#wake()
  }

  #count(ending: Ending): void {
    if (ending in this.#counts) this.#counts[ending as Status]++
    else this.#failed[ending] = (this.#failed[ending] ?? 0) + 1
  }

  /** Lets every waiting predictAll look again. */
  #wake(): void {
    for (const wake of this.#forRoom.splice(0)) wake()
  }
}
