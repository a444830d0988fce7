/** One model of `approxifer serve`: loads, replaces and unloads it until the gateway serves what the configuration says. */

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { ApproxiferError } from '../../base/errors'
import type { PredictorEvent } from '../../events'
import type { GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import { filesOf, isElsewhere, type ModelConfig } from './config'
import { predictorOptions } from './fleet'
import type { Log } from './observe'

/** The delay before the first retry of a failed load; it doubles with each further failure. */
const RETRY_MS = 1000
/** The longest delay of a retry for a model that depends on remote workers or servers, which may recover at any time. */
const MOST_REMOTE_RETRY_MS = 5000
/** The longest delay of a retry for a model that depends on local files alone: they are watched anyway. */
const MOST_LOCAL_RETRY_MS = 60_000
/** A load that keeps failing is logged this often. */
const LOG_AGAIN_MS = 60_000
/** How long a web server may take to answer whether a model file has changed. */
const FILE_SERVER_MS = 10_000

/** The outcome of a wish: `superseded` by a later wish, or an error, after which loading is retried. */
export type DesireOutcome = 'loaded' | 'unloaded' | 'kept' | 'superseded' | Error

export interface Serving {
  readonly gateway: Gateway<GatewayModel>
  readonly log: Log
  readonly warn: (model: string, text: string, worker?: string) => void
  /** Makes the listener for a loaded model's events. */
  readonly listener: (model: string) => (event: PredictorEvent) => void
  /** Called when a model was loaded, replaced or unloaded. */
  onChange(): void
  /** Called when the first attempt to load a model failed. @returns whether to give up, instead of retrying */
  isEnd(name: string, error: Error): boolean
}

/** One attempt to reach a state. */
interface Step {
  /** The state to reach, see `stateOf`. Undefined: unloaded. An error: the state of its files could not be read. */
  readonly state: string | Error | undefined
  readonly stop: AbortController
  is: 'running' | 'done' | 'failed'
}

export class DesiredModel {
  model: ModelConfig | undefined
  #step: Step = { state: undefined, stop: new AbortController(), is: 'done' }
  /** The state of the model that is served; undefined if none is. */
  #served: Step['state']
  #wishes = 0
  #failed = { times: 0, message: '', loggedAt: 0 }

  constructor(
    readonly name: string,
    private readonly context: Serving,
  ) {}

  /**
   * Sets the configuration to serve, and aborts a load of any other one.
   *
   * @param model  undefined: unload the model
   * @returns after the load, or after its first failure: then the earlier model is served on, and loading is retried until it succeeds
   */
  async become(model: ModelConfig | undefined): Promise<DesireOutcome> {
    this.model = model
    const wish = ++this.#wishes
    const state = model && (await stateOf(model).catch((error: Error) => error)) // before loading, so that a file that changes meanwhile causes another load
    if (wish !== this.#wishes) return 'superseded'
    const before = this.#step
    if (before.is !== 'failed' && before.state === state) return 'kept'
    if (before.is === 'running') before.stop.abort()
    if (before.state !== state) this.#failed.times = 0
    const isServed = before.is === 'failed' && model !== undefined && state === this.#served
    const step: Step = { state, stop: new AbortController(), is: isServed ? 'done' : 'running' }
    this.#step = step
    return isServed ? 'kept' : this.#take(step, model)
  }

  /** Whether any version of the model is served, the configured one or an earlier one. */
  get isServed(): boolean {
    return this.#served !== undefined
  }

  /** Whether the first attempt to load it is under way. */
  get isBeginning(): boolean {
    return this.#step.is === 'running' && !this.#failed.times && !this.context.gateway.names.includes(this.name)
  }

  /** Why the model cannot answer queries now; undefined if it can. */
  get unready(): string | undefined {
    const { name } = this
    const { gateway } = this.context
    if (!gateway.names.includes(name)) return `model '${name}' is not ready: ${this.#failed.message || 'it is loading'}`
    try {
      const why = gateway.predictor(name).unready
      return why && `model '${name}': ${why}`
    } catch (error) {
      return (error as Error).message
    }
  }

  stop(): void {
    this.#wishes++
    if (this.#step.is === 'running') this.#step.stop.abort()
  }

  async #take(step: Step, model: ModelConfig | undefined): Promise<DesireOutcome> {
    const { signal } = step.stop
    try {
      if (step.state instanceof Error) throw step.state
      await (model ? this.#load(model, signal) : this.#unload())
      this.#served = signal.aborted ? '' : step.state // after an abort its workers may no longer be followed: '' equals no state, so it will be loaded again
      step.is = 'done'
      this.#failed.times = 0
      this.context.log.info({ model: this.name, version: model?.version }, model ? 'loaded' : 'unloaded')
      this.context.onChange()
      return model ? 'loaded' : 'unloaded'
    } catch (cause) {
      if (signal.aborted) return 'superseded'
      const error = named(this.name, cause)
      step.is = 'failed'
      const isFirst = !this.isServed && !this.#failed.message
      if (!isFirst || !this.context.isEnd(this.name, error)) this.#retry(error, model)
      return error
    }
  }

  async #load(model: ModelConfig, signal: AbortSignal): Promise<void> {
    const { name } = this
    const { gateway, warn, listener } = this.context
    const options = await predictorOptions(name, model, (...told) => warn(name, ...told), signal)
    signal.throwIfAborted()
    await gateway.load(name, { ...options, onEvent: listener(name) })
  }

  async #unload(): Promise<void> {
    if (this.context.gateway.names.includes(this.name)) await this.context.gateway.unload(this.name)
  }

  #retry(err: Error, model: ModelConfig | undefined): void {
    const most = model && comesFromElsewhere(model) ? MOST_REMOTE_RETRY_MS : MOST_LOCAL_RETRY_MS
    const { times, loggedAt } = this.#failed
    const retryMs = Math.min(most, RETRY_MS * 2 ** times)
    const isLogged = times > 0 && Date.now() - loggedAt < LOG_AGAIN_MS
    this.#failed = { times: times + 1, message: err.message, loggedAt: isLogged ? loggedAt : Date.now() }
    const text = 'loading failed; it is tried again, and what was served is served on'
    if (!isLogged) this.context.log.error({ model: this.name, err, retryMs }, text)
    const wish = this.#wishes
    const again = () => wish === this.#wishes && void this.become(model)
    setTimeout(again, retryMs).unref()
  }
}

/** Whether a failure to load may be caused, and ended, by another machine. */
export function comesFromElsewhere({ workers, model = '' }: ModelConfig): boolean {
  return isElsewhere(workers) || /^https?:/.test(model)
}

function named(name: string, error: unknown): Error {
  if (!(error instanceof Error)) return new Error(`${name}: ${error}`)
  const message = `${name}: ${error.message}`
  if (error instanceof ApproxiferError) return new ApproxiferError(error.code, message, { cause: error })
  if (error instanceof TypeError) return new TypeError(message, { cause: error })
  if (error instanceof RangeError) return new RangeError(message, { cause: error })
  return error
}

/**
 * A text that changes when the model's configuration or one of its files changes.
 *
 * @throws ApproxiferError where a web server does not answer: loading the model from it would hang for minutes
 */
async function stateOf(model: ModelConfig): Promise<string> {
  const files = filesOf(model).map(async (file) => {
    try {
      return await stateOfFile(file)
    } catch (error) {
      const isSilent = (error as Error).name === 'TimeoutError'
      if (isSilent) throw new ApproxiferError('MODEL', `${file} has not answered within ${FILE_SERVER_MS} ms`)
    } // loading the model will report any other error
  })
  return JSON.stringify([model, await Promise.all(files)])
}

/** A value that changes when the file changes: for a URL its ETag, or else a hash of its bytes. */
async function stateOfFile(file: string): Promise<unknown> {
  if (/^https?:/.test(file)) {
    const { ok, status, headers, body } = await fetch(file, { signal: AbortSignal.timeout(FILE_SERVER_MS) })
    const tag = headers.get('etag')
    if (tag === null && ok && body) {
      const bytes = new Uint8Array(await new Response(body).arrayBuffer())
      return createHash('sha256').update(bytes).digest('hex')
    }
    await body?.cancel()
    return [status, tag]
  }
  const { ino, size, mtimeMs } = await stat(file.startsWith('file:') ? new URL(file) : file)
  return [ino, size, mtimeMs]
}
