/** The models of `approxifer serve`: loaded as they are described, and anew where the description or a file has changed. */

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { ApproxiferError } from '../../errors'
import type { GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import type { PredictorStats } from '../../predictor/stats'
import { filesOf, type ModelConfig } from './config'
import { predictorOptions } from './fleet'

export class ServedModels {
  readonly #described: Record<string, ModelConfig>
  /** The state of each model when it was loaded. */
  readonly #loaded = new Map<string, string>()

  constructor(
    private readonly gateway: Gateway<GatewayModel>,
    models: Record<string, ModelConfig>,
    private readonly warn: (model: string, text: string) => void,
  ) {
    this.#described = models
  }

  get names(): string[] {
    return Object.keys(this.#described)
  }

  load(): Promise<void> {
    return all(this.names.map((name) => this.#load(name, this.#described[name])))
  }

  /**
   * What is described in another way than before, or has other files, is loaded anew; others come and go.
   *
   * @throws the first error, naming the model; that one is served as before, and tried again the next time
   */
  async reload(models: Record<string, ModelConfig>): Promise<{ loaded: string[]; unloaded: string[] }> {
    const states = await Promise.all(Object.values(models).map(stateOf))
    const loaded = Object.keys(models).filter((name, i) => states[i] !== this.#loaded.get(name))
    const unloaded = this.names.filter((name) => !Object.hasOwn(models, name))
    const changes = loaded.map((name) => this.#reload(name, models[name]))
    await all([...changes, ...unloaded.map((name) => this.#unload(name))])
    return { loaded, unloaded }
  }

  /** Of those that have been loaded. */
  *stats(): Iterable<[model: string, stats: PredictorStats]> {
    for (const name of this.gateway.names) {
      try {
        yield [name, this.gateway.predictor(name).stats()]
      } catch {} // it is loading
    }
  }

  async #load(name: string, model: ModelConfig): Promise<void> {
    try {
      const state = await stateOf(model) // first: what changes meanwhile is loaded anew the next time
      await this.gateway.load(name, await predictorOptions(name, model, (text) => this.warn(name, text)))
      this.#loaded.set(name, state)
    } catch (error) {
      throw named(name, error)
    }
  }

  async #reload(name: string, model: ModelConfig): Promise<void> {
    const isNew = !Object.hasOwn(this.#described, name)
    try {
      await this.#load(name, model)
    } catch (error) {
      if (isNew && this.gateway.names.includes(name)) await this.gateway.unload(name) // the server is ready without it
      throw error
    }
    this.#described[name] = model
  }

  async #unload(name: string): Promise<void> {
    delete this.#described[name]
    this.#loaded.delete(name)
    await this.gateway.unload(name)
  }
}

/** Resolves when all have ended. @throws the first error */
async function all(changes: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(changes)
  await Promise.all(changes)
}

function named(name: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const message = `${name}: ${error.message}`
  if (error instanceof ApproxiferError) return new ApproxiferError(error.code, message, { cause: error })
  if (error instanceof TypeError) return new TypeError(message, { cause: error })
  if (error instanceof RangeError) return new RangeError(message, { cause: error })
  return error
}

/** Equal as long as a model is described in the same way and its files are the same. */
async function stateOf(model: ModelConfig): Promise<string> {
  const files = filesOf(model).map((file) => stateOfFile(file).catch(() => undefined)) // loading it will say so
  return JSON.stringify([model, await Promise.all(files)])
}

/** Of an address what its server says of the bytes, where it says anything, else what they are. */
async function stateOfFile(file: string): Promise<unknown> {
  if (/^https?:/.test(file)) {
    const { ok, status, headers, body } = await fetch(file)
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
