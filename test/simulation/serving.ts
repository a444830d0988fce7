/** What serves queries in the simulation: a predictor, alone or behind a gateway. */

import type { Prediction } from '../../src/base/prediction'
import { seeded } from '../../src/base/random'
import type { ModelVersionReport } from '../../src/events'
import { createGateway, type GatewayModel } from '../../src/gateway/create'
import type { Gateway } from '../../src/gateway/gateway'
import { createPredictor } from '../../src/predictor/create'
import type { PredictOptions, PredictorOptions } from '../../src/predictor/options'
import type { Predictor } from '../../src/predictor/predictor'
import type { PredictorStats } from '../../src/predictor/stats'
import { SimulatedThread } from '../../src/testing/simulated-thread'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import type { WorkerChanges } from '../../src/workers/worker'
import { HeardEvents, models, type Recall, recalls, together, type Verdict, verdicts } from '../shared/heard-events'
import { Disk, type Found } from './disk'
import { dataOf, textsOf } from './elements'
import { learned } from './learned'
import { MOST_BYTES } from './requests'
import { type Event, type Schedule, threadDraw } from './schedule'
import type { Transport } from './transport'

/** Steps in which workers are waited for, at the start and where all is well again; and the longest wait. */
const STEP_MS = 50
const LONGEST_MS = 20_000

/** What became of a start that had something to read. */
export interface Restarted {
  state: 'none' | 'whole' | 'torn'
  /** Whether a warning said that it was not taken. */
  isRefused: boolean
  ejected: readonly string[]
  /** Those of them that are there and of whom it says nothing of the kind. */
  forgotten: readonly string[]
}

/** Who was ejected is still, and who is believed that was. */
interface Taken {
  ejected: readonly string[]
  forgotten: readonly string[]
}

/** What becomes of a gateway's model. */
export type Loads =
  | { what: 'loads' | 'closes' | 'closed' }
  | ({ what: 'loaded'; version: string } & Taken)
  | { what: 'unloads'; unload: number }
  | { what: 'unloaded'; unload: number }

export class Serving {
  isUp = false
  readonly disk: Disk | undefined
  #gateway: Gateway<GatewayModel> | undefined
  /** All that there were: the last one serves. */
  readonly #predictors: Predictor[] = []
  /** Starts so far, which of them serves, and those of a gateway's model that are under way. */
  readonly #starts = { count: 0, serving: 0, loading: 0 }
  #known: Pick<PredictorOptions, 'memory'> = {}
  #warnings: string[] = []
  /** Of each predictor: queries are numbered anew there. */
  readonly #heard: HeardEvents[] = []

  constructor(
    private readonly schedule: Schedule,
    private readonly clock: VirtualClock,
    private readonly transport: Transport,
    private readonly told: {
      /** @param serves  whether it is that of what serves */
      verdict(verdict: Verdict, serves: boolean): void
      ejected(): readonly string[]
      recalled(recall: Recall): void
      /** @param report  its id says of which start */
      fares(report: ModelVersionReport): void
      loads(entry: Loads): void
    },
  ) {
    const { wire, seed } = schedule
    if (wire?.disk) this.disk = new Disk(clock, seed, wire.disk, told.ejected)
  }

  get gateway(): Gateway<GatewayModel> {
    return this.#gateway as Gateway<GatewayModel>
  }

  get predictor(): Predictor | undefined {
    return this.#predictors.at(-1)
  }

  /** By number: where two have one fleet they are asked by turns. */
  #predictorFor(query: number): Predictor {
    const { isShared } = this.schedule
    return this.#predictors.at(isShared ? query % 2 : -1) as Predictor
  }

  /** Starts it, and lets as much time pass as that takes. */
  async start(): Promise<void> {
    if (this.schedule.options.reuse?.maxError !== undefined || this.schedule.isTaught)
      this.#known = { memory: { state: await learned() } }
    let failure: { error: unknown } | undefined
    const started = this.#started().catch((error) => (failure = { error }))
    if (this.schedule.wire) await this.#until(() => this.isUp || failure !== undefined)
    await started
    if (failure) throw failure.error
  }

  /** Where every server is wrong just then, or out of reach, a start fails: it is tried again, as whoever watches a process does. */
  async #started(): Promise<void> {
    const start = () => (this.schedule.wire?.isServed ? this.#startGateway() : this.#startAlone())
    const isUp = () => start().then(() => true, (error) => (error.code === 'WORKER' ? false : Promise.reject(error))) // biome-ignore format: one line
    while (!(await isUp())) await new Promise<void>((again) => this.clock.after(STEP_MS, again))
    this.isUp = true
    if (this.disk && !this.schedule.wire?.isServed) this.#saveLater(this.predictor as Predictor)
  }

  /** Of half of the seeds the memory is in a thread; of a quarter of these it dies sooner or later, or its messages are lost. */
  #memoryThread(seed: number): SimulatedThread['spawn'] | undefined {
    const random = threadDraw(seed)
    if (!random) return undefined
    const { clock } = this
    const thread = new SimulatedThread(clock, {
      lookUp: 0.2,
      comparing: 0.3,
      step: 0.1,
      way: random.next(),
    })
    const trouble = random.next()
    if (trouble < 0.15) clock.after(3000 * random.next(), () => thread.die('died'))
    else if (trouble < 0.25) thread.isLost = () => random.next() < 0.3
    return thread.spawn
  }

  async #startAlone(): Promise<void> {
    const state = await this.disk?.read('')
    const { memory: options } = this.schedule.options
    const memory = state ? { memory: { ...(options ?? { bytes: 0 }), state } } : {}
    const start = () =>
      this.#starting(async (options) => void this.#predictors.push(await createPredictor({ ...options, ...memory })))
    await start()
    if (this.schedule.isShared) await start()
  }

  async #startGateway(): Promise<void> {
    await this.#starting(async (model, version) => {
      this.#gateway = createGateway({
        models: { m: Object.assign(model, { version }) },
        ...{ clock: this.clock, maxBytes: MOST_BYTES, maxTotalBytes: MOST_BYTES, onWarning: this.#warn },
        ...(this.schedule.wire?.callers.packs && { packFrom: 300 }),
        ...(this.disk && { store: this.disk, saveEveryMs: this.schedule.wire?.disk?.saveEveryMs as number }),
      })
      await this.#gateway.ready()
      this.#predictors.push(this.#gateway.predictor('m'))
      this.told.loads({ what: 'loaded', version, ejected: [], forgotten: [] })
    })
  }

  /** Loads the gateway's model, or replaces it. @param fails  since it has an option that there is not */
  async load(fails: boolean): Promise<void> {
    const before = this.#toTake()
    this.#starts.loading++
    this.told.loads({ what: 'loads' })
    try {
      await this.#starting(async (model, version) => {
        await this.gateway.load('m', Object.assign(model, { version }, fails && { hope: true }))
        this.#predictors.push(this.gateway.predictor('m'))
        this.told.loads({ what: 'loaded', version, ...this.#taken(before()) })
      })
    } catch {
      // As it is to, or the gateway closed meanwhile.
    }
    this.#starts.loading--
  }

  /** Who is ejected, as the one that is to start will be told: by the one that serves, else by the disk. Not known where others start, too. */
  #toTake(): () => readonly string[] {
    if (this.#starts.loading) return () => []
    this.#warnings = []
    const { disk, told } = this
    if (disk) disk.lastRead = undefined
    const ejected = this.#isServed ? told.ejected() : []
    return () => disk?.lastRead?.ejected ?? ejected.filter((each) => told.ejected().includes(each))
  }

  get #isServed(): boolean {
    return this.gateway.names.includes('m') && !this.predictor?.isClosed
  }

  async unload(): Promise<void> {
    if (!this.gateway.names.includes('m')) return
    const unload = this.#starts.count
    this.told.loads({ what: 'unloads', unload })
    await this.gateway.unload('m')
    this.told.loads({ what: 'unloaded', unload })
  }

  readonly #warn = (text: string) => void this.#warnings.push(text)

  /** Time stands still while modules are loaded: from when options are read until workers are asked for. */
  async #starting(start: (options: PredictorOptions, version: string) => Promise<void>): Promise<void> {
    const { options, seed, element } = this.schedule
    const { clock, transport, told } = this
    const place = ++this.#starts.count
    const heard = new HeardEvents(false)
    this.#heard.push(heard)
    let [release, isApart] = [() => {}, false]
    const workers: WorkerChanges = {
      apart() {
        isApart = true
      },
      [Symbol.asyncIterator]() {
        release()
        const changes = transport.connect()
        if (isApart) changes.apart?.()
        return changes[Symbol.asyncIterator]()
      },
    }
    const all = {
      ...options,
      ...this.#known,
      ...(!element && { right: 'label' as const }), // of other elements nothing is learned
      testing: { clock, seed, coin: seeded(seed).next, memoryThread: this.#memoryThread(seed) },
      onWarning: this.#warn,
      onEvent: together(
        heard.onEvent,
        verdicts((verdict) => told.verdict(verdict, place >= this.#starts.serving)),
        models((report) => options.rollout && told.fares({ ...report, id: `${place} ${report.id}` })),
        recalls((recall) => options.verify?.mode === 'sampled' && told.recalled(recall)),
      ),
      get workers() {
        release()
        release = holding(clock)
        return workers
      },
    }
    try {
      await start(all, String(place))
      this.#starts.serving = place
    } finally {
      release()
    }
  }

  /** What a user of a predictor alone does. */
  #saveLater(predictor: Predictor): void {
    this.clock.after(this.schedule.wire?.disk?.saveEveryMs as number, () => {
      if (predictor.isClosed) return
      if (predictor.tenants.length && this.disk)
        void predictor
          .save()
          .then((state) => this.disk?.write('', state))
          .catch(() => {})
      this.#saveLater(predictor)
    })
  }

  /** Its process ends, or is killed, and another begins. */
  async restart(isKilled: boolean, found: Found): Promise<Restarted | undefined> {
    if (!this.isUp) return undefined
    this.isUp = false
    if (isKilled) this.disk?.kill()
    this.told.loads({ what: 'closes' })
    await this.#close()
    this.told.loads({ what: 'closed' })
    const disk = this.disk as Disk
    Object.assign(disk, { next: found, lastRead: undefined })
    this.#warnings = []
    await this.#started()
    const { lastRead } = disk
    const state = lastRead ? (lastRead.isWhole ? 'whole' : 'torn') : 'none'
    const { isRefused, before, forgotten } = this.#taken(lastRead?.isWhole ? lastRead.ejected : [])
    return { state, isRefused, ejected: before, forgotten }
  }

  /** @param told  who was ejected by what it was told */
  #taken(told: readonly string[]) {
    const isRefused = this.#warnings.some((text) => /without what was learned|nothing is taken over/.test(text))
    const before = isRefused ? [] : told
    const { workers } = (this.predictor as Predictor).stats()
    const named = workers.map(({ identity, rightAnswersLeft: left }) => ({ identity: this.transport.identityOf(identity), isFree: !left })) // biome-ignore format: one line
    const believed = new Set(named.flatMap(({ identity, isFree }) => (isFree ? identity : [])))
    const others = named.flatMap(({ identity, isFree }) => (isFree || before.includes(identity) ? [] : identity))
    const forgotten = before.filter((identity) => believed.has(identity))
    return { isRefused, before, forgotten, ejected: [...before, ...others] }
  }

  async #close(): Promise<void> {
    const others = this.schedule.isShared ? this.#predictors.slice(0, -1) : []
    for (const other of others) await other.close()
    await (this.#gateway ?? (this.predictor as Predictor)).close()
  }

  async #until(is: () => boolean): Promise<void> {
    const end = this.clock.now() + LONGEST_MS
    while (!is() && this.clock.now() < end) await this.clock.run(this.clock.now() + STEP_MS)
  }

  /** @param number  of the query */
  predict(number: number, row: Float32Array, options: PredictOptions): Promise<Prediction> {
    return this.#predictorFor(number).predict(this.#queryOf(row), options)
  }

  predictAll(number: number, rows: readonly Float32Array[], options: PredictOptions): Promise<Prediction[]> {
    return this.#predictorFor(number).predictAll(rows.map((row) => this.#queryOf(row)), options) // biome-ignore format: one line
  }

  #queryOf(row: Float32Array) {
    const { element } = this.schedule
    return element ? { x: row, z: dataOf(element, textsOf(element, row)) } : row
  }

  /** Lets time pass until it is up, and all that are there can be reached. @returns those that cannot */
  async well(names: ReadonlySet<string>): Promise<string[]> {
    const { wire } = this.schedule
    if (!wire) return []
    await this.#until(() => this.isUp && !this.#starts.loading)
    for (let isOver = false; wire.isServed && !this.#isServed && !isOver; ) {
      void this.load(false).then(() => {
        isOver = true
      })
      await this.#until(() => isOver)
    }
    if (wire.transport === 'direct') return []
    const missing = () => {
      const predictor = this.predictor as Predictor
      const gathered = predictor.modelVersions().reduce((sum, { workers }) => sum + workers, 0)
      if (predictor.modelVersions().length > 1 && gathered >= names.size) return [] // those of a model on trial have no names
      const here = predictor.stats().workers.filter(({ gone }) => !gone)
      const known = new Set(here.map(({ worker }) => this.transport.nameOf(worker)))
      return [...names].filter((name) => !known.has(name))
    }
    await this.#until(() => !missing().length)
    return missing()
  }

  /** Where nobody has the model that serves, and the one that all have was refused, it is an operator's to decide. */
  get isStuck(): boolean {
    const [serving, ...others] = this.predictor?.modelVersions() ?? []
    return serving?.workers === 0 && others.some(({ state }) => state === 'refused')
  }

  /** Ends it. @returns what is left to say of it */
  async end(): Promise<{ sent: number; ended: number | undefined; unended: number }> {
    let isClosed = false
    void this.#close().then(() => (isClosed = true))
    await this.#until(() => isClosed)
    const all = this.#predictors.map((predictor) => predictor.stats())
    const ended = all.reduce((sum, stats) => sum + endedOf(stats), 0)
    const sent = all.reduce((sum, { hedges }) => sum + hedges.sent, 0)
    const { wire, events } = this.schedule
    const isPart = (event: Event) => event.what === 'restart' || (event.what === 'ask' && event.isTogether)
    const isAll = !events.some(isPart) && !(wire?.callers.batches && wire.isServed)
    return { sent, ended: isAll ? ended : undefined, unended: this.#heard.reduce((sum, each) => sum + each.unended, 0) }
  }
}

function endedOf({ exact, checked, recovered, remembered, unverified, audited, failed }: PredictorStats): number {
  const answered = exact + checked + recovered + remembered + unverified + audited
  return Object.values(failed).reduce((sum, n) => sum + n, answered)
}

/** Modules are loaded by then. */
const LOADED_MS = 3000

/**
 * Stops time. A start that fails before it asks for workers may have to wait for time itself, for another model that is saved: nothing happens meanwhile,
 * so that how long that takes changes no history.
 *
 * @returns lets it go on, however often it is called
 */
function holding(clock: VirtualClock): () => void {
  const release = clock.hold()
  let isHeld = true
  const go = () => {
    clearTimeout(timer)
    if (isHeld) release()
    isHeld = false
  }
  const timer = setTimeout(go, LOADED_MS)
  return go
}
