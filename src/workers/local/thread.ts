/** One thread that runs the model, from its start to its end. A restarted worker makes a new one. */

import { type Remote, releaseProxy, wrap } from 'comlink'
import { platform } from '#platform'
import type { Abort } from '../../base/abort'
import { expected } from '../../base/check'
import { systemClock } from '../../base/clock'
import { ApproxiferError, asError } from '../../base/errors'
import { afterRunning } from '../../base/standstill'
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
  /**
   * Resolves when the model is loaded and warmed up; from then on an idle thread does not keep the process alive. Rejects, after
   * stopping the thread, if loading fails.
   */
  readonly loaded: Promise<Loaded>
  readonly #thread: Thread
  readonly #hello: ReturnType<typeof awaitHello>
  /** Kept referenced, since comlink may stop the thread when its proxy is garbage-collected. */
  readonly #remote: Remote<ModelHost>
  #queue: CallQueue | undefined
  #fail: (error: ApproxiferError) => void = () => {}
  #gone: Promise<void> | undefined

  /**
   * @param name  of its worker, for error messages
   * @param model  the model's file, in shared memory where the runtime has it
   * @param onDeath  called at most once with the reason if the thread dies; not after `stop`
   * @param onSilence  called if the thread's script does not respond; must not throw
   * @throws ApproxiferError WORKER if the thread cannot be made
   */
  constructor(
    private readonly name: string,
    model: ModelFile,
    options: ThreadSettings,
    onDeath: (why: string) => void,
    onSilence: (text: string) => void = () => {},
  ) {
    this.#thread = spawn(name, options, (why, isSure) => {
      this.#fail(isSure ? new ApproxiferError('WORKER', `${name} ${why}`) : this.#error(why))
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
    const fail = () => this.#fail(this.#error(`did not start within ${startMs} ms`))
    const forget = afterRunning(systemClock, startMs, fail)
    const { outputs, inputShapes, wasmPaths, providers, runtime } = options // only options that can be cloned between threads
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
      forget()
    }
  }

  #error(why: string): ApproxiferError {
    return new ApproxiferError('WORKER', `${this.name} ${why}${this.#hello.advice}`)
  }

  #makeQueue({ signature }: Loaded, maxPending: number, runtime: OnnxOptions['runtime']): CallQueue {
    const isNative = runtime === 'onnxruntime-node' // native code cannot read shared memory
    const share = (bytes: number) => (isNative ? undefined : platform.memory(bytes))
    const caller = new ThreadCaller(this.#thread.endpoint, signature, share)
    const ask = async (queries: readonly TensorList[]) => {
      const replies = await caller.run(queries)
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

  /** Adds queries to the thread's queue, see `CallQueue.push`; call it after `loaded`. Open calls keep the process alive. */
  push(queries: readonly TensorList[], aborts?: readonly (Abort | undefined)[]): Promise<TensorList>[] {
    const queue = this.#queue as CallQueue
    const answers = queue.push(queries, aborts)
    if (queue.wanted) this.#thread.hold(true) // not if all queries were refused
    return answers
  }

  /**
   * Stops the thread and rejects its open calls, and `loaded`, with this error. Resolves when the thread has ended. May be called
   * twice.
   */
  stop(error: ApproxiferError): Promise<void> {
    this.#fail(error)
    this.#queue?.fail(error)
    if (!this.#gone) this.#remote[releaseProxy]() // otherwise comlink's listeners would keep this object in memory
    this.#gone ??= this.#thread.terminate()
    return this.#gone
  }
}

function spawn(
  name: string,
  { createWorker, runtime }: ThreadSettings,
  onDeath: (why: string, isSure?: boolean) => void,
): Thread {
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
