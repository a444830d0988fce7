/** One run of bench windows: callers, or arrivals, at servers behind a round trip that answer some calls at once and let the others wait. */

import { createPredictor, type ModelWorker } from 'approxifer'
import type { Clock } from '../../src/base/clock'
import { type Random, seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { MeasuredWindow } from '../../src/workers/remote/window'

export const SERVERS = 4
const MOST = 256
const WARM_UP_MS = 5000
const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }

export interface ServerOptions {
  clock: Clock
  /** On the way, there and back, and at work, on average and the deviation of its logarithm. */
  roundTripMs: number
  inferenceMs: number
  deviation: number
  /** Calls that it answers at once. */
  atOnce: number
  random: Random
}

/** Calls beyond those wait at the server, first come, first served. */
export class QueueingServer implements ModelWorker {
  onFree: (() => void) | undefined
  readonly signature = signature
  readonly name: string
  open = 0
  mostOpen = 0
  atOnce: number
  readonly #window: MeasuredWindow | undefined
  readonly #waiting: (() => void)[] = []
  #busy = 0

  /** @param told  calls that it is said to take; undefined: nothing is said */
  constructor(
    index: number,
    readonly options: ServerOptions,
    readonly told?: number,
  ) {
    this.name = `server ${index}`
    this.#window = told === undefined ? new MeasuredWindow(MOST) : undefined
    this.atOnce = options.atOnce
  }

  get slots(): number {
    return this.#window?.limit ?? this.told ?? 1
  }

  get free(): boolean {
    return this.open < this.slots
  }

  async infer(query: TensorList): Promise<TensorList> {
    const { clock, roundTripMs, inferenceMs, deviation, random } = this.options
    const pass = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve))
    this.open++
    const call = this.#window?.begin(clock.now())
    this.mostOpen = Math.max(this.mostOpen, this.open)
    await pass(roundTripMs / 2)
    if (this.#busy >= this.atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#busy++
    await pass(inferenceMs * Math.exp(deviation * random.gauss() - deviation ** 2 / 2))
    this.#busy--
    if (this.#busy < this.atOnce) this.#waiting.shift()?.()
    await pass(roundTripMs / 2)
    this.open--
    if (call) this.#window?.end(call, clock.now(), true)
    return [{ data: query[0].data.slice() as Float32Array, shape: query[0].shape }]
  }

  async close(): Promise<void> {}
}

interface System {
  ask(query: Float32Array): Promise<unknown>
  windows(): number[]
  close(): Promise<void>
}

/** Each query goes to whichever server has the fewest open, where none has room as soon as one has. */
function byHand(workers: readonly QueueingServer[]): System {
  const waiting: (() => void)[] = []
  const ask = async (data: Float32Array) => {
    let least = workers.reduce((a, b) => (b.open < a.open ? b : a))
    if (!least.free) {
      await new Promise<void>((resolve) => waiting.push(resolve))
      least = workers.reduce((a, b) => (b.open < a.open ? b : a))
    }
    await least.infer([{ data, shape: [1] }])
    waiting.shift()?.()
  }
  return { ask, windows: () => workers.map(({ slots }) => slots), close: async () => {} }
}

async function served(clock: Clock, workers: QueueingServer[]): Promise<System> {
  const predictor = await createPredictor({ workers, testing: { clock }, limits: { queries: 1e6 }, onWarning() {} })
  const ask = (query: Float32Array) => predictor.predict(query, { deadlineMs: 1e6 })
  const windows = () => workers.map(({ slots }) => slots)
  return { ask, windows, close: () => predictor.close() }
}

export interface Job {
  roundTripMs: number
  inferenceMs: number
  deviation: number
  atOnce: number
  /** Callers, each of which asks again when it has its answer; or the load of queries that come by themselves. */
  callers?: number
  load?: number
  system: 'by hand' | 'told' | 'untold'
  seed: number
  /** That are counted, after the first ones. */
  queries: number
}

export interface Figures {
  perSecond: number
  p50: number
  p99: number
  /** The windows in the end. */
  windows: number[]
}

/** As many as a server is at work on while one is on its way. */
export const rightWindow = ({ roundTripMs, inferenceMs, atOnce }: Job) =>
  Math.min(MOST, Math.ceil(atOnce * (1 + roundTripMs / inferenceMs)))

/** Queries a millisecond that the servers answer at most, or as many callers ask. */
function mostPerMs({ callers = Number.POSITIVE_INFINITY, roundTripMs, inferenceMs, atOnce }: Job): number {
  const ms = roundTripMs + inferenceMs
  return Math.min((SERVERS * atOnce) / inferenceMs, (SERVERS * MOST) / ms, callers / ms)
}

export async function simulate(job: Job): Promise<Figures> {
  const { callers, load = 1, system: name, seed } = job
  const clock = new VirtualClock()
  const told = name === 'untold' ? undefined : rightWindow(job)
  const random = seeded(seed + 1)
  const workers = Array.from({ length: SERVERS }, (_, i) => new QueueingServer(i, { ...job, clock, random }, told))
  const system = name === 'by hand' ? byHand(workers) : await served(clock, workers)
  const times: number[] = []
  const perMs = load * mostPerMs(job)
  const warmUp = Math.max(2000, Math.round(WARM_UP_MS * perMs)) // windows settle
  const queries = warmUp + job.queries
  let [asked, from, until] = [0, 0, 0]
  const arriving = seeded(seed)
  const ask = async () => {
    const since = clock.now()
    const isCounted = ++asked > warmUp
    if (asked === warmUp) from = since
    await system.ask(Float32Array.of(arriving.gauss()))
    until = clock.now()
    if (isCounted) times.push(clock.now() - since)
  }
  const call = async () => {
    while (asked < queries) await ask()
  }
  const arrive = () => {
    void ask()
    if (asked < queries) clock.after(-Math.log(1 - arriving.next()) / perMs, arrive)
  }
  if (callers) for (let i = 0; i < callers; i++) void call()
  else clock.after(0, arrive)
  await clock.run()
  const windows = system.windows()
  await system.close()
  const sorted = times.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  return { perSecond: (1000 * job.queries) / (until - from), p50: at(0.5), p99: at(0.99), windows }
}
