/** What serves queries in the simulation: a predictor, alone or behind a gateway. */

import type { Prediction, PredictOptions } from 'approxifer'
import { createGateway, type GatewayModel } from '../../src/gateway/create'
import type { Gateway } from '../../src/gateway/gateway'
import { createPredictor } from '../../src/predictor/create'
import type { Predictor } from '../../src/predictor/predictor'
import type { GroupReport } from '../../src/query/prediction'
import { seeded } from '../../src/random'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import type { Verdict } from '../../src/trust/reputation'
import type { Recall } from '../../src/trust/sampling'
import type { WorkerChanges } from '../../src/workers/worker'
import { Disk, type Found } from './disk'
import { learned } from './learned'
import { MOST_BYTES } from './requests'
import type { Schedule } from './schedule'
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

export class Serving {
  predictor: Predictor | undefined
  isUp = false
  readonly disk: Disk | undefined
  #gateway: Gateway<GatewayModel> | undefined
  #warnings: string[] = []
  #unreported = 0
  /** Of predictors that were closed. */
  #sent = 0

  constructor(
    private readonly schedule: Schedule,
    private readonly clock: VirtualClock,
    private readonly transport: Transport,
    private readonly told: {
      verdict(verdict: Verdict): void
      ejected(): readonly string[]
      recalled(recall: Recall): void
    },
  ) {
    const { wire, seed } = schedule
    if (wire?.disk) this.disk = new Disk(clock, seed, wire.disk, told.ejected)
  }

  get gateway(): Gateway<GatewayModel> {
    return this.#gateway as Gateway<GatewayModel>
  }

  /** Starts it, and lets as much time pass as that takes. */
  async start(): Promise<void> {
    const started = this.#started()
    if (this.schedule.wire) await this.#until(() => this.isUp)
    await started
  }

  /** Time stands still while modules are loaded: from when the disk has been read until workers are asked for. */
  async #started(): Promise<void> {
    const { workers, asked } = watched(this.transport.connect())
    let release: (() => void) | undefined
    const hold = () => {
      release ??= this.clock.hold()
    }
    if (this.disk) this.disk.onRead = hold
    else hold()
    const starting = this.#start(workers)
    await Promise.race([asked, starting.catch(() => {})])
    release?.()
    await starting
    this.isUp = true
    if (this.disk && !this.schedule.wire?.isServed) this.#saveLater(this.predictor as Predictor)
  }

  async #start(workers: WorkerChanges): Promise<void> {
    const { options, seed, wire } = this.schedule
    const onVerdict = (verdict: Verdict) => this.told.verdict(verdict)
    const onWarning = (text: string) => void this.#warnings.push(text)
    const known = options.reuse?.maxError !== undefined && {
      memory: { state: await learned(), unfit: 'forget' as const },
    }
    const all = {
      ...options,
      ...known,
      workers,
      testing: { clock: this.clock, seed, coin: seeded(seed).next },
      onWarning,
      onVerdict,
      ...(options.verify?.mode === 'sampled' && { onRecall: (recall: Recall) => this.told.recalled(recall) }),
    }
    if (!wire?.isServed) {
      const state = await this.disk?.read('')
      const memory = state ? { memory: { ...(options.memory ?? { bytes: 0 }), state, unfit: 'forget' as const } } : {}
      this.predictor = await createPredictor({ ...all, ...memory })
      return
    }
    this.#gateway = createGateway({
      models: { m: all as GatewayModel },
      ...{ clock: this.clock, maxBytes: MOST_BYTES, maxTotalBytes: MOST_BYTES, onWarning },
      ...(this.disk && { store: this.disk, saveEveryMs: wire.disk?.saveEveryMs as number }),
      observe: ({ groups }) => groups.forEach((group) => this.#reports(group)),
    })
    await this.#gateway.ready()
    this.predictor = this.#gateway.predictor('m')
  }

  /** What a user of a predictor alone does. */
  #saveLater(predictor: Predictor): void {
    this.clock.after(this.schedule.wire?.disk?.saveEveryMs as number, () => {
      if (predictor.isClosed) return
      if (predictor.tenants.length) void this.disk?.write('', predictor.save()).catch(() => {})
      this.#saveLater(predictor)
    })
  }

  /** Its process ends, or is killed, and another begins. */
  async restart(isKilled: boolean, found: Found): Promise<Restarted | undefined> {
    if (!this.isUp) return undefined
    this.isUp = false
    if (isKilled) this.disk?.kill()
    await this.#close()
    const disk = this.disk as Disk
    Object.assign(disk, { next: found, lastRead: undefined })
    this.#warnings = []
    // Where every server is wrong just then a start fails: it is tried again, as whoever watches a process does.
    while (!(await this.#started().then(() => true, () => false))) await new Promise<void>((again) => this.clock.after(STEP_MS, again)) // biome-ignore format: one line
    const { lastRead } = disk
    const isRefused = this.#warnings.some((text) => /without what was learned|nothing is taken over/.test(text))
    const state = lastRead ? (lastRead.isWhole ? 'whole' : 'torn') : 'none'
    const ejected = lastRead?.isWhole && !isRefused ? lastRead.ejected : []
    const free = (this.predictor as Predictor).stats().workers.filter(({ rightAnswersLeft }) => !rightAnswersLeft)
    const believed = new Set(free.map(({ identity }) => this.transport.identityOf(identity)))
    return { state, isRefused, ejected, forgotten: ejected.filter((identity) => believed.has(identity)) }
  }

  async #close(): Promise<void> {
    this.#sent += (this.predictor as Predictor).stats().hedges.sent
    await (this.#gateway ?? (this.predictor as Predictor)).close()
  }

  async #until(is: () => boolean): Promise<void> {
    const end = this.clock.now() + LONGEST_MS
    while (!is() && this.clock.now() < end) await this.clock.run(this.clock.now() + STEP_MS)
  }

  predict(row: Float32Array, options: PredictOptions): Promise<Prediction> {
    const given = (this.predictor as Predictor).predict(row, options)
    void given.then(({ group }) => this.#reports(group), () => {}) // biome-ignore format: one line
    return given
  }

  #reports(group: Promise<GroupReport>): void {
    this.#unreported++
    void group.then(() => this.#unreported--)
  }

  /** Lets time pass until it is up, and all that are there can be reached. @returns those that cannot */
  async well(names: ReadonlySet<string>): Promise<string[]> {
    const { wire } = this.schedule
    if (!wire) return []
    await this.#until(() => this.isUp)
    if (wire.transport === 'direct') return []
    const missing = () => {
      const here = (this.predictor as Predictor).stats().workers.filter(({ gone }) => !gone)
      const known = new Set(here.map(({ worker }) => this.transport.nameOf(worker)))
      return [...names].filter((name) => !known.has(name))
    }
    await this.#until(() => !missing().length)
    return missing()
  }

  /** Ends it. @returns what is left to say of it */
  async end(): Promise<{ sent: number; ended: number | undefined; unreported: number }> {
    const { exact, checked, recovered, unasked, unverified, audited, failed } = (this.predictor as Predictor).stats()
    const ended =
      exact +
      checked +
      recovered +
      unasked +
      unverified +
      audited +
      Object.values(failed).reduce((sum, n) => sum + n, 0)
    let isClosed = false
    void this.#close().then(() => (isClosed = true))
    await this.#until(() => isClosed)
    const { wire, events } = this.schedule
    const isAll = !events.some(({ what }) => what === 'restart') && !(wire?.callers.batches && wire.isServed)
    return { sent: this.#sent, ended: isAll ? ended : undefined, unreported: this.#unreported }
  }
}

/** @returns the same, and when they are asked for, which is when all that takes real time at a start is over */
function watched(workers: WorkerChanges): { workers: WorkerChanges; asked: Promise<void> } {
  let tell = () => {}
  const asked = new Promise<void>((resolve) => {
    tell = resolve
  })
  const watching = {
    most: workers.most,
    [Symbol.asyncIterator]() {
      tell()
      return workers[Symbol.asyncIterator]()
    },
  }
  return { workers: watching, asked }
}
