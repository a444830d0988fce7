/** The models of a gateway: loads, replaces and unloads them, and saves what they learned in a store. */

import { Cancellation, orAborted } from '../base/abort'
import { checkText, expected } from '../base/check'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Predictor } from '../predictor/predictor'
import type { Recalls } from './recalls'
import { messageOf, notFound, Refusal, unavailable } from './refusal'
import { SaveTimer } from './save-timer'
import { packStates, unpackStates } from './saved-states'
import type { Store } from './store'
import type { TextModel } from './text/model'

export interface Started {
  predictor: Predictor
  /** The model's interface for texts, or the reason why it has none. */
  text: TextModel | string
}

/** The recalled answers of all versions of a model; undefined until a version that may recall answers has started. */
export interface Recalling {
  recalls?: Recalls
}

/** Starts a predictor. @param states  what the version before it learned, by tenant. @param recalls  where its recalls are collected */
export type Start<Model> = (
  model: Model,
  states: Record<string, Uint8Array> | undefined,
  recalls: Recalling,
) => Promise<Started>

interface ModelsOptions<Model> {
  start: Start<Model>
  versionOf(model: Model): string
  store: Store | undefined
  saveEveryMs: number
  clock: Clock
  warn: (text: string) => void
}

export class Served {
  readonly inFlight: InFlight

  /** @param onEnd  called when a request has ended */
  constructor(
    readonly predictor: Predictor,
    readonly text: TextModel | string,
    readonly version: string,
    onEnd: () => void,
  ) {
    this.inFlight = new InFlight(onEnd)
  }
}

/** The state of a model's name. */
interface Slot extends Recalling {
  /** The version that is served; undefined while the first version loads, or if that failed. */
  served?: Served
  /** Why no version is served. */
  why: string
  /** The change counter of `served` when it was last saved: its ended requests, plus how often its model was replaced. */
  saved: number
  /** Resolves when all replaced versions have closed. */
  ended?: Promise<unknown>
  /** Aborted when the model is unloaded, which ends a load under way. */
  readonly end: Cancellation
}

export class Models<Model> {
  readonly #slots = new Map<string, Slot>()
  /** The latest work on each name (a load, save or unload), which the next one waits for. */
  readonly #work = new Map<string, Promise<unknown>>()
  readonly #draining = new Set<Served>()
  readonly #timer: SaveTimer | undefined
  #closing: Promise<void> | undefined

  constructor(private readonly options: ModelsOptions<Model>) {
    const { clock, saveEveryMs: everyMs, store } = options
    const isBusy = () => [...this.#slots.values()].some(({ served }) => served?.inFlight.count)
    const save = () => this.#forAll((name, slot) => this.#saveOrWarn(name, slot))
    if (store) this.#timer = new SaveTimer({ clock, everyMs, isBusy, save })
  }

  get names(): string[] {
    return [...this.#slots.keys()]
  }

  /** The models that cannot answer now, each with the reason. */
  get unready(): [string, string][] {
    return [...this.#slots].flatMap(([name, { served, why }]): [string, string][] => {
      const own = served ? served.predictor.unready : why
      return own === undefined ? [] : [[name, own]]
    })
  }

  /** The names of the models that turn texts into vectors, or pairs of texts into scores; of all models where none does. */
  giving(gives: 'vector' | 'score'): string[] {
    const all = [...this.#slots]
    const givesIt = (text: TextModel | string = '') => typeof text === 'object' && text.use.gives === gives
    const giving = all.filter(([, { served }]) => givesIt(served?.text))
    return (giving.length ? giving : all).map(([name]) => name)
  }

  /** @param version  undefined: the version that is served. @throws Refusal 404, 503 */
  find(name: string, version?: string): Served {
    const slot = this.#slot(name)
    if (!slot.served) throw unavailable(`model '${name}' is not ready: ${slot.why}`)
    if (version === undefined || version === slot.served.version) return slot.served
    throw notFound(`the version of model '${name}'`, `'${slot.served.version}'`, version)
  }

  /** The recalled answers of a model. @throws Refusal 404 for a model that never recalls answers */
  recalls(name: string): Recalls {
    const { recalls } = this.#slot(name)
    if (recalls) return recalls
    throw new Refusal(
      404,
      `model '${name}': expected one with verify.mode 'sampled' or verify.trust 'open', got one that recalls no answers`,
    )
  }

  #slot(name: string): Slot {
    const slot = this.#slots.get(name)
    if (slot) return slot
    throw notFound('the model', this.names.map((each) => `'${each}'`).join(', ') || 'none at all', name)
  }

  /** Loads a version of a model. The earlier version serves until the new one has started. @throws what the start throws; the earlier version serves on then */
  load(name: string, model: Model): Promise<void> {
    checkText('name', name, "a model's name")
    const version = this.options.versionOf(model)
    if (this.#closing) throw new ApproxiferError('CLOSED', 'the gateway is closed')
    const slot = this.#slots.get(name) ?? { why: 'it is loading', saved: 0, end: new Cancellation() }
    this.#slots.set(name, slot)
    return this.#inTurn(name, () => this.#load(name, slot, model, version))
  }

  async #load(name: string, slot: Slot, model: Model, version: string): Promise<void> {
    try {
      const { predictor, text } = await this.#startUnlessEnded(name, slot, model)
      const served = new Served(predictor, text, version, () => this.#timer?.ended())
      const old = slot.served
      Object.assign(slot, { served, saved: 0 })
      if (old) slot.ended = Promise.all([slot.ended, this.#drain(old)])
    } catch (error) {
      slot.why = messageOf(error)
      throw error
    }
  }

  async #startUnlessEnded(name: string, slot: Slot, model: Model): Promise<Started> {
    const { end } = slot
    end.throwIfAborted()
    const starting = this.#statesOf(name, slot).then((states) => this.#start(name, model, slot, states))
    const started = await orAborted(end, starting).catch((error) => {
      if (end.aborted) starting.then(({ predictor }) => predictor.close()).catch(() => {}) // closes it once it has started
      throw error
    })
    if (!end.aborted) return started
    await started.predictor.close()
    throw end.reason
  }

  /** What a model has learned: from the version that is being replaced, or else from the store. */
  async #statesOf(name: string, { served }: Slot): Promise<Record<string, Uint8Array> | undefined> {
    const { store } = this.options
    try {
      const bytes = await (served ? packStates(served.predictor) : store?.read(name))
      return bytes && unpackStates(bytes)
    } catch (error) {
      this.#fresh(name, error)
    }
  }

  /** Starts a model; without its saved states if these are damaged or another model's. */
  async #start(name: string, model: Model, slot: Slot, states?: Record<string, Uint8Array>): Promise<Started> {
    const { start } = this.options
    try {
      return await start(model, states, slot)
    } catch (error) {
      if (!states || !(error instanceof Error) || !/^(memory\.)?state\b/.test(error.message)) throw error
      this.#fresh(name, error)
      return start(model, undefined, slot)
    }
  }

  #fresh(name: string, error: unknown): void {
    this.options.warn(`model '${name}' starts without what was learned before: ${messageOf(error)}`)
  }

  /** Unloads a model after its open requests. @throws RangeError for an unknown name */
  unload(name: string): Promise<void> {
    const slot = this.#slots.get(name)
    if (!slot) throw new RangeError(expected('name', `one of ${this.names.join(', ')}`, name))
    this.#slots.delete(name)
    slot.end.abort(new ApproxiferError('CLOSED', `model '${name}' was unloaded while it was loading`))
    if (slot.served) this.#draining.add(slot.served) // so that `close` closes it, even while it is being saved
    return this.#inTurn(name, async () => {
      await this.#saveOrWarn(name, slot)
      await Promise.all([slot.ended, slot.served && this.#drain(slot.served)])
    })
  }

  /** Saves each model that has learned since it was last saved. @throws what the store throws */
  async save(): Promise<void> {
    await this.#forAll((name, slot) => this.#save(name, slot))
  }

  async #save(name: string, slot: Slot): Promise<void> {
    const { served } = slot
    if (!this.options.store || !served) return
    const { count, finished } = served.inFlight
    const changes = finished + served.predictor.renewals
    if (changes === slot.saved && !count) return
    const bytes = await packStates(served.predictor)
    if (bytes) await this.options.store.write(name, bytes)
    slot.saved = changes
  }

  async #saveOrWarn(name: string, slot: Slot): Promise<void> {
    await this.#save(name, slot).catch((error) => {
      this.options.warn(`what model '${name}' learned could not be saved: ${messageOf(error)}`)
    })
  }

  async #drain(served: Served): Promise<void> {
    this.#draining.add(served)
    await served.inFlight.ended()
    await served.predictor.close()
    this.#draining.delete(served)
  }

  /** Saves and closes all models. Open queries fail with CLOSED. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#timer?.close()
    for (const { end } of this.#slots.values()) end.abort(new ApproxiferError('CLOSED', 'the gateway is closed'))
    const drained = [...this.#draining].map(({ predictor }) => predictor.close()) // at once: their open requests would delay the close
    await this.#forAll(async (name, slot) => {
      await this.#saveOrWarn(name, slot)
      await slot.served?.predictor.close()
    })
    await Promise.allSettled(drained)
  }

  async #forAll(work: (name: string, slot: Slot) => Promise<void>): Promise<void> {
    await Promise.all([...this.#slots].map(([name, slot]) => this.#inTurn(name, () => work(name, slot))))
  }

  /** Runs `work` on a name after all earlier work on that name. */
  #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#work.get(name) ?? Promise.resolve()
    const done = before.catch(() => {}).then(work)
    const forget = () => {
      if (this.#work.get(name) === done) this.#work.delete(name)
    }
    this.#work.set(name, done)
    done.then(forget, forget)
    return done
  }
}

/** Counts requests under way, in all and by client. */
export class InFlight {
  count = 0
  /** Requests that have ended. */
  finished = 0
  readonly #waiting: (() => void)[] = []
  readonly #byClient = new Map<string, number>()

  constructor(private readonly onEnd: () => void = () => {}) {}

  of(client: string): number {
    return this.#byClient.get(client) ?? 0
  }

  /** Counts a request. @returns a function to call once when the request is answered */
  enter(client?: string): () => void {
    this.count++
    if (client) this.#byClient.set(client, this.of(client) + 1)
    return () => {
      if (client) this.#leave(client)
      this.finished++
      if (--this.count === 0) for (const wake of this.#waiting.splice(0)) wake()
      this.onEnd()
    }
  }

  #leave(client: string): void {
    const left = this.of(client) - 1
    if (left) this.#byClient.set(client, left)
    else this.#byClient.delete(client)
  }

  /** Resolves when no request is under way. */
  async ended(): Promise<void> {
    if (this.count) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}
