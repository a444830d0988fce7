/**
 * A worker behind HTTP: a server that speaks the Open Inference Protocol v2 (Triton, KServe, MLServer, OpenVINO Model Server, another
 * gateway). It is never restarted from here; while it is gone it is tried again for ever.
 */

import { platform } from '#platform'
import { type Abort, aborted, abortOf, Cancellation, onAbort, orAborted } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import type { Probed } from '../../base/saved'
import type { Signature, TensorList } from '../../base/tensor'
import { fetchConnections } from '../../platform/fetch'
import type { Connections } from '../../platform/platform'
import type { ConnectionLimit } from '../connection-limit'
import { checkUrl, nameOf } from '../remote/endpoints'
import { LossReports } from '../remote/fleet'
import type { ModelIdentity } from '../remote/model'
import { MeasuredWindow } from '../remote/window'
import { type ModelWorker, wrongQueries } from '../worker'
import { Allowance } from './allowance'
import { Health, type ServerEvents } from './health'
import { faultOf, OipServer, type ServerCall, type ServerReply } from './oip-server'
import { checkHttpOptions, type HttpOptions, type HttpSettings } from './options'
import { ServedModel } from './served-model'

/** Most concurrent calls if the option `concurrency` is not given; each has a connection. */
const MOST_CALLS = 256

/**
 * Makes a worker of one server; resolves when it has answered a first query.
 *
 * @param url  the server's base URL, without `/v2`
 * @throws TypeError or RangeError for a wrong option; ApproxiferError WORKER if it is not ready in time, MODEL for a model that cannot
 *   be used, PROTOCOL if it is no such server
 */
export async function httpWorker(url: string | URL, options: HttpOptions): Promise<ModelWorker> {
  const checked = checkUrl('url', url)
  const settings = checkHttpOptions(options)
  const { clock, timeoutMs, warn } = settings
  const name = nameOf(checked)
  const losses = new LossReports(clock, warn)
  let onStart: ((error?: ApproxiferError) => void) | undefined
  const worker = await HttpWorker.make(checked, settings, {
    examined(error) {
      if (!error) losses.well(name)
      onStart?.(error)
    },
    failed: (error, wasWell) => wasWell && losses.lost(name, ...lossOf(name, error)),
    closed: () => losses.left(name),
  })
  try {
    return await new Promise((resolve, reject) => {
      let last = `${name} has not answered`
      // This timer keeps the process alive until then.
      const cancel = clock.after(timeoutMs, () => reject(new ApproxiferError('WORKER', `${last} (${timeoutMs} ms)`)))
      onStart = (error) => {
        if (error) last = error.message
        if (error?.code === 'WORKER' || error?.code === 'OVERLOADED') return
        cancel()
        if (error) reject(error)
        else resolve(worker)
      }
      void worker.health.examine()
    })
  } catch (error) {
    await worker.close()
    throw error
  } finally {
    onStart = undefined
  }
}

/** The warning for a lost server, and whether it is given even if the server was reported as lost before. */
export function lossOf(name: string, { code, message }: ApproxiferError): [text: string, isNews: boolean] {
  if (code === 'MODEL') return [`${message}: it gets no rows until it answers as before`, true]
  const why = message.replace(`${name}: `, '').replace(`${name} `, 'it ')
  return [`${name} was lost: ${why}; it is tried again until it answers`, false]
}

type WorkerEvents = ServerEvents & { closed(): void }

export class HttpWorker implements ModelWorker {
  onFree: (() => void) | undefined
  readonly name: string
  readonly trusted: boolean
  readonly interruptible: true | undefined
  readonly model: ServedModel
  readonly health: Health
  readonly #server: OipServer
  readonly #settings: HttpSettings
  readonly #onClosed: () => void
  readonly #open = new Set<Cancellation>()
  readonly #window: MeasuredWindow | undefined
  readonly #allowance: Allowance
  #closing: Promise<void> | undefined

  private constructor(url: string, connections: Connections, settings: HttpSettings, events: WorkerEvents) {
    this.name = nameOf(url)
    this.#window = settings.concurrency ? undefined : new MeasuredWindow(MOST_CALLS)
    this.#allowance = new Allowance(settings.concurrency ?? MOST_CALLS)
    this.trusted = settings.trusted
    this.interruptible = settings.interruptible || undefined
    this.#settings = settings
    this.#onClosed = events.closed
    this.#server = new OipServer(connections, this.name, settings)
    this.model = new ServedModel(this.#server, url, settings)
    this.health = new Health(this.#server, this.model, settings, {
      ...events,
      isIdle: () => !this.#open.size,
      changed: () => this.onFree?.(),
    })
    connections.onDrop = (isUsual) => this.health.dropped(isUsual)
  }

  /** Makes a worker, which takes calls once it has been examined. @param url  checked */
  static async make(url: string, settings: HttpSettings, events: WorkerEvents): Promise<HttpWorker> {
    const { fetch, concurrency = MOST_CALLS, tls } = settings
    const own = fetch ? undefined : await platform.connect?.(url, concurrency, tls)
    // Wrapped in an arrow, since a browser's fetch must be called without `this`.
    const ofRuntime = () => fetchConnections(url, (...args) => globalThis.fetch(...args), platform.whyBlocked)
    const connections = own ?? (fetch ? fetchConnections(url, fetch) : ofRuntime())
    return new HttpWorker(url, connections, settings, events)
  }

  get slots(): number {
    return Math.min(this.#allowance.limit, this.#window?.limit ?? Number.POSITIVE_INFINITY)
  }

  get connections(): HttpSettings['connections'] {
    return this.#settings.connections
  }

  get signature(): Signature {
    return this.model.signature
  }

  get modelId(): string | undefined {
    return this.model.name
  }

  get probed(): Probed | undefined {
    return this.model.probed
  }

  get scales(): readonly number[] | undefined {
    return this.model.scales
  }

  get identity(): string {
    return this.model.machine
  }

  /** The IP address that has answered; the host in the URL if the runtime does not tell addresses. */
  get origin(): string {
    return this.model.machine.replace(/:\d+$/, '')
  }

  get maxBatch(): number {
    return this.model.maxBatch
  }

  get gone(): boolean {
    return this.health.isGone
  }

  get free(): boolean {
    return this.health.takesCalls && this.#open.size < this.slots
  }

  /** Sets the model that the server should have. If it was found with that model it is examined at once, and queries wait for that. */
  expect(model: ModelIdentity): void {
    this.model.expect(model)
    if (!this.model.found) return
    if (this.model.isExpected) this.health.accept()
    else this.health.refuse(this.model.difference())
  }

  sleep(isAsleep: boolean): void {
    this.health.sleep(isAsleep)
  }

  infer(query: TensorList, options: { signal?: AbortSignal; traceparent?: string } = {}): Promise<TensorList> {
    return this.#call([query], [abortOf(options)], options.traceparent)[0]
  }

  inferBatch(
    queries: readonly TensorList[],
    { signals = [], traceparent }: { signals?: readonly (AbortSignal | undefined)[]; traceparent?: string } = {},
  ): Promise<TensorList>[] {
    return this.#call(queries, signals, traceparent)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.onFree = undefined
    this.health.close()
    const error = new ApproxiferError('CLOSED', `${this.name} was closed`)
    for (const call of [...this.#open]) call.abort(error)
    await this.#server.close()
    this.#onClosed()
  }

  /** @param aborts  the abort of each query, in their order */
  #call(
    queries: readonly TensorList[],
    aborts: readonly (Abort | undefined)[],
    traceparent: string | undefined,
  ): Promise<TensorList>[] {
    const refusal = this.#refusal(queries, aborts)
    if (refusal) return queries.map(() => Promise.reject(refusal))
    const call: ServerCall = Object.assign(new Cancellation(), { traceparent })
    const outcomes = this.#outcomes(queries, call)
    let wanted = queries.length
    return queries.map((_, i) => {
      const abort = aborts[i]
      const own = queries.length > 1 ? new Cancellation() : undefined // a single query is aborted with its call
      const forget = onAbort(abort, () => {
        const why = aborted(abort as Abort)
        // The last query's abort aborts the whole call, which rejects once the effect on the server's health is recorded.
        if (--wanted) own?.abort(why)
        else call.abort(why)
      })
      const took = (all: ServerReply['outcomes']) => {
        forget()
        const outcome = all[i]
        if (outcome instanceof Error) throw outcome
        return outcome
      }
      const failed = (error: unknown) => {
        forget()
        throw error
      }
      return (own ? orAborted(own, outcomes) : outcomes).then(took, failed)
    })
  }

  #refusal(queries: readonly TensorList[], aborts: readonly (Abort | undefined)[]): Error | undefined {
    const refusal = this.health.refusal ?? wrongQueries(this, queries)
    if (refusal) return refusal
    const fired = aborts.find((abort) => abort?.aborted)
    if (fired) return aborted(fired)
    return this.free ? undefined : new ApproxiferError('OVERLOADED', `${this.name} takes no call now`)
  }

  /** Sends a call and returns each query's outcome. The server's health is updated before the outcomes are returned. */
  async #outcomes(queries: readonly TensorList[], call: ServerCall): Promise<ServerReply['outcomes']> {
    this.#open.add(call)
    const { clock, connections } = this.#settings
    if (connections?.free) call.release = connections.take() // now, so that the pool sees that it is taken
    const since = clock.now()
    const measured = this.#window?.begin(since, queries.length)
    let answered = false
    try {
      const outcomes = await orAborted(
        call,
        queries.length > 1 ? this.#askAll(queries, call) : this.#askOnce(queries, call),
      )
      answered = true
      this.#allowance.answered()
      return outcomes
    } catch (thrown) {
      const error = asError(thrown, 'WORKER', `${this.name}: `)
      this.health.failed(error, since)
      const { notSent, busy, retryMs } = faultOf(error)
      if (busy) {
        this.#window?.refused()
        this.#allowance.refused(clock.now(), since, this.slots, this.#open.size - 1)
      }
      const text = `${error.message}; it is tried again later`
      return queries.map(() => (notSent ? new ApproxiferError('OVERLOADED', text, { retryMs }) : error))
    } finally {
      this.#open.delete(call)
      if (measured) this.#window?.end(measured, clock.now(), answered)
      this.health.settled()
    }
  }

  /**
   * Sends all queries as one batch. If that fails and not because of the server, each is sent alone, so that one query does not fail the
   * others.
   */
  async #askAll(queries: readonly TensorList[], abort: ServerCall): Promise<ServerReply['outcomes']> {
    const throwUnlessTheirs = (error: unknown) => {
      const { down, busy, replaced } = faultOf(error)
      if (abort.aborted || down || busy || replaced || this.health.isDue) throw error
    }
    try {
      return await this.#askOnce(queries, abort)
    } catch (error) {
      throwUnlessTheirs(error)
    }
    const outcomes: ServerReply['outcomes'] = []
    for (const query of queries) {
      const alone = this.#askOnce([query], abort).catch((error) => {
        throwUnlessTheirs(error)
        return [asError(error, 'WORKER', `${this.name}: `)]
      })
      outcomes.push(...(await alone))
    }
    return outcomes
  }

  /** Sends a call. If a kept-alive connection was stale it is sent once more on a new one, provided the server still has the model. */
  async #askOnce(queries: readonly TensorList[], abort: ServerCall): Promise<ServerReply['outcomes']> {
    let outcomes: ServerReply['outcomes']
    try {
      outcomes = await this.#send(queries, abort)
    } catch (error) {
      if (!faultOf(error).stale || abort.aborted || (await this.health.examine())) throw error
      outcomes = await this.#send(queries, abort)
    }
    const error = await this.health.verify()
    if (error) throw new ApproxiferError('WORKER', error.message)
    if (queries.length === 1 && outcomes[0] instanceof Error) throw outcomes[0]
    this.health.answered()
    return outcomes
  }

  #send(queries: readonly TensorList[], call: ServerCall): Promise<ServerReply['outcomes']> {
    const { connections } = this.#settings
    return connections ? this.#sendOn(connections, queries, call) : this.model.infer(queries, call)
  }

  async #sendOn(connections: ConnectionLimit, ...[queries, call]: Parameters<ServedModel['infer']>) {
    call.release ??= await connections.acquire(call)
    try {
      return await this.model.infer(queries, call)
    } finally {
      call.release?.()
      call.release = undefined
    }
  }
}
