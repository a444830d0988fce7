/** One model of `approxifer serve`: what is served under its name is brought to how it is described. */

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { ApproxiferError } from '../../base/errors'
import type { PredictorEvent } from '../../events'
import type { GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import { filesOf, isElsewhere, type ModelConfig } from './config'
import { predictorOptions } from './fleet'
import type { Log } from './observe'

/** Until what failed is tried again: as long at first, then twice as long each time. */
const RETRY_MS = 1000
/** The longest wait, where others may mend it at any time; and where it is in files of this machine. */
const ELSEWHERE_MS = 5000
const HERE_MS = 60_000
/** Until it is told again that a model cannot be loaded. */
const AGAIN_MS = 60_000
/** For a web server to say whether a file of it is as it was. */
const ASK_MS = 10_000

/** What came of a wish: `superseded` by another one, or an error, after which it is tried again. */
export type DesireOutcome = 'loaded' | 'unloaded' | 'kept' | 'superseded' | Error

export interface Serving {
  readonly gateway: Gateway<GatewayModel>
  readonly log: Log
  readonly warn: (model: string, text: string) => void
  /** What hears of a model that is loaded. */
  readonly listener: (model: string) => (event: PredictorEvent) => void
  /** Another model is served, or none any more. */
  onChange(): void
  /** The first attempt at a model failed. @returns whether that is the end of it */
  isEnd(name: string, error: Error): boolean
}

/** One attempt at a wish. */
interface Step {
  /** Undefined: nothing is to be served; an error: nobody says how it is. */
  readonly state: string | Error | undefined
  readonly stop: AbortController
  is: 'running' | 'done' | 'failed'
}

export class DesiredModel {
  model: ModelConfig | undefined
  #step: Step = { state: undefined, stop: new AbortController(), is: 'done' }
  /** The state of what is served. */
  #served: Step['state']
  #wishes = 0
  #failed = { times: 0, message: '', loggedAt: 0 }

  constructor(
    readonly name: string,
    private readonly context: Serving,
  ) {}

  /**
   * Ends what is being done for an earlier wish, unless that is the same.
   *
   * @param model  undefined: nothing is to be served
   * @returns when it is so, or has failed for the first time: then what was served is served on, and it is tried again and again
   */
  async become(model: ModelConfig | undefined): Promise<DesireOutcome> {
    this.model = model
    const wish = ++this.#wishes
    const state = model && (await stateOf(model).catch(asIs)) // first: what changes meanwhile is loaded anew the next time
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

  /** Whether a wish was fulfilled, whatever is wished now. */
  get isServed(): boolean {
    return this.#served !== undefined
  }

  /** Whether nothing is known of it yet. */
  get isBeginning(): boolean {
    return this.#step.is === 'running' && !this.#failed.times && !this.context.gateway.names.includes(this.name)
  }

  /** Why it can answer nobody now. */
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
      this.#served = signal.aborted ? '' : step.state // of what was cut short nobody knows whether its workers still come and go
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
    const options = await predictorOptions(name, model, (text) => warn(name, text), signal)
    signal.throwIfAborted()
    await gateway.load(name, { ...options, onEvent: listener(name) })
  }

  async #unload(): Promise<void> {
    if (this.context.gateway.names.includes(this.name)) await this.context.gateway.unload(this.name)
  }

  #retry(err: Error, model: ModelConfig | undefined): void {
    const most = model && comesFromElsewhere(model) ? ELSEWHERE_MS : HERE_MS
    const { times, loggedAt } = this.#failed
    const retryMs = Math.min(most, RETRY_MS * 2 ** times)
    const isLogged = times > 0 && Date.now() - loggedAt < AGAIN_MS
    this.#failed = { times: times + 1, message: err.message, loggedAt: isLogged ? loggedAt : Date.now() }
    const text = 'loading failed; it is tried again, and what was served is served on'
    if (!isLogged) this.context.log.error({ model: this.name, err, retryMs }, text)
    const wish = this.#wishes
    const again = () => wish === this.#wishes && void this.become(model)
    setTimeout(again, retryMs).unref()
  }
}

/** Whether others may mend what is wrong with it. */
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

const asIs = (error: Error) => error

/**
 * Equal as long as a model is described in the same way and its files are the same.
 *
 * @throws ApproxiferError where a web server says nothing, on which loading it would wait for minutes
 */
async function stateOf(model: ModelConfig): Promise<string> {
  const files = filesOf(model).map(async (file) => {
    try {
      return await stateOfFile(file)
    } catch (error) {
      const isSilent = (error as Error).name === 'TimeoutError'
      if (isSilent) throw new ApproxiferError('MODEL', `${file} has not answered within ${ASK_MS} ms`)
    } // else loading it will say so
  })
  return JSON.stringify([model, await Promise.all(files)])
}

/** Of an address what its server says of the bytes, where it says anything, else what they are. */
async function stateOfFile(file: string): Promise<unknown> {
  if (/^https?:/.test(file)) {
    const { ok, status, headers, body } = await fetch(file, { signal: AbortSignal.timeout(ASK_MS) })
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
