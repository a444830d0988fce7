/**
 * npm run bench -- simulate [--json]: the tail at equal machines, in made time. 27 workers, Poisson arrivals, answers of
 * about 10 ms with two kinds of trouble; the predictor's policies beside what a good engineer would write by hand, with
 * the same arrivals: a queue in front of idle workers, and the same with hedged requests (at the running 95th
 * percentile, to another worker, at most one query in ten). Memory off: this is about dispatch.
 */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { table } from '../src/cli/table'
import { type Random, seeded } from '../src/random'
import type { Clock } from '../src/serving/clock'
import { Lateness } from '../src/serving/lateness'
import { VirtualClock } from '../src/serving/virtual-clock'
import { type Law, randomTrouble, type Shop, SimulatedWorker, wanderingTrouble } from './simulated'

const WORKERS = 27
const QUERIES = 20_000

interface Trouble {
  name: string
  law(random: Random): Law
  /** What an answer takes on average, the trouble included. */
  meanMs: number
  loads: number[]
}

const troubles: Trouble[] = [
  { name: 'random', law: randomTrouble, meanMs: 11.8, loads: [0.3, 0.6, 0.8] },
  { name: 'wandering', law: (random) => wanderingTrouble(random, WORKERS), meanMs: 13, loads: [0.6, 0.8] },
]

type Ask = (query: Float32Array) => Promise<unknown>
type System = (clock: VirtualClock, workers: SimulatedWorker[]) => Promise<{ ask: Ask; close?(): Promise<void> }>

/** One queue, whoever is idle; and, with `hedged`, a second request for what is late. */
class ByHand {
  readonly #clock: Clock
  readonly #idle: SimulatedWorker[]
  readonly #waiting: ((worker: SimulatedWorker) => void)[] = []
  readonly #lateness: Lateness | undefined

  constructor(clock: Clock, workers: readonly SimulatedWorker[], hedged: boolean) {
    this.#clock = clock
    this.#idle = [...workers]
    this.#lateness = hedged ? new Lateness() : undefined
    for (const worker of workers) worker.onFree = () => this.#free(worker)
  }

  ask(query: Float32Array): Promise<unknown> {
    return new Promise((resolve) => {
      const start = this.#clock.now()
      let done = false
      const send = (first: boolean) =>
        this.#take((worker) => {
          if (done) return this.#free(worker) // a hedge that is no longer wanted
          if (first) late()
          void worker.infer(query).then((answer) => {
            if (first) this.#lateness?.see(this.#clock.now() - start)
            done = true
            resolve(answer)
          })
        })
      const late = () => {
        const lateMs = this.#lateness?.lateMs
        if (lateMs === undefined) return
        this.#clock.after(Math.max(0, start + lateMs - this.#clock.now()), () => {
          if (!done && this.#lateness?.allow()) send(false)
        })
      }
      send(true)
    })
  }

  #take(use: (worker: SimulatedWorker) => void): void {
    const worker = this.#idle.shift()
    if (worker) use(worker)
    else this.#waiting.push(use)
  }

  #free(worker: SimulatedWorker): void {
    const use = this.#waiting.shift()
    if (use) use(worker)
    else this.#idle.push(worker)
  }
}

const byHand =
  (hedged: boolean): System =>
  async (clock, workers) => {
    const pool = new ByHand(clock, workers, hedged)
    return { ask: (query) => pool.ask(query) }
  }

const ours =
  (options: Partial<PredictorOptions>): System =>
  async (clock, workers) => {
    const scheme = { queries: 8, stragglers: 1 }
    const predictor = await createPredictor({ scheme, workers, clock, memory: false, ...options })
    return { ask: (query) => predictor.predict(query), close: () => predictor.close() }
  }

const systems: Record<string, System> = {
  'no redundancy': byHand(false),
  hedge: byHand(true),
  'ours, retry': ours({ policy: 'retry' }),
  'ours, auto': ours({ policy: 'auto' }),
  'ours, no parities': ours({ policy: 'retry', scheme: { queries: 8 } }),
}

interface Figures {
  p50: number
  p99: number
  p999: number
  /** Machine time per query. */
  machineMs: number
}

async function simulate(system: System, { law, meanMs }: Trouble, load: number, seed: number): Promise<Figures> {
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(seed), seeded(seed + 1)]
  const shop: Shop = {
    clock,
    law: law(serving),
    answer: (row) => row.slice(),
    signature: { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'y', shape: [4] }] },
  }
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, shop))
  const { ask, close } = await system(clock, workers)
  const times: number[] = []
  let asked = 0
  const arrive = () => {
    const start = clock.now()
    ask(Float32Array.from({ length: 4 }, () => arriving.gauss())).then(
      () => times.push(clock.now() - start),
      () => times.push(Number.POSITIVE_INFINITY),
    )
    if (++asked < QUERIES) clock.after((-Math.log(1 - arriving.next()) * meanMs) / (load * WORKERS), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  await close?.()
  const sorted = times.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const machineMs = workers.reduce((sum, { workedMs }) => sum + workedMs, 0) / QUERIES
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), machineMs }
}

export async function simulateAll(json: boolean): Promise<void> {
  const results: (Figures & { trouble: string; load: number; system: string })[] = []
  for (const trouble of troubles) {
    for (const load of trouble.loads) {
      for (const [name, system] of Object.entries(systems)) {
        results.push({ trouble: trouble.name, load, system: name, ...(await simulate(system, trouble, load, 1)) })
      }
    }
  }
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['trouble', 'load', 'system', 'p50', 'p99', 'p99.9', 'machine time a query'])
  const ms = (value: number) => `${value.toFixed(1)} ms`
  for (const { trouble, load, system, p50, p99, p999, machineMs } of results) {
    out.push([trouble, load, system, ms(p50), ms(p99), ms(p999), ms(machineMs)])
  }
  console.log(out.toString())
}
