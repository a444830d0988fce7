/** predict(query) -> answer: where codec and workers meet. */

import { aborted, onAbort } from '../abort'
import { Codec, type CodecOptions, codecOptions } from '../codec/codec'
import { Likeness } from '../codec/likeness'
import { type CoreOptions, loadCore } from '../core/core'
import { type CriterionOptions, criterionOf } from '../criterion'
import { ApproxiferError, asError, checkInteger, checkNames, checkWord, expected } from '../errors'
import { pack } from '../history/archive'
import type { MemoryOptions } from '../history/memory'
import { type Agreement, checkPolicy, defaultPolicy, type Policy } from '../history/worth'
import { seeded } from '../random'
import type { Scheme } from '../scheme'
import { fromRow, type Query, rowLength, type Signature, type Tensors, toRow } from '../tensor'
import { type LocalOptions, localOptions, localWorkers } from '../workers/local'
import type { ModelWorker } from '../workers/worker'
import { type Clock, systemClock } from './clock'
import { Call } from './gather'
import { Grouping } from './grouping'
import { Learned } from './learned'
import { Roster, type WorkerStats } from './roster'
import { type Deliver, type GroupReport, GroupRun, type Rule, type Status, type Ticket } from './run'

export interface PredictorOptions extends Partial<Omit<LocalOptions, 'count'>>, Choices, CriterionOptions {
  /**
   * How many queries are coded together, and how many results may be late or wrong. Where nobody is expected to lie
   * the code is 'systematic' unless chosen otherwise: exact answers when nobody is late.
   */
  scheme: CodecOptions
  /** The same as the scheme's own option of this name. */
  preset?: 'aaai22'
  /** Workers: how many local ones to start (default N; more are spares), or ready ones, which `close` closes. */
  workers?: number | readonly ModelWorker[]
  /** When to decode. Default 'fastest'. */
  rule?: Rule
  /**
   * Which queries form a group. 'arrival': as they come. 'likeness:P': the most urgent and those like it, as soon as P
   * groups' worth of queries wait or one has waited `maxWaitMs`; groups of similar queries decode better.
   * Default 'arrival'.
   */
  grouping?: string
  /** How long a query may wait for others to fill its group. Default 5 ms. */
  maxWaitMs?: number
  /** How long a query may take, unless `predict` says otherwise. Default 10,000 ms. */
  deadlineMs?: number
  /** After this long without an answer a worker is restarted. Default 30,000 ms. */
  hangMs?: number
  /** Queries in the house, beyond which `predict` rejects with OVERLOADED. Default 1,000. */
  maxQueries?: number
  /** Which numerical core. Default: WASM, else JS. */
  core?: CoreOptions
  /**
   * Remembers queries with the model's own answers, in at most `bytes`, and recovers lost answers from them, with any
   * code and even below the quorum. It keeps inputs (or features of them) in memory; `false` turns it off. Not with
   * byzantine > 0, where no single answer is proven. Default: on with the systematic code.
   */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'>
  /** What a predictor of the same model has learned: see its `save`. */
  state?: Uint8Array
  /** For dealing rows to workers. Default 1. */
  seed?: number
  /** Time, for simulations. Default: the system's. */
  clock?: Clock
}

/** What a caller chooses for a query, or for all that do not say otherwise. */
export interface Choices {
  /**
   * What to do for a query whose answer is missing when its group is decoded. Default 'auto' with the systematic code
   * where nobody lies, else 'recover'.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9. */
  minConfidence?: number
  /** With byzantine > 0, when an answer to a query itself is given. Default 'located'. */
  deliver?: Deliver
}

export interface PredictOptions extends Choices {
  deadlineMs?: number
  signal?: AbortSignal
}

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  /** `exact`: the model's own answer. `recovered`: from other answers. `unverified`: one worker's, see `deliver`. */
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first
   * output) or, where there is none, differs by at most the tolerance (see `labelAxis` and `tolerance`): 1 for exact
   * answers; undefined until enough late answers have shown what recovered ones are worth.
   */
  confidence?: number
  /** What happened to the group; resolves when its last row has an outcome, never rejects. */
  group: Promise<GroupReport>
}

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
  /** Queries remembered. */
  remembered: number
  /** How far off an answer without a label may be to agree; undefined where there are labels, or until it was learned. */
  tolerance: number | undefined
  /** How often recovered answers agreed with the model's own, which came late. */
  agreements: Agreement[]
  workers: WorkerStats[]
}

/**
 * Starts workers and returns when all have loaded the model and run it once.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError MODEL, WORKER where the start fails
 */
export async function createPredictor(options: PredictorOptions): Promise<Predictor> {
  checkNames('', options, optionNames)
  checkNames('scheme', options.scheme, codecOptions)
  const { preset, scheme } = options
  const codec = new Codec(await loadCore(options.core), { ...scheme, preset: scheme.preset ?? preset })
  const settings = checkSettings(options, codec)
  checkLearned(options, codec)
  const needed = codec.scheme.workers
  const { workers = needed, model } = options
  if (Array.isArray(workers)) {
    if (workers.length < needed) throw new RangeError(`workers: expected >= ${needed}, got ${workers.length}`)
    const theirs = localOptions.find(
      (name) => name !== 'onWarning' && options[name as keyof PredictorOptions] !== undefined,
    )
    if (theirs) throw new TypeError(`${theirs}: expected none beside ready workers, which have theirs`)
    return new Predictor(codec, checkAlike(workers), settings)
  }
  const count = checkInteger('workers', workers, needed)
  if (model === undefined) throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  const given = Object.fromEntries(localOptions.map((name) => [name, options[name as keyof PredictorOptions]]))
  const started = await localWorkers({ ...given, model, count })
  try {
    return new Predictor(codec, started, settings)
  } catch (error) {
    await Promise.allSettled(started.map((worker) => worker.close()))
    throw error
  }
}

/** What is remembered must be proven, and asked for. */
function checkLearned({ memory, state, onWarning = console.warn }: PredictorOptions, { scheme, code }: Codec): void {
  if (memory !== undefined && memory !== false) {
    if (typeof memory !== 'object' || memory === null) {
      throw new TypeError(expected('memory', 'an object or false', memory))
    }
    checkNames('memory', memory, ['bytes', 'features'])
  }
  if (scheme.byzantine && (memory || state)) {
    throw new RangeError(`${memory ? 'memory' : 'state'}: expected byzantine 0, got a scheme with liars`)
  }
  if (memory && !state && code === 'berrut' && scheme.points !== 'lobatto') {
    onWarning('the memory has nothing to learn from: the paper’s code asks for no query itself')
  }
}

const NO_CHOICE: PredictOptions = Object.freeze({})
const choiceNames = ['policy', 'minConfidence', 'deliver']
const predictOptions = ['deadlineMs', 'signal', ...choiceNames]
const optionNames = [
  ...localOptions,
  ...choiceNames,
  ...['scheme', 'preset', 'workers', 'labelAxis', 'tolerance', 'memory', 'state', 'rule', 'grouping', 'maxWaitMs'],
  ...['deadlineMs', 'hangMs', 'maxQueries', 'core', 'seed', 'clock'],
]

/** Queries per worker that predictAll keeps under way. */
const AHEAD = 4

export type { Predictor }

// Browsers without the symbol: what compilers of `await using` take in its place.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

type Settings = ReturnType<typeof checkSettings>

class Predictor {
  /** What a query must look like, and what `output` will. */
  readonly signature: Signature
  readonly #codec: Codec
  readonly #roster: Roster
  readonly #settings: Settings
  readonly #grouping: Grouping<PendingQuery>
  readonly #runs = new Set<GroupRun>()
  /** Whether queries leave for workers before their group is closed. */
  readonly #early: boolean
  readonly #past: Learned | undefined
  /** Early queries that no worker had room for yet. */
  readonly #unsent: PendingQuery[] = []
  /** Workers that have a query of the group that is filling; in a pool, of the last round. */
  readonly #taken = new Set<ModelWorker>()
  readonly #open = new Set<PendingQuery>()
  readonly #counts = { exact: 0, recovered: 0, unverified: 0, failed: {} as Record<string, number>, groups: 0 }
  /** Calls of predictAll that wait for room in the house. */
  readonly #forRoom: (() => void)[] = []
  #closing: Promise<void> | undefined

  constructor(codec: Codec, workers: readonly ModelWorker[], settings: Settings) {
    this.signature = workers[0].signature
    this.#codec = codec
    this.#settings = settings
    this.#roster = new Roster(workers, seeded(settings.seed), settings.clock)
    const criterion = criterionOf(this.signature.outputs, settings)
    if (!codec.scheme.byzantine) this.#past = new Learned(codec, this.signature, { ...settings, criterion })
    this.#early = codec.code === 'systematic' && codec.scheme.byzantine === 0
    this.#grouping = new Grouping({
      clock: settings.clock,
      size: codec.scheme.queries,
      ready: (queries) => this.#early || this.#roster.ready(codec.schemeFor(queries)),
      send: (queries) => this.#send(queries),
      pool: this.#pool(),
    })
    for (const worker of workers) worker.onFree = () => this.#pump()
  }

  /**
   * One query's answer.
   *
   * @param query  read before this returns, never kept
   * @throws TypeError, RangeError for a query that does not fit the signature or is not finite;
   *   ApproxiferError QUORUM, DEADLINE, OVERLOADED, ABORTED, CLOSED
   */
  async predict(query: Query, options: PredictOptions = NO_CHOICE): Promise<Prediction> {
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the predictor is closed')
    if (options !== NO_CHOICE) checkNames('', options, predictOptions)
    const { deadlineMs, signal } = options
    const row = toRow(query, this.signature.inputs)
    const choices = checkChoices(options, this.#codec.scheme, this.#settings.rule, this.#settings)
    const ms = checkMs('deadlineMs', deadlineMs ?? this.#settings.deadlineMs)
    checkSignal(signal)
    if (signal?.aborted) throw aborted(signal)
    if (this.#open.size >= this.#settings.maxQueries) {
      this.#counts.failed.OVERLOADED = (this.#counts.failed.OVERLOADED ?? 0) + 1
      throw new ApproxiferError('OVERLOADED', `${this.#open.size} queries are in the house already`)
    }
    return new Promise((resolve, reject) => {
      // Half of a short deadline for the group to fill, half for the answers.
      const maxWaitMs = Math.min(this.#settings.maxWaitMs, ms / 2)
      const pending = new PendingQuery(row, maxWaitMs, choices, this.signature, this.#past, this.#settings.clock, {
        resolve: (prediction) => {
          this.#counts[prediction.status]++
          settle()
          resolve(prediction)
        },
        reject: (error) => {
          this.#counts.failed[error.code] = (this.#counts.failed[error.code] ?? 0) + 1
          settle()
          reject(error)
        },
      })
      const abort = () => {
        this.#withdraw(pending)
        pending.fail(aborted(signal as AbortSignal))
        if (pending.run) pending.run.abandoned()
        else pending.call?.abort()
      }
      const settle = () => {
        undue()
        forget()
        this.#open.delete(pending)
        this.#wake()
      }
      this.#open.add(pending)
      const failure = this.#enter(pending) // first, so that its worker is at work meanwhile
      const undue = this.#settings.clock.after(ms, () => this.#due(pending, ms))
      const forget = onAbort(signal, abort)
      if (failure) pending.fail(failure)
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
    const { workers } = this.#roster
    const most = Math.min(this.#settings.maxQueries, AHEAD * workers.length + this.#codec.scheme.queries)
    const forget = onAbort(options.signal, () => this.#wake())
    try {
      for (const query of queries) {
        const stop = () => failure || this.#closing || options.signal?.aborted
        while (this.#open.size >= most && !stop()) {
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

  /** Sends a query, or lets it wait; nothing settles before this returns. @returns why it could not */
  #enter(pending: PendingQuery): ApproxiferError | undefined {
    try {
      if (this.#early) this.#unsent.push(pending)
      else this.#grouping.add(pending, pending.maxWaitMs)
      this.#pump()
    } catch (error) {
      this.#withdraw(pending) // else it would take room in the house for ever
      return asError(error, 'WORKER')
    }
  }

  /** Lets every waiting predictAll look again. */
  #wake(): void {
    for (const wake of this.#forRoom.splice(0)) wake()
  }

  stats(): PredictorStats {
    return {
      core: this.#codec.core.kind,
      open: this.#open.size,
      ...structuredClone(this.#counts),
      remembered: this.#past?.remembered ?? 0,
      tolerance: this.#past?.worth.tolerance,
      agreements: this.#past?.worth.agreements ?? [],
      workers: this.#roster.workers.map((worker) => ({ ...this.#roster.stats(worker) })),
    }
  }

  /**
   * What was learned so far, for the option `state` of a predictor with the same model, code and memory: remembered
   * queries, what recovered answers are worth, the kernel.
   */
  save(): Uint8Array {
    return this.#past?.save() ?? pack('predictor', { kernels: this.#codec.kernels.save() }, [])
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
    const error = new ApproxiferError('CLOSED', 'the predictor was closed')
    for (const pending of [...this.#grouping.clear(), ...this.#unsent.splice(0)]) {
      pending.fail(error)
      pending.call?.abort()
      pending.leave(this.#unfilled())
    }
    for (const run of this.#runs) run.close(error)
    this.#past?.close()
    this.#wake()
    for (const worker of this.#roster.workers) worker.onFree = undefined
    await Promise.allSettled(this.#roster.workers.map(async (worker) => worker.close()))
  }

  /** What happened to a group that never filled: nothing but its queries' own answers. */
  #unfilled(): GroupReport {
    const { workers, quorum } = this.#codec.scheme
    const none = { queries: 0, rows: [], recoveries: [], survivors: [], encodeMs: 0, waitMs: 0, decodeMs: 0 }
    return { ...none, workers, quorum, core: this.#codec.core.kind, rule: this.#settings.rule, outcome: 'CLOSED' }
  }

  /** How groups are chosen by likeness; none where they are taken as they come. */
  #pool() {
    const { queries: K } = this.#codec.scheme
    const groups = this.#settings.pool
    if (!groups) return undefined
    const likeness = new Likeness(this.#codec.core, rowLength(this.signature.inputs), groups * K)
    const choose = (waiting: readonly PendingQuery[]) => {
      const worker = (i: number) => waiting[i].call?.worker
      const rows = waiting.slice(0, groups * K).map(({ row }) => row)
      return likeness.order(rows, K, (a, b) => worker(a) !== undefined && worker(a) === worker(b))
    }
    return { size: groups * K, choose }
  }

  #send(queries: PendingQuery[]): void {
    const { rule, hangMs } = this.#settings
    const run = new GroupRun(this.#codec, this.#roster, queries, { rule, hangMs, past: this.#past })
    for (const pending of queries) pending.join(run)
    if (!this.#settings.pool) this.#taken.clear()
    if (this.#unsent.length) queueMicrotask(() => this.#pump()) // their workers were taken until now
    this.#counts.groups++
    this.#runs.add(run)
    void run.report.then(() => this.#runs.delete(run))
  }

  #due(pending: PendingQuery, ms: number): void {
    if (pending.run) pending.run.due(pending)
    else {
      this.#withdraw(pending)
      const { free, workers } = this.#roster
      const waiting = `waited ${ms} ms for workers, ${free} of ${workers.length} free`
      pending.fail(new ApproxiferError('DEADLINE', pending.call ? `no answer within ${ms} ms` : waiting))
    }
  }

  #pump(): void {
    // Groups under way first: new queries would take every worker, and parities and retries none.
    for (const run of this.#runs) run.fill()
    while (this.#unsent.length) {
      // In a pool queries go out in rounds of K workers, so that a group of K that share none can be found in it.
      if (this.#settings.pool && this.#taken.size >= this.#codec.scheme.queries) this.#taken.clear()
      const worker = this.#roster.fastest(this.#taken)
      if (!worker) break
      this.#taken.add(worker)
      const pending = this.#unsent.shift() as PendingQuery
      pending.send(new Call(worker, pending.row, this.#settings.hangMs, this.#roster))
      this.#grouping.add(pending, pending.maxWaitMs)
    }
    this.#grouping.pump()
  }

  /** Takes a query out of whatever it waits in. */
  #withdraw(pending: PendingQuery): void {
    // Its worker is free for another query of the group, else callers that give up would in the end block them all.
    if (this.#grouping.remove(pending) && pending.call) this.#taken.delete(pending.call.worker)
    const at = this.#unsent.indexOf(pending)
    if (at >= 0) this.#unsent.splice(at, 1)
  }
}

/** A query from `predict` to its answer. */
class PendingQuery implements Ticket {
  readonly row: Float32Array
  readonly policy: Policy
  readonly minConfidence: number
  readonly deliver: Deliver
  run: GroupRun | undefined
  call: Call | undefined
  open = true
  readonly #signature: Signature
  readonly #past: Learned | undefined
  readonly #since: number
  readonly #caller: { resolve(prediction: Prediction): void; reject(error: ApproxiferError): void }
  readonly #group: Promise<GroupReport>
  #join: (report: Promise<GroupReport>) => void = () => {}

  constructor(
    row: Float32Array,
    readonly maxWaitMs: number,
    choices: Required<Choices>,
    signature: Signature,
    past: Learned | undefined,
    readonly clock: Clock,
    caller: { resolve(prediction: Prediction): void; reject(error: ApproxiferError): void },
  ) {
    this.row = row
    this.policy = choices.policy
    this.minConfidence = choices.minConfidence
    this.deliver = choices.deliver
    this.#signature = signature
    this.#past = past
    this.#since = clock.now()
    this.#caller = caller
    this.#group = new Promise((resolve) => {
      this.#join = resolve
    })
  }

  /** On its way alone: its own answer is the caller's, group or not. */
  send(call: Call): void {
    this.call = call
    void call.done.then(({ answer }) => {
      if (!answer) return
      this.#past?.lateness.see(this.clock.now() - this.#since)
      if (!this.run) this.answer(answer, 'exact')
    })
  }

  join(run: GroupRun): void {
    this.run = run
    this.#join(run.report)
  }

  /** There will be no group. */
  leave(report: GroupReport): void {
    this.#join(Promise.resolve(report))
  }

  answer(answer: Float32Array, status: Status, confidence = status === 'exact' ? 1 : undefined): void {
    if (!this.open) return
    this.open = false
    const output = fromRow(answer, this.#signature.outputs)
    this.#caller.resolve({ output, status, confidence, group: this.#group })
  }

  fail(error: ApproxiferError): void {
    if (!this.open) return
    this.open = false
    this.#caller.reject(error)
  }
}

function checkSettings(options: PredictorOptions, { scheme, code }: Codec) {
  const { maxWaitMs = 5, deadlineMs = 10_000, hangMs = 30_000 } = options
  const rule = checkWord('rule', options.rule ?? 'fastest', ['fastest', 'deadline'] as const)
  return {
    rule,
    ...checkChoices(options, scheme, rule, {
      // A retry costs one inference and gives the exact answer; without exact answers it would repeat the whole group.
      policy: rule === 'fastest' ? defaultPolicy(code, scheme.byzantine) : 'recover',
      minConfidence: 0.9,
      deliver: 'located',
    }),
    pool: checkGrouping(options.grouping ?? 'arrival'),
    maxWaitMs: checkMs('maxWaitMs', maxWaitMs),
    deadlineMs: checkMs('deadlineMs', deadlineMs),
    hangMs: checkMs('hangMs', hangMs),
    maxQueries: checkInteger('maxQueries', options.maxQueries ?? 1000, 1),
    seed: checkInteger('seed', options.seed ?? 1, 0),
    memory: options.memory ?? (code === 'systematic' ? undefined : false),
    warn: options.onWarning ?? console.warn,
    clock: options.clock ?? systemClock,
    state: options.state,
    labelAxis: options.labelAxis,
    tolerance: options.tolerance,
  }
}

function checkChoices(
  choices: Choices,
  { byzantine }: Scheme,
  rule: Rule,
  others: Required<Choices>,
): Required<Choices> {
  const policy = checkPolicy(choices.policy ?? others.policy, byzantine)
  const minConfidence = choices.minConfidence ?? others.minConfidence
  if (!(typeof minConfidence === 'number' && minConfidence >= 0 && minConfidence <= 1)) {
    throw new RangeError(expected('minConfidence', 'a probability from 0 to 1', minConfidence))
  }
  if (policy !== 'recover' && rule === 'deadline') {
    throw new RangeError(`policy: expected 'recover' with rule 'deadline', which leaves no time, got '${policy}'`)
  }
  const deliver = checkWord('deliver', choices.deliver ?? others.deliver, ['located', 'early'])
  return { policy, minConfidence, deliver }
}

function checkSignal(signal: unknown): void {
  if (signal === undefined || typeof (signal as AbortSignal | null)?.addEventListener === 'function') return
  throw new TypeError(expected('signal', 'an AbortSignal', signal))
}

/** setTimeout takes up to 2^31 - 1 ms. */
function checkMs(field: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 2 ** 31 - 1) return value
  throw new RangeError(expected(field, 'milliseconds from 0 to 2,147,483,647', value))
}

/** Groups in a pool; 0 where queries are grouped as they come. */
function checkGrouping(grouping: string): number {
  const pool = grouping === 'arrival' ? 0 : Number(/^likeness:([1-9]\d{0,3})$/.exec(grouping)?.[1])
  if (!Number.isNaN(pool)) return pool
  throw new RangeError(expected('grouping', "'arrival' or 'likeness:P' with P from 1 to 9999", grouping))
}

function checkAlike(workers: readonly ModelWorker[]): readonly ModelWorker[] {
  workers.forEach((worker, i) => {
    if (typeof worker?.infer !== 'function') throw new TypeError(expected(`workers[${i}]`, 'a ModelWorker', worker))
    checkSpecs(`workers[${i}].signature.inputs`, worker.signature?.inputs)
    checkSpecs(`workers[${i}].signature.outputs`, worker.signature?.outputs)
    if (worker.onFree) throw new RangeError(`workers[${i}]: expected one of no other predictor, got ${worker.name}`)
  })
  const names = workers.map((worker) => worker.name)
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i)
  if (twice >= 0) throw new RangeError(`workers[${twice}]: expected a name of its own, got ${names[twice]} again`)
  const [first, ...rest] = workers.map((worker) => JSON.stringify(worker.signature))
  const odd = rest.findIndex((signature) => signature !== first)
  if (odd >= 0) throw new RangeError(`workers[${odd + 1}]: expected signature ${first}, got ${rest[odd]}`)
  return workers
}

function checkSpecs(field: string, specs: Signature['inputs'] | undefined): void {
  if (!Array.isArray(specs) || !specs.length) throw new TypeError(expected(field, 'names and shapes', specs))
  specs.forEach(({ name, shape }, i) => {
    if (typeof name !== 'string') throw new TypeError(expected(`${field}[${i}].name`, 'a string', name))
    if (!Array.isArray(shape)) throw new TypeError(expected(`${field}[${i}].shape`, 'an array of lengths', shape))
    for (const [axis, length] of shape.entries()) checkInteger(`${field}[${i}].shape[${axis}]`, length, 1)
  })
}
