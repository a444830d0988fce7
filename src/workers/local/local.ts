/** Workers on this machine: one thread or Web Worker each, over comlink, watched and restarted. */

import { type Remote, releaseProxy, wrap } from 'comlink'
import { platform } from '#platform'
import { checkFunction, checkInteger, checkNames, expected, MOST_MS } from '../../check'
import { checksum } from '../../checksum'
import { ApproxiferError, asError } from '../../errors'
import { guarded } from '../../notices'
import type { Thread } from '../../platform/platform'
import { rowLength, type Signature } from '../../tensor'
import { importOrt, type OnnxOptions } from '../onnx/model'
import { asModelError } from '../onnx/no-model'
import { checkOnnxOptions } from '../onnx/options'
import type { ModelWorker } from '../worker'
import type { Entry, Loaded } from './entry'
import { awaitHello } from './hello'
import { CallQueue } from './queue'
import { type Reply, RowCaller, unwrap } from './rows'

export interface LocalOptions extends OnnxOptions {
  /** The .onnx model: a path (Node), a URL, or its bytes. */
  model: string | URL | Uint8Array
  /** How many workers: at most 64, or 16 a core. */
  count: number
  /** Calls that may wait in a worker behind the one that runs. Default 2. */
  maxPending?: number
  /** How long a worker may take to load and warm up. Default 60,000 ms. */
  startMs?: number
  /** Makes the thread (Node) or Web Worker (browser) to run `approxifer/worker` in, for bundlers that need to see it. */
  createWorker?: () => unknown
  /** Told once per thing worth knowing: about the model, or a worker script that keeps silent. Default: console.warn. */
  onWarning?: (text: string) => void
}

/** Names of the options that a predictor passes on. */
export const localOptions = [
  ...['outputs', 'inputShapes', 'wasmPaths', 'providers', 'runtime', 'model', 'maxPending', 'startMs', 'createWorker'],
  'onWarning',
]

/**
 * Rows that go through the model in one run at most, and their values together: more would gain little (LeNet: 20 % more
 * rows a second by 2 in one run, 38 % by 4, 40 % by 16), and copying them would hold the sender up.
 */
const MOST_ROWS = 16
const MOST_VALUES = 2 ** 18

/** Each takes 40 MB and a model: 500 on two cores took 20 GB, and the machine stood still. */
const MOST_THREADS = 64
const THREADS_A_CORE = 16

/** Wait before the n-th restart in a row: 100 ms, 200 ms, ... up to this. */
const MOST_BACKOFF_MS = 60_000

/**
 * Starts workers, all with the same model bytes, shared where the runtime can. The first one starts alone:
 * a model that does not load is reported once and costs one thread.
 *
 * @throws RangeError for more threads than the machine can have; ApproxiferError MODEL or WORKER, after closing what had started
 */
export async function localWorkers(options: LocalOptions): Promise<ModelWorker[]> {
  checkNames('', options, [...localOptions, 'count'])
  const count = checkInteger('count', options.count, 1, mostThreads())
  const { maxPending = 2, startMs = 1, createWorker } = options
  checkInteger('maxPending', maxPending, 0)
  checkInteger('startMs', startMs, 1, MOST_MS)
  if (createWorker !== undefined) checkFunction('createWorker', createWorker, 'a function that makes a worker')
  checkOnnxOptions(options)
  // Native code that all its threads have left does not load again: this one keeps it.
  if (options.runtime === 'onnxruntime-node') await importOrt(options)
  const bytes = platform.share(await readModel(options.model))
  const model = { bytes, fingerprint: checksum(bytes) }
  const { onWarning = console.warn } = options
  const first = await LocalWorker.start('worker 0', model, options, guarded(onWarning)).catch((error) => {
    throw asModelError(error, options.model, bytes)
  })
  try {
    for (const warning of [...first.warnings, ...crowded(count)]) onWarning(warning)
  } catch (error) {
    await first.close()
    throw error
  }
  const rest = Array.from({ length: count - 1 }, (_, i) => LocalWorker.start(`worker ${i + 1}`, model, options))
  const started = await Promise.allSettled(rest)
  const workers = [first, ...started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))]
  const failed = started.find((result) => result.status === 'rejected')
  if (!failed) return workers
  await Promise.all(workers.map((worker) => worker.close()))
  throw failed.reason
}

/** Workers that one machine may have as threads. */
export function mostThreads(): number {
  return Math.max(MOST_THREADS, THREADS_A_CORE * (platform.cores ?? 1))
}

/** Threads that share cores answer later than fewer would. */
function crowded(count: number): string[] {
  const { cores } = platform
  if (cores === undefined || count <= cores) return []
  const todo = 'they take turns, and fewer would be faster; a code pays where workers are machines of their own'
  return [`workers: ${count} on ${cores} ${cores === 1 ? 'core' : 'cores'}: ${todo}`]
}

/** A model's bytes from a path, a URL or bytes. @throws ApproxiferError MODEL, or TypeError for anything else */
export async function readModel(model: unknown): Promise<Uint8Array> {
  if (model instanceof Uint8Array) return model
  if (model instanceof ArrayBuffer) return new Uint8Array(model)
  if (typeof model !== 'string' && !(model instanceof URL)) {
    throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  }
  try {
    return await platform.read(model)
  } catch (error) {
    throw asError(error, 'MODEL', `the model '${model}' cannot be read: `)
  }
}

interface Model {
  bytes: Uint8Array
  fingerprint: string
}

class LocalWorker implements ModelWorker {
  readonly name: string
  readonly #model: Model
  readonly #options: LocalOptions
  #loaded: Loaded | undefined
  #queue: CallQueue | undefined
  #thread: Thread | undefined
  #remote: Remote<Entry> | undefined
  /** Ends a start under way. */
  #fail: (error: ApproxiferError) => void = () => {}
  #state: 'starting' | 'ready' | 'down' | 'closed' = 'starting'
  #gone = Promise.resolve()
  #failures = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #onFree: (() => void) | undefined

  private constructor(name: string, model: Model, options: LocalOptions) {
    this.name = name
    this.#model = model
    this.#options = options
  }

  /** @param onSilence  told if its script says nothing for long; the script of one tells of all, the others may be slow */
  static async start(
    name: string,
    model: Model,
    options: LocalOptions,
    onSilence?: (text: string) => void,
  ): Promise<LocalWorker> {
    const worker = new LocalWorker(name, model, options)
    try {
      await worker.#start(onSilence)
    } catch (error) {
      await worker.close()
      throw error
    }
    return worker
  }

  get signature() {
    return (this.#loaded as Loaded).signature
  }

  get fingerprint() {
    return this.#model.fingerprint
  }

  get warnings() {
    return (this.#loaded as Loaded).warnings
  }

  get free(): boolean {
    return this.#state === 'ready' && !this.#queue?.full
  }

  /** A thread that runs a model cannot be told to stop, only be stopped. */
  get interruptible(): boolean {
    return false
  }

  get takesNext(): boolean {
    return true
  }

  /** More than one where the model's batch dimension is dynamic, and what a batch has no influence on one row's answer. */
  get maxBatch(): number {
    const { batches, signature } = this.#loaded as Loaded
    return batches ? Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_VALUES / rowLength(signature.inputs)))) : 1
  }

  get onFree() {
    return this.#onFree
  }

  set onFree(listener: (() => void) | undefined) {
    this.#onFree = listener
  }

  async infer(row: Float32Array, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#push([row], [signal])[0]
  }

  inferBatch(
    rows: readonly Float32Array[],
    { signals }: { signals?: readonly AbortSignal[] } = {},
  ): Promise<Float32Array>[] {
    try {
      return this.#push(rows, signals)
    } catch (error) {
      return rows.map(() => Promise.reject(error))
    }
  }

  /** @throws ApproxiferError CLOSED, WORKER; RangeError for rows that are none */
  #push(rows: readonly Float32Array[], signals?: readonly (AbortSignal | undefined)[]): Promise<Float32Array>[] {
    const queue = this.#queue
    if (this.#state === 'closed') throw new ApproxiferError('CLOSED', `${this.name} is closed`)
    if (this.#state !== 'ready' || !queue) throw new ApproxiferError('WORKER', `${this.name} is not running`)
    if (rows.length > this.maxBatch) throw new RangeError(`rows: expected at most ${this.maxBatch}, got ${rows.length}`)
    const length = rowLength(this.signature.inputs)
    for (const row of rows) {
      if (row.length !== length) throw new RangeError(`row: expected ${length} values, got ${row.length}`)
    }
    const answers = queue.push(rows, signals)
    if (queue.wanted) this.#thread?.hold(true) // not where all are refused
    return answers
  }

  restart(why: string): void {
    if (this.#state === 'ready') this.#died(why)
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#onFree = undefined
    this.#fail(new ApproxiferError('CLOSED', `${this.name} was closed`))
    this.#queue?.fail(new ApproxiferError('CLOSED', `${this.name} was closed`))
    await this.#stop()
  }

  /** Spawns, loads and warms up; ready when it returns. Once ready, the thread alone keeps no process alive. */
  async #start(onSilence?: (text: string) => void): Promise<void> {
    const { createWorker, startMs = 60_000 } = this.#options
    const { outputs, inputShapes, wasmPaths, providers, runtime } = this.#options
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    failed.catch(() => {}) // nobody may be waiting any more
    const fail = this.#fail
    const onDeath = (why: string) => {
      fail(new ApproxiferError('WORKER', `${this.name} ${why}${hello.advice}`))
      if (this.#thread === thread && this.#state === 'ready') this.#died(why)
    }
    const thread = spawn(this.name, createWorker, onDeath, runtime === 'onnxruntime-node')
    this.#thread = thread
    const hello = awaitHello(thread.endpoint, (text) => {
      try {
        onSilence?.(text)
      } catch (error) {
        fail(asError(error, 'WORKER'))
      }
    })
    const remote = wrap<Entry>(thread.endpoint) // kept, since a collected proxy may stop its thread
    this.#remote = remote
    const late = setTimeout(
      () => fail(new ApproxiferError('WORKER', `${this.name} did not start within ${startMs} ms${hello.advice}`)),
      startMs,
    )
    try {
      const onnx = { outputs, inputShapes, wasmPaths, providers, runtime }
      const loading = remote.load(this.#model.bytes, onnx) as Promise<Reply<Loaded>>
      this.#loaded = unwrap(await Promise.race([loading, failed]))
    } catch (error) {
      if (this.#thread === thread) void this.#stop()
      throw asError(error, 'WORKER', `${this.name} could not start: `)
    } finally {
      hello.stop()
      clearTimeout(late)
    }
    if (this.#state === 'closed') throw new ApproxiferError('CLOSED', `${this.name} was closed`)
    this.#queue = this.#makeQueue(thread, this.#loaded.signature)
    this.#state = 'ready'
    thread.hold(false)
  }

  #makeQueue(thread: Thread, { outputs }: Signature): CallQueue {
    const isNative = this.#options.runtime === 'onnxruntime-node' // which takes no shared memory
    const caller = new RowCaller(thread.endpoint, (bytes) => (isNative ? undefined : platform.memory(bytes)))
    const run = async (rows: readonly Float32Array[]) => {
      const replies = await caller.ask(rows)
      if (replies.some((reply) => reply && 'value' in reply)) this.#failures = 0
      return replies
    }
    const queue = new CallQueue(run, outputs, this.#options.maxPending ?? 2)
    queue.onFree = () => {
      if (!queue.wanted) thread.hold(false)
      this.#onFree?.()
    }
    return queue
  }

  #died(why: string): void {
    this.#state = 'down'
    void this.#stop()
    this.#queue?.fail(new ApproxiferError('WORKER', `${this.name} ${why}`))
    this.#startLater()
  }

  /** A failed restart counts like a death; only a model that no longer loads ends it. */
  #startLater(): void {
    const wait = Math.min(100 * 2 ** this.#failures++, MOST_BACKOFF_MS)
    this.#timer = setTimeout(async () => {
      try {
        this.#state = 'starting'
        await this.#start()
        this.#onFree?.()
      } catch (error) {
        if ((this.#state as string) === 'closed') return
        this.#state = 'down'
        if ((error as ApproxiferError).code !== 'MODEL') this.#startLater()
      }
    }, wait)
    if (typeof this.#timer === 'object') this.#timer.unref() // a worker to be restarted keeps no process alive
  }

  /** Resolves when the thread is gone, whoever stopped it. */
  #stop(): Promise<void> {
    // Until released, comlink keeps the endpoint, and thereby this worker and all who listen to it.
    this.#remote?.[releaseProxy]()
    this.#remote = undefined
    if (this.#thread) this.#gone = this.#thread.terminate()
    this.#thread = undefined
    return this.#gone
  }
}

function spawn(name: string, create: LocalOptions['createWorker'], onDeath: (why: string) => void, patient: boolean) {
  const checked = () => {
    const worker = create?.()
    if (typeof (worker as { postMessage?: unknown } | null)?.postMessage === 'function') return worker
    throw new TypeError(expected('createWorker()', 'a worker', worker))
  }
  try {
    return platform.spawn(create && checked, onDeath, patient)
  } catch (error) {
    throw asError(error, 'WORKER', `${name} could not start: `)
  }
}
