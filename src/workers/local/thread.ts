/** One thread that runs the model, from its spawn to its end: a worker that restarts makes another. */

import { type Remote, releaseProxy, wrap } from 'comlink'
import { platform } from '#platform'
import type { Abort } from '../../base/abort'
import { expected } from '../../base/check'
import { ApproxiferError, asError } from '../../base/errors'
import type { TensorList } from '../../base/tensor'
import type { Thread } from '../../platform/platform'
import type { ModelFile } from '../onnx/model-file'
import type { OnnxOptions } from '../onnx/options'
import type { Loaded, ModelHost } from './entry'
import { awaitHello, type Reply, ThreadCaller, unwrap } from './messages'
import type { ThreadSettings } from './options'
import { CallQueue } from './queue'

export class ModelThread {
  onFree: (() => void) | undefined
  answered = false
  /** Once it is warm. From then on the thread alone keeps no process alive. Rejects, and is stopped, where it fails. */
  readonly loaded: Promise<Loaded>
  readonly #thread: Thread
  readonly #hello: ReturnType<typeof awaitHello>
  /** Kept, since a collected proxy may stop its thread. */
  readonly #remote: Remote<ModelHost>
  #queue: CallQueue | undefined
  #fail: (error: ApproxiferError) => void = () => {}
  #gone: Promise<void> | undefined

  /**
   * @param name       of its worker, for errors
   * @param model      its file, shared where the runtime can
   * @param onDeath    told why, at most once; not after `stop`
   * @param onSilence  told if its script says nothing for long; must not throw
   * @throws ApproxiferError WORKER where no thread can be made
   */
  constructor(
    private readonly name: string,
    model: ModelFile,
    options: ThreadSettings,
    onDeath: (why: string) => void,
    onSilence: (text: string) => void = () => {},
  ) {
    this.#thread = spawn(name, options, (why) => {
      this.#fail(this.#error(why))
      onDeath(why)
    })
    const { endpoint } = this.#thread
    this.#hello = awaitHello(endpoint, onSilence)
    this.#remote = wrap<ModelHost>(endpoint)
    this.loaded = this.#load(model, options)
  }

  get full(): boolean {
    return this.#queue?.full !== false
  }

  async #load(model: ModelFile, { maxPending, startMs, ...options }: ThreadSettings): Promise<Loaded> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    const late = setTimeout(() => this.#fail(this.#error(`did not start within ${startMs} ms`)), startMs)
    const { outputs, inputShapes, wasmPaths, providers, runtime } = options // what can cross between threads
    try {
      const onnx = { outputs, inputShapes, wasmPaths, providers, runtime }
      const loading = this.#remote.load(model, onnx) as Promise<Reply<Loaded>>
      const loaded = unwrap(await Promise.race([loading, failed]))
      this.#queue = this.#makeQueue(loaded, maxPending, runtime)
      this.#thread.hold(false)
      return loaded
    } catch (error) {
      const why = asError(error, 'WORKER', `${this.name} could not start: `)
      void this.stop(why)
      throw why
    } finally {
      this.#hello.stop()
      clearTimeout(late)
    }
  }

  #error(why: string): ApproxiferError {
    return new ApproxiferError('WORKER', `${this.name} ${why}${this.#hello.advice}`)
  }

  #makeQueue({ signature }: Loaded, maxPending: number, runtime: OnnxOptions['runtime']): CallQueue {
    const isNative = runtime === 'onnxruntime-node' // which takes no shared memory
    const share = (bytes: number) => (isNative ? undefined : platform.memory(bytes))
    const caller = new ThreadCaller(this.#thread.endpoint, signature, share)
    const ask = async (queries: readonly TensorList[]) => {
      const replies = await caller.ask(queries)
      this.answered ||= replies.some((reply) => reply && 'value' in reply)
      return replies
    }
    const queue = new CallQueue(ask, maxPending)
    queue.onFree = () => {
      if (!queue.wanted) this.#thread.hold(false)
      this.onFree?.()
    }
    return queue
  }

  /** As that of `CallQueue`, once it has loaded. While anybody waits for an answer it keeps the process alive. */
  push(queries: readonly TensorList[], aborts?: readonly (Abort | undefined)[]): Promise<TensorList>[] {
    const queue = this.#queue as CallQueue
    const answers = queue.push(queries, aborts)
    if (queue.wanted) this.#thread.hold(true) // not where all are refused
    return answers
  }

  /** Rejects what it has with this error, its loading too; resolves when the thread is gone. May be called twice. */
  stop(error: ApproxiferError): Promise<void> {
    this.#fail(error)
    this.#queue?.fail(error)
    if (!this.#gone) this.#remote[releaseProxy]() // else comlink keeps the endpoint, and thereby this worker and its listeners
    this.#gone ??= this.#thread.terminate()
    return this.#gone
  }
}

function spawn(name: string, { createWorker, runtime }: ThreadSettings, onDeath: (why: string) => void): Thread {
  const checked = () => {
    const worker = createWorker?.()
    if (typeof (worker as { postMessage?: unknown } | null)?.postMessage === 'function') return worker
    throw new TypeError(expected('createWorker()', 'a worker', worker))
  }
  try {
    return platform.spawn(createWorker && checked, onDeath, runtime === 'onnxruntime-node')
  } catch (error) {
    throw asError(error, 'WORKER', `${name} could not start: `)
  }
}
