/** What serves queries in the simulation: a predictor, alone or behind a gateway. */

import type { Prediction, PredictOptions } from 'approxifer'
import { createGateway, type GatewayModel } from '../../src/gateway/create'
import type { Gateway } from '../../src/gateway/gateway'
import { createPredictor } from '../../src/predictor/create'
import type { Predictor } from '../../src/predictor/predictor'
import type { GroupReport } from '../../src/query/report'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import type { Verdict } from '../../src/trust/reputation'
import type { WorkerChanges } from '../../src/workers/worker'
import { MOST_BYTES } from './requests'
import type { Schedule } from './schedule'
import type { Transport } from './transport'

/** Steps in which workers are waited for, at the start and where all is well again; and the longest wait. */
const STEP_MS = 50
const LONGEST_MS = 20_000

export class Serving {
  predictor: Predictor | undefined
  #gateway: Gateway<GatewayModel> | undefined
  #unreported = 0

  constructor(
    private readonly schedule: Schedule,
    private readonly clock: VirtualClock,
    private readonly transport: Transport,
    private readonly told: { verdict(verdict: Verdict): void },
  ) {}

  get gateway(): Gateway<GatewayModel> {
    return this.#gateway as Gateway<GatewayModel>
  }

  /** Starts it, and lets as much time pass as that takes. */
  async start(): Promise<void> {
    let outcome: Error | 'started' | undefined
    const { workers, asked } = watched(this.transport.connect())
    const started = this.#start(workers).then(() => (outcome = 'started'), (error) => (outcome = error)) // biome-ignore format: one line
    await Promise.race([asked, started]) // modules are loaded in real time
    if (this.schedule.wire) await this.#until(() => outcome !== undefined)
    else await started
    if (outcome !== 'started') throw outcome ?? new Error('it has not started')
  }

  async #start(workers: WorkerChanges): Promise<void> {
    const { options, seed, wire } = this.schedule
    const onVerdict = (verdict: Verdict) => this.told.verdict(verdict)
    const testing = { clock: this.clock, seed }
    const all = { ...options, workers, testing, onWarning() {}, onVerdict }
    if (!wire?.isServed) {
      this.predictor = await createPredictor(all)
      return
    }
    this.#gateway = createGateway({
      models: { m: all as GatewayModel },
      clock: this.clock,
      maxBytes: MOST_BYTES,
      maxTotalBytes: MOST_BYTES,
      onWarning() {},
      observe: ({ groups }) => groups.forEach((group) => this.#reports(group)),
    })
    await this.#gateway.ready()
    this.predictor = this.#gateway.predictor('m')
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

  /** Lets time pass until all that are there can be reached. */
  async well(names: ReadonlySet<string>): Promise<void> {
    if (!this.schedule.wire || this.schedule.wire.transport === 'direct') return
    const here = () => (this.predictor as Predictor).stats().workers.filter(({ gone }) => !gone)
    await this.#until(() => names.size === new Set(here().map(({ worker }) => this.transport.nameOf(worker))).size)
  }

  /** Ends it. @returns what is left to say of it */
  async end(): Promise<{ sent: number; ended: number | undefined; unreported: number }> {
    const { exact, checked, recovered, unverified, failed, hedges } = (this.predictor as Predictor).stats()
    const ended = exact + checked + recovered + unverified + Object.values(failed).reduce((sum, n) => sum + n, 0)
    await (this.#gateway ?? (this.predictor as Predictor)).close()
    const counts = !this.schedule.wire?.callers.batches || !this.#gateway
    return { sent: hedges.sent, ended: counts ? ended : undefined, unreported: this.#unreported }
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
