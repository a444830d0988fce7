/** Queries that arrive by themselves at simulated workers (Poisson), and the tail of what they take. */

import { type Random, seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { type ServiceTime, SimulatedWorker } from './simulated'

/** In ms. */
export interface Tail {
  p50: number
  p99: number
  p999: number
  /** Machine time per query. */
  machineMs: number
}
export const measures = ['p50', 'p99', 'p999', 'machineMs'] as const

export interface System {
  ask(query: Float32Array): Promise<unknown>
  close?(): Promise<void>
}
export type Start = (clock: VirtualClock, workers: SimulatedWorker[]) => Promise<System>

export interface Arrivals {
  /** @param spanMs  how long the arrivals go on, on average */
  law(random: Random, workers: number, spanMs: number): ServiceTime
  /** What an answer takes on average, which the arrivals are reckoned by. */
  meanMs: number
  /** How many times the mean rate queries arrive at, at a time. Default: always once. */
  rate?: ((random: Random) => (now: number) => number) | undefined
  workers: number
  load: number
  seed: number
  queries: number
  /** The first, which are not counted. */
  warmUp?: number
  /** Values in a query. */
  width: number
  /** Whether an abort frees a worker. */
  interruptible?: boolean
}

export async function tailOf(arrivals: Arrivals, start: Start): Promise<Tail> {
  const { law, meanMs, workers: count, load, seed, queries, warmUp = 0, width, interruptible = false } = arrivals
  const gapMs = meanMs / (load * count)
  const rate = arrivals.rate?.(seeded(seed + 2)) ?? (() => 1)
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(seed), seeded(seed + 1)]
  const simulation = {
    clock,
    serviceMs: law(serving, count, queries * gapMs),
    answer: (row: Float32Array) => row.slice(),
    interruptible,
    signature: { inputs: [{ name: 'x', shape: [width] }], outputs: [{ name: 'y', shape: [width] }] },
  }
  const workers = Array.from({ length: count }, (_, i) => new SimulatedWorker(i, simulation))
  const system = await start(clock, workers)
  const times: number[] = []
  let asked = 0
  const arrive = () => {
    const since = clock.now()
    const isCounted = ++asked > warmUp
    const done = () => isCounted && times.push(clock.now() - since)
    const query = Float32Array.from({ length: width }, () => arriving.gauss())
    system.ask(query).then(done, () => times.push(Number.POSITIVE_INFINITY))
    if (asked < queries) clock.after((-Math.log(1 - arriving.next()) * gapMs) / rate(clock.now()), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  await system.close?.()
  const sorted = times.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const machineMs = workers.reduce((sum, { workedMs }) => sum + workedMs, 0) / queries
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), machineMs }
}
