/**
 * A worker behind HTTP: a server that speaks the Open Inference Protocol v2 (Triton, KServe, MLServer, OpenVINO Model Server, another
 * gateway). It is somebody else's: it is never restarted from here, only found gone, and tried again for ever.
 */

import { platform } from '#platform'
import { aborted, onAbort } from '../../abort'
import {
  checkFunction,
  checkInteger,
  checkLengths,
  checkNames,
  checkShare,
  checkString,
  checkText,
  expected,
  MOST_MS,
} from '../../check'
import { type Clock, systemClock } from '../../clock'
import { ApproxiferError, asError } from '../../errors'
import { guarded } from '../../notices'
import { fetchConnections } from '../../platform/fetch'
import type { Connections, Tls } from '../../platform/platform'
import { rowLength, type Signature } from '../../tensor'
import { checkUrl } from '../remote/discovery'
import { alike, type Evidence, probeRow } from '../remote/evidence'
import { machineOf, nameOf } from '../remote/names'
import type { ModelWorker } from '../worker'
import { type Answers, OipServer, ServerError } from './oip-server'

export interface ProbeOptions {
  /** The query, in the signature's order. Default: numbers from 0 to 1, always the same. */
  row?: Float32Array
  /** How often it is asked. Default 30,000 ms. */
  everyMs?: number
  /**
   * How far two answers of one model may differ, root mean square, over the size of the answer: machines differ in the last bits.
   * Default 0.001, as the predictor's `rounding`.
   */
  rounding?: number
}

export interface HttpOptions {
  /** The model's name on the server. */
  model: string
  /** Its version. Default: whichever the server chooses; some refuse any. */
  version?: string
  /** The outputs to use, of those that are FP32. Default: all. */
  outputs?: readonly string[]
  /** Shapes, without the batch, of inputs and outputs whose metadata leaves lengths open. */
  shapes?: Readonly<Record<string, readonly number[]>>
  /** Whether tensors travel as raw bytes. Default 'auto': where the server answers a first such query. */
  binary?: 'auto' | boolean
  /** Sent with every request, such as `authorization`. */
  headers?: Readonly<Record<string, string>>
  /** Rows that the server is given at a time. Default 1. */
  concurrency?: number
  /**
   * Rows of several groups that the server may be given in one request, where its model and it take as many, which a first such query
   * tells; whether that pays the predictor finds out by itself. Default 16, less for large inputs.
   */
  maxBatch?: number
  /** How long a server may take to be reached and to answer a first query. Default 60,000 ms. */
  timeoutMs?: number
  /** How often an idle server is asked whether it is ready, which also keeps its connection. Default 3,000 ms. */
  healthMs?: number
  /**
   * A query whose answer tells one model from another: it is asked when a server is (re)connected and now and then, and one whose
   * answer is not what it was gets no rows. `false` for models that do not answer the same twice.
   */
  probe?: false | ProbeOptions
  /** Speaks HTTP instead of undici (Node) or the runtime's own fetch. */
  fetch?: typeof globalThis.fetch
  /** TLS settings, in Node. */
  tls?: Tls
  /** Told once per thing worth knowing. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export const httpOptions = [
  ...[
    'model',
    'version',
    'outputs',
    'shapes',
    'binary',
    'headers',
    'concurrency',
    'maxBatch',
    'timeoutMs',
    'healthMs',
    'probe',
  ],
  ...['fetch', 'tls', 'onWarning', 'clock'],
]

/** Rows of a batch, values in it, and how long an inference may take for batches to be worth trying. */
const MOST_ROWS = 16
const MOST_VALUES = 2 ** 20
const QUICK_MS = 1000
/** Waits before the n-th attempt in a row: 100 ms, 200 ms, ... up to the most, each times 0.5 to 1. */
const LEAST_BACKOFF_MS = 100
const MOST_BACKOFF_MS = 10_000
/** To say that it is ready takes a server less, unless it is at work on a row that was given up. */
const HEALTH_MS = 5000
/** Failed calls in a row after which a server is looked at. */
const MOST_FAILURES = 3
/** Between a look at a server and one because it closed a connection: some close all of them. */
const CALM_MS = 1000
/** How long one that was lost has to be well before it is told that it is back: some come and go many times a second. */
const STEADY_MS = 1000

/**
 * One server as a worker; resolves when it has answered a first query.
 *
 * @param url  of the server, in front of `/v2`
 * @throws TypeError, RangeError for a wrong option; ApproxiferError WORKER where it is not ready in time, MODEL for a model that cannot
 *   be coded, PROTOCOL for what is no such server
 */
export async function httpWorker(url: string | URL, options: HttpOptions): Promise<ModelWorker> {
  const worker = await HttpWorker.make(checkUrl('url', url), checkHttpOptions(options))
  const { clock, timeoutMs } = worker.options
  try {
    return await new Promise((resolve, reject) => {
      let last = `${worker.name} has not answered`
      // Holds the process until then.
      const cancel = clock.after(timeoutMs, () => reject(new ApproxiferError('WORKER', `${last} (${timeoutMs} ms)`)))
      worker.onExamined = (error) => {
        if (error) last = error.message
        if (error?.code === 'WORKER' || error?.code === 'OVERLOADED') return
        cancel()
        if (error) reject(error)
        else resolve(worker)
      }
      worker.examine()
    })
  } catch (error) {
    await worker.close()
    throw error
  } finally {
    worker.onExamined = undefined
  }
}

export type HttpSettings = ReturnType<typeof checkHttpOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkHttpOptions(options: HttpOptions) {
  checkNames('', options, httpOptions)
  const { model, version, binary = 'auto', probe = {}, fetch, onWarning = console.warn, headers = {} } = options
  checkText('model', model, "the model's name")
  if (version !== undefined) checkText('version', version)
  if (binary !== 'auto' && typeof binary !== 'boolean') {
    throw new TypeError(expected('binary', "'auto', true or false", binary))
  }
  if (fetch !== undefined) checkFunction('fetch', fetch)
  checkOutputs(options.outputs)
  checkTexts('headers', headers)
  if (options.tls !== undefined) {
    checkNames('tls', options.tls, ['servername', 'ca', 'cert', 'key'])
    checkTexts('tls', options.tls)
  }
  return {
    ...options,
    binary,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    shapes: checkShapes(options.shapes),
    probe: checkProbe(probe),
    concurrency: checkInteger('concurrency', options.concurrency ?? 1, 1, 1000),
    maxBatch: checkInteger('maxBatch', options.maxBatch ?? MOST_ROWS, 1, 1024),
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 60_000, 1, MOST_MS),
    healthMs: checkInteger('healthMs', options.healthMs ?? 3000, 1, MOST_MS),
    warn: guarded(checkFunction('onWarning', onWarning)),
    clock: options.clock ?? systemClock,
  }
}

function checkOutputs(outputs: HttpOptions['outputs']): void {
  if (outputs === undefined) return
  const isList = Array.isArray(outputs) && outputs.length && outputs.every((name) => typeof name === 'string')
  if (!isList) throw new TypeError(expected('outputs', 'names of outputs', outputs))
  if (new Set(outputs).size < outputs.length) throw new RangeError(`outputs: expected every name once, got ${outputs}`)
}

function checkTexts(field: string, texts: object): void {
  if (typeof texts !== 'object' || texts === null) throw new TypeError(expected(field, 'an object', texts))
  for (const [name, value] of Object.entries(texts)) {
    checkString(`${field}.${name}`, value)
  }
}

function checkShapes(shapes: HttpOptions['shapes'] = {}): NonNullable<HttpOptions['shapes']> {
  if (typeof shapes !== 'object' || shapes === null) throw new TypeError(expected('shapes', 'shapes by name', shapes))
  for (const [name, shape] of Object.entries(shapes)) checkLengths(`shapes.${name}`, shape)
  return shapes
}

function checkProbe(probe: unknown): false | (Required<Omit<ProbeOptions, 'row'>> & Pick<ProbeOptions, 'row'>) {
  if (probe === false) return false
  checkNames('probe', probe, ['row', 'everyMs', 'rounding'])
  const { row, everyMs = 30_000, rounding = 1e-3 } = probe as ProbeOptions
  if (row !== undefined && !(row instanceof Float32Array)) {
    throw new TypeError(expected('probe.row', 'a Float32Array', row))
  }
  checkShare('probe.rounding', rounding)
  return { row, everyMs: checkInteger('probe.everyMs', everyMs, 1, MOST_MS), rounding }
}

type Timer = 'retry' | 'tick' | 'busy' | 'dropped' | 'steady'

/**
 * Its life: `down` (not examined yet, or gone) until an examination finds the model that it should be, then `ready`, and `looking` while it
 * is asked whether it still is: whether it is there, when it has been idle; all that an examination asks, now and then and
 * when its connection was closed. What is found amiss leads to `down`, out of which only an examination leads.
 */
export class HttpWorker implements ModelWorker {
  readonly name: string
  readonly options: HttpSettings
  onFree: (() => void) | undefined
  /** Told of each examination's outcome. */
  onExamined: ((error?: ApproxiferError) => void) | undefined
  /** Told whenever it is found gone, or not what it should be. */
  onFailed: (() => void) | undefined
  /** Told once it is closed. */
  onClosed: (() => void) | undefined
  readonly #server: OipServer
  readonly #connections: Connections
  #identity: string
  #state: 'down' | 'looking' | 'ready' | 'closed' = 'down'
  /** What it answered when it was examined last, and what it has to answer: at first what it did answer. */
  #found: Evidence | undefined
  #expected: Evidence | undefined
  /** How it is asked; undefined until that is found out. */
  #binary: boolean | undefined
  #version: string | undefined
  #maxBatch = 1
  /** Cuts a call that is open. */
  readonly #open = new Set<AbortController>()
  #look: { whole: boolean; cut: AbortController; done: Promise<void> } | undefined
  /** It is to be examined as soon as no call is open. */
  #isDue = false
  #examinedAt = Number.NEGATIVE_INFINITY
  #heardAt = Number.NEGATIVE_INFINITY
  #busyUntil = Number.NEGATIVE_INFINITY
  /** Failed looks, and failed calls, in a row. */
  #failures = 0
  #errors = 0
  /** Why it is down, and since when. */
  #failure: ApproxiferError
  /** A call failed as those of a server that is gone do, and it was not looked at since. */
  #suspicion: ApproxiferError | undefined
  #downAt: number
  /** What was told when it was lost; undefined while it is well. */
  #told: string | undefined
  readonly #timers = new Map<Timer, () => void>()
  #closing: Promise<void> | undefined

  private constructor(url: string, connections: Connections, options: HttpSettings) {
    const name = nameOf(url)
    this.name = name
    this.#identity = machineOf(url)
    this.options = options
    this.#failure = new ApproxiferError('WORKER', `${name} has not been reached yet`)
    this.#downAt = options.clock.now()
    this.#connections = connections
    this.#server = new OipServer(connections, name, options)
    connections.onDrop = () => this.#dropped()
  }

  /** One that waits for `examine`. @param url  checked */
  static async make(url: string, options: HttpSettings): Promise<HttpWorker> {
    const { fetch, concurrency, tls } = options
    const connections = fetch ? fetchConnections(url, fetch) : await platform.connect(url, concurrency, tls)
    return new HttpWorker(url, connections, options)
  }

  /** What it answered when it was examined last; undefined before it was, and where its model cannot be used. */
  get evidence(): Evidence | undefined {
    return this.#found
  }

  /** Whether it was there when it was last asked, if with another model than it should have. */
  get answers(): boolean {
    return this.#state === 'looking' || this.#state === 'ready' || this.#isStranger
  }

  /** Milliseconds since it answered as it should. */
  get downMs(): number {
    return this.#state === 'down' ? this.options.clock.now() - this.#downAt : 0
  }

  get #isStranger(): boolean {
    return this.#state === 'down' && this.#failure.code === 'MODEL'
  }

  /** Says what it has to answer. One that did so when it was examined last is examined at once, and rows wait for that. */
  expect(evidence: Evidence): void {
    this.#expected = evidence
    if (!this.#found) return
    if (this.#state === 'ready' && !this.#isExpected) this.#failed(this.#stranger())
    else if (this.#isStranger && this.#isExpected) {
      this.#timers.get('retry')?.()
      this.#state = 'looking'
      this.onFree?.()
      void this.examine()
    }
  }

  get signature(): Signature {
    return (this.#expected as Evidence).signature
  }

  /** The address that it answered at, whatever it is called: several models at one, or names for one, are one machine. */
  get identity(): string {
    return this.#identity
  }

  get gone(): boolean {
    return this.#state === 'down'
  }

  get free(): boolean {
    const { concurrency, clock } = this.options
    return this.#state === 'ready' && !this.#isDue && this.#open.size < concurrency && clock.now() >= this.#busyUntil
  }

  /** As many as it answered when it was examined first. */
  get maxBatch(): number {
    return this.#maxBatch
  }

  async infer(row: Float32Array, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#run([row], [signal])[0]
  }

  inferBatch(
    rows: readonly Float32Array[],
    { signals = [] }: { signals?: readonly AbortSignal[] } = {},
  ): Promise<Float32Array>[] {
    return this.#run(rows, signals)
  }

  #run(rows: readonly Float32Array[], signals: readonly (AbortSignal | undefined)[]): Promise<Float32Array>[] {
    const fired = signals.find((signal) => signal?.aborted)
    const refusal = this.#refusal(rows) ?? (fired && aborted(fired)) ?? this.#noRoom()
    if (refusal) return rows.map(() => Promise.reject(refusal))
    const call = new AbortController()
    this.#open.add(call)
    const outcomes = this.#outcomes(rows, call)
    let wanted = rows.length
    return rows.map(async (_, i) => {
      const signal = signals[i]
      const left = new AbortController()
      const forget = onAbort(signal, () => {
        const why = aborted(signal as AbortSignal)
        // The last one ends the call, and is heard of when that is said of the worker.
        if (--wanted) left.abort(why)
        else call.abort(why)
      })
      try {
        const outcome = (await orCut(left.signal, outcomes))[i]
        if (outcome instanceof Error) throw outcome
        return outcome
      } finally {
        forget()
      }
    })
  }

  #refusal(rows: readonly Float32Array[]): Error | undefined {
    if (this.#state === 'closed') return new ApproxiferError('CLOSED', `${this.name} is closed`)
    const why = this.#state === 'down' ? this.#failure : this.#suspicion
    if (why) return new ApproxiferError('WORKER', why.message)
    if (rows.length > this.#maxBatch) {
      return new RangeError(`rows: expected at most ${this.#maxBatch}, got ${rows.length}`)
    }
    const length = rowLength(this.signature.inputs)
    const odd = rows.find((row) => row.length !== length)
    return odd && new RangeError(`row: expected ${length} values, got ${odd.length}`)
  }

  #noRoom(): ApproxiferError | undefined {
    return this.free ? undefined : new ApproxiferError('OVERLOADED', `${this.name} takes no call now`)
  }

  /** Of each row. What the call tells about the worker holds before anybody hears of it. */
  async #outcomes(
    rows: readonly Float32Array[],
    call: AbortController,
  ): Promise<readonly (Float32Array | ApproxiferError)[]> {
    try {
      return await orCut(call.signal, this.#ask(rows, call.signal))
    } catch (error) {
      const judged = this.#judged(error)
      return rows.map(() => judged)
    } finally {
      this.#open.delete(call)
      if (this.#isDue && !this.#open.size) void this.examine()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#state = 'closed'
    this.onFree = undefined
    for (const cancel of this.#timers.values()) cancel()
    const error = new ApproxiferError('CLOSED', `${this.name} was closed`)
    this.#look?.cut.abort(error)
    for (const call of [...this.#open]) call.abort(error)
    await this.#connections.close()
    this.onClosed?.()
  }

  /** Rows together; where that fails and the server is not to blame for it, each alone, so that one costs no other its answer. */
  async #ask(rows: readonly Float32Array[], signal: AbortSignal): Promise<Answers['rows']> {
    try {
      return await this.#askOnce(rows, signal)
    } catch (error) {
      const { down, busyMs } = error as Partial<ServerError>
      if (rows.length === 1 || signal.aborted || down || busyMs !== undefined || this.#isDue) throw error
    }
    const outcomes: Answers['rows'] = []
    for (const row of rows) {
      const alone = this.#askOnce([row], signal).catch((error) => {
        const { down, busyMs } = error as Partial<ServerError>
        if (signal.aborted || down || busyMs !== undefined || this.#isDue) throw error
        return [asError(error, 'WORKER', `${this.name}: `)]
      })
      outcomes.push(...(await alone))
    }
    return outcomes
  }

  async #askOnce(rows: readonly Float32Array[], signal: AbortSignal): Promise<Answers['rows']> {
    const ask = () => this.#server.infer(rows, this.signature, this.#binary === true, signal)
    const answers = await ask().catch(async (error) => {
      if (!error.stale || signal.aborted) throw error
      await this.examine() // who is at the other end now?
      if (this.#state !== 'ready') throw error
      return ask()
    })
    if (answers.version !== this.#version) {
      this.#isDue = true
      const [now, before] = [answers.version, this.#version]
      throw new ApproxiferError('WORKER', `${this.name} has version '${now}' now instead of '${before}'`)
    }
    if (this.#isDue) {
      await this.examine() // its connection was closed meanwhile: who has answered?
      if (this.#state !== 'ready') throw new ApproxiferError('WORKER', this.#failure.message)
    }
    const failed = answers.rows.find((row) => row instanceof Error)
    if (failed && rows.length === 1) throw failed
    this.#errors = 0
    this.#heardAt = this.options.clock.now()
    return answers.rows
  }

  /** What an error means for the calls to come, before anybody hears of it. */
  #judged(error: unknown): ApproxiferError {
    const is = asError(error, 'WORKER', `${this.name}: `)
    // Its connection was dropped: the server may go on all the same, or not be there. It is well when it says so.
    if (is.code === 'ABORTED') void this.#lookAt(false)
    if (is.code === 'ABORTED' || is.code === 'CLOSED') return is
    const { busyMs, down, unasked } = is as Partial<ServerError>
    if (busyMs !== undefined) this.#busy(busyMs)
    else if (down) this.#suspected(is)
    else if (++this.#errors >= MOST_FAILURES) this.#isDue = true
    return unasked ? new ApproxiferError('OVERLOADED', `${is.message}; it is tried again later`) : is
  }

  /** It is looked at before it counts as gone: one address may stand for many servers, of which another takes the next call. */
  #suspected(error: ApproxiferError): void {
    this.#suspicion = error
    void this.examine()
  }

  #busy(ms: number): void {
    this.#busyUntil = this.options.clock.now() + ms
    this.#after('busy', ms + 1, () => this.onFree?.())
  }

  /** A connection that the server closes may be the last of this model. */
  #dropped(): void {
    const calm = this.#examinedAt + CALM_MS - this.options.clock.now()
    if (calm > 0) this.#after('dropped', calm, () => this.#examineSoon())
    else this.#examineSoon()
  }

  #examineSoon(): void {
    if (this.#open.size) this.#isDue = true
    else if (this.#state === 'ready') void this.examine()
  }

  /** From time to time, once it has been ready. */
  #tick(): void {
    const { healthMs, clock, probe } = this.options
    this.#after('tick', healthMs * (0.8 + 0.2 * Math.random()), () => this.#tick())
    if (this.#state !== 'ready') return
    const now = clock.now()
    const everyMs = probe ? probe.everyMs : Number.POSITIVE_INFINITY
    const isIdle = !this.#open.size && now >= this.#busyUntil && now - this.#heardAt >= healthMs / 2
    if (now - this.#examinedAt >= everyMs) this.#examineSoon()
    else if (isIdle) void this.#lookAt(false)
  }

  /** Looks whether it is there, has the model that it should have, and answers. Never rejects. */
  examine(): Promise<void> {
    this.#isDue = false
    return this.#lookAt(true)
  }

  /**
   * One look at a time: who asks for one meanwhile waits for it, and has its outcome. Never rejects.
   *
   * @param whole  an examination, not only whether it is ready
   */
  async #lookAt(whole: boolean): Promise<void> {
    for (let look = this.#look; look; look = this.#look) {
      await look.done
      if (look.whole || !whole) return
    }
    if (this.#state === 'closed') return
    if (this.#state === 'ready') this.#state = 'looking'
    const cut = new AbortController()
    this.#look = { whole, cut, done: this.#seen(whole, cut) }
    await this.#look.done
  }

  async #seen(whole: boolean, cut: AbortController): Promise<void> {
    let outcome: ApproxiferError | undefined
    try {
      await this.#within(HEALTH_MS, cut, (signal) => this.#server.ready(signal))
      if (whole) await this.#within(this.options.timeoutMs, cut, (signal) => this.#inspect(signal))
    } catch (error) {
      outcome = asError(error, 'WORKER', `${this.name}: `)
    }
    this.#look = undefined
    if (whole) this.#suspicion = undefined
    if (this.#state === 'closed') return
    if (outcome) this.#failed(outcome)
    else this.#well(whole)
    if (whole) this.onExamined?.(outcome)
  }

  async #within(ms: number, cut: AbortController, ask: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const late = () =>
      cut.abort(new ServerError('WORKER', `${this.name} has not answered for ${ms} ms`, { down: true }))
    const cancel = this.options.clock.after(ms, late, true)
    try {
      await orCut(cut.signal, ask(cut.signal))
    } finally {
      cancel()
    }
  }

  async #inspect(signal: AbortSignal): Promise<void> {
    const { clock, probe } = this.options
    const signature = await this.#server.signature(signal).catch((error) => {
      if ((error as ApproxiferError).code === 'MODEL') this.#found = undefined // it is not what it was
      throw error
    })
    const row = (probe && probe.row) || probeRow(signature)
    const length = rowLength(signature.inputs)
    if (row.length !== length) throw new RangeError(`probe.row: expected ${length} values, got ${row.length}`)
    const from = clock.now()
    const { binary, answer, version } = await this.#probed(row, signature, signal)
    const isQuick = clock.now() - from < QUICK_MS
    const isFirst = this.#found === undefined
    if (isFirst && this.#connections.address) this.#identity = machineOf(`http://${this.#connections.address}`)
    this.#found = { signature, answer }
    this.#expected ??= this.#found
    this.#binary = binary
    if (isFirst && isQuick && this.#server.takesBatches) this.#maxBatch = await this.#largestBatch(row, signal)
    if (!this.#isExpected) throw this.#stranger()
    this.#version = version
  }

  async #probed(row: Float32Array, signature: Signature, signal: AbortSignal) {
    const ask = async (binary: boolean) => {
      const { rows, version } = await this.#server.infer([row], signature, binary, signal)
      const [answer] = rows
      if (answer instanceof Error) throw answer
      return { binary, answer, version }
    }
    const { binary } = this.options
    if (binary !== 'auto') return ask(binary)
    if (this.#binary !== undefined) return ask(this.#binary)
    try {
      return await ask(true)
    } catch (error) {
      if (signal.aborted || (error as ServerError).busyMs !== undefined) throw error
      if (await this.#server.announcesBinary(signal)) throw error
      return ask(false)
    }
  }

  /** The most rows at a time, of 16, 8, 4, 2, that it answers as it answers one: a server may take fewer than its model. */
  async #largestBatch(row: Float32Array, signal: AbortSignal): Promise<number> {
    const { signature, answer } = this.#found as Evidence
    const most = Math.min(this.options.maxBatch, Math.floor(MOST_VALUES / row.length))
    for (let rows = most; rows > 1; rows = Math.floor(rows / 2)) {
      const others = Array.from({ length: rows - 1 }, (_, i) => row.map((value) => value / (i + 2)))
      try {
        const answers = await this.#server.infer([...others, row], signature, this.#binary === true, signal)
        const last = answers.rows[rows - 1]
        if (last instanceof Float32Array && this.#isLike({ signature, answer: last }, { signature, answer }))
          return rows
      } catch (error) {
        if (signal.aborted || (error as Partial<ServerError>).down) throw error
      }
    }
    return 1
  }

  #isLike(found: Evidence, expected: Evidence): boolean {
    const { probe } = this.options
    return alike(found, expected, probe ? probe.rounding : Number.POSITIVE_INFINITY)
  }

  get #isExpected(): boolean {
    return this.#isLike(this.#found as Evidence, this.#expected as Evidence)
  }

  #stranger(): ApproxiferError {
    const [found, expected] = [this.#found as Evidence, this.#expected as Evidence]
    const same = JSON.stringify(found.signature) === JSON.stringify(expected.signature)
    const what = same ? 'its answer to the probe query is another' : 'its metadata differ'
    return new ApproxiferError('MODEL', `${this.name} has another model (${what})`)
  }

  #well(whole: boolean): void {
    this.#state = 'ready'
    this.#heardAt = this.options.clock.now()
    if (whole) {
      this.#examinedAt = this.#heardAt
      this.#failures = 0
      this.#errors = 0
      if (this.#told !== undefined) this.#after('steady', STEADY_MS, () => this.#back())
    }
    if (!this.#timers.has('tick')) this.#tick()
    this.onFree?.()
  }

  /** It was lost, and is well again for a while. */
  #back(): void {
    this.#told = undefined
    this.options.warn(`${this.name} is back`)
  }

  /** It is gone, or not what it should be, until an examination finds otherwise. */
  #failed(error: ApproxiferError): void {
    if (this.#state === 'closed') return
    this.#timers.get('steady')?.()
    if (this.#state !== 'down') this.#downAt = this.options.clock.now()
    this.#state = 'down'
    this.#failure = error
    this.#binary = undefined
    const backoff = Math.min(LEAST_BACKOFF_MS * 2 ** this.#failures++, MOST_BACKOFF_MS)
    const ms = (error as ServerError).busyMs ?? backoff * (0.5 + 0.5 * Math.random()) // not all at the same moment
    this.#after('retry', ms, () => void this.examine())
    if (this.#examinedAt > Number.NEGATIVE_INFINITY) this.#tell(error)
    this.onFree?.()
    this.onFailed?.()
  }

  /** Once, however often it is tried again; and when it turns out to have another model. */
  #tell({ code, message }: ApproxiferError): void {
    const isStranger = code === 'MODEL'
    if (this.#told !== undefined && !(isStranger && this.#told !== message)) return
    this.#told = message
    const why = message.replace(`${this.name}: `, '').replace(`${this.name} `, 'it ')
    this.options.warn(
      isStranger
        ? `${message}: it gets no rows until it answers as before`
        : `${this.name} was lost: ${why}; it is tried again until it answers`,
    )
  }

  /** Sets one of its timers; none keeps the process alive. */
  #after(timer: Timer, ms: number, f: () => void): void {
    this.#timers.get(timer)?.()
    if (this.#state !== 'closed') this.#timers.set(timer, this.options.clock.after(ms, f, true))
  }
}

/** What `work` gives, unless it is cut off first; then at once, whatever becomes of the work. */
function orCut<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}
