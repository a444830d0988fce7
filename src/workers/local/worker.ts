/** A worker that runs the model in a thread of this machine, and restarts the thread with backoff when it dies. */

import { platform } from '#platform'
import { type Abort, abortOf } from '../../base/abort'
import { ApproxiferError } from '../../base/errors'
import { rowLength, type Signature, type TensorList } from '../../base/tensor'
import type { ModelFile } from '../onnx/model-file'
import { type ModelWorker, wrongQueries } from '../worker'
import type { Loaded } from './entry'
import type { ThreadSettings } from './options'
import { ModelThread } from './thread'

/**
 * Limits of a batch: queries, and input values of all of them. Larger batches gain little (LeNet: 20 % more queries a second by
 * batches of 2, 38 % by 4, 40 % by 16), and copying them would block the sender.
 */
const MOST_ROWS = 16
const MOST_VALUES = 2 ** 18

/** Exponential backoff: 100 ms before the first restart, doubled for each further one in a row, up to a minute. */
const FIRST_BACKOFF_MS = 100
const MOST_BACKOFF_MS = 60_000

export class LocalWorker implements ModelWorker {
  onFree: (() => void) | undefined
  readonly name: string
  readonly fingerprint: string
  readonly trusted = true
  readonly takesNext = true
  /** A running inference cannot be interrupted; only the whole thread can be stopped. */
  readonly interruptible = false
  readonly sharedMemory: ModelWorker['sharedMemory']
  // Assigned from `Loaded` by `start`.
  declare readonly signature: Signature
  declare readonly warnings: readonly string[]
  declare readonly repeats: boolean
  declare readonly scales: readonly number[]
  declare readonly hints: ModelWorker['hints']
  declare readonly sequence: ModelWorker['sequence']
  declare readonly batches: boolean
  readonly #file: ModelFile
  readonly #options: ThreadSettings
  #thread: ModelThread | undefined
  #state: 'starting' | 'ready' | 'down' | 'closed' = 'starting'
  /** Threads in a row that died without an answer. */
  #failures = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(name: string, model: { file: ModelFile; fingerprint: string }, options: ThreadSettings) {
    this.name = name
    this.fingerprint = model.fingerprint
    this.#file = model.file
    this.#options = options
    this.sharedMemory = options.runtime === 'onnxruntime-node' ? undefined : platform.memory // native code cannot read it
  }

  /** Resolves when it takes calls. @throws ApproxiferError MODEL or WORKER; CLOSED if it was closed meanwhile */
  async start(onSilence?: (text: string) => void): Promise<void> {
    this.#state = 'starting'
    const onDeath = (why: string) => {
      if (this.#thread === thread && this.#state === 'ready') this.#died(why)
    }
    const thread = new ModelThread(this.name, this.#file, this.#options, onDeath, onSilence)
    this.#thread = thread
    Object.assign(this, (await thread.loaded) satisfies Loaded)
    if ((this.#state as string) === 'closed') throw new ApproxiferError('CLOSED', `${this.name} was closed`)
    thread.onFree = () => this.onFree?.()
    this.#state = 'ready'
  }

  get free(): boolean {
    return this.#state === 'ready' && !this.#thread?.full
  }

  /** Above 1 if the model's batch dimension is dynamic and batching was found not to change its answers. */
  get maxBatch(): number {
    const values = rowLength(this.signature.inputs) || 1 // NaN for dynamic shapes, which are seldom images
    return this.batches ? Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_VALUES / values))) : 1
  }

  infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    return this.#push([query], [abortOf(options)])[0]
  }

  inferBatch(
    queries: readonly TensorList[],
    { signals }: { signals?: readonly (AbortSignal | undefined)[] } = {},
  ): Promise<TensorList>[] {
    return this.#push(queries, signals)
  }

  #push(queries: readonly TensorList[], aborts?: readonly (Abort | undefined)[]): Promise<TensorList>[] {
    const refusal = this.#refusal ?? wrongQueries(this, queries)
    return refusal ? queries.map(() => Promise.reject(refusal)) : (this.#thread as ModelThread).push(queries, aborts)
  }

  get #refusal(): ApproxiferError | undefined {
    if (this.#state === 'closed') return new ApproxiferError('CLOSED', `${this.name} is closed`)
    return this.#state === 'ready' ? undefined : new ApproxiferError('WORKER', `${this.name} is not running`)
  }

  restart(why: string): void {
    if (this.#state === 'ready') this.#died(why)
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.onFree = undefined
    await this.#thread?.stop(new ApproxiferError('CLOSED', `${this.name} was closed`))
  }

  #died(why: string): void {
    this.#state = 'down'
    if (this.#thread?.answered) this.#failures = 0
    void this.#thread?.stop(new ApproxiferError('WORKER', `${this.name} ${why}`))
    this.#restartLater()
  }

  #restartLater(): void {
    const wait = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures++, MOST_BACKOFF_MS)
    this.#timer = setTimeout(() => void this.#restart(), wait)
    if (typeof this.#timer === 'object') this.#timer.unref()
  }

  /** Starts a new thread. A failed restart is tried again later, unless the model itself can no longer be loaded. */
  async #restart(): Promise<void> {
    try {
      await this.start()
      this.onFree?.()
    } catch (error) {
      if (this.#state === 'closed') return
      this.#state = 'down'
      if ((error as ApproxiferError).code !== 'MODEL') this.#restartLater()
    }
  }
}
