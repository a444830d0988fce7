/**
 * npm run bench -- simulate [--json]: the tail at equal machines, in made time. 27 workers, Poisson arrivals, answers of
 * about 10 ms with two kinds of trouble; the predictor beside what a good engineer would write by hand, with the same
 * arrivals and the same dispatch (the pool): nothing at all, and hedged requests (at the running 95th percentile, to
 * another worker, at most one query in ten, queued ones cancelled). Ten seeds of 10,000 queries; medians, and the medians
 * of each seed's ratio to the hedge by hand. Memory off: this is about dispatch.
 */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { table } from '../src/cli/table'
import { type Random, seeded } from '../src/random'
import { VirtualClock } from '../src/testing/virtual-clock'
import { ByHand } from './by-hand'
import { median } from './measure'
import { type Law, randomTrouble, SimulatedWorker, type Simulation, wanderingTrouble } from './simulated'

const WORKERS = 27

const QUERIES = 10_000
const SEEDS = 10

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

const byHand =
  (hedges: number): System =>
  async (clock, workers) => {
    const pool = new ByHand(clock, workers, { hedges })
    return { ask: (query) => pool.ask(query) }
  }

const ours =
  (options: PredictorOptions): System =>
  async (clock, workers) => {
    const predictor = await createPredictor({ workers, testing: { clock }, memory: false, ...options })
    return { ask: (query) => predictor.predict(query), close: () => predictor.close() }
  }

const scheme = { queries: 8, stragglers: 1 }
const RIVAL = 'hedge by hand'
const systems: Record<string, System> = {
  'no redundancy': byHand(0),
  [RIVAL]: byHand(0.1),
  'no scheme': ours({}),
  'K = 8, retry': ours({ scheme, policy: 'retry' }),
  'K = 8, auto': ours({ scheme, policy: 'auto' }),
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
  const simulation: Simulation = {
    clock,
    law: law(serving),
    answer: (row) => row.slice(),
    signature: { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'y', shape: [4] }] },
  }
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, simulation))
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

const measures = ['p50', 'p99', 'p999', 'machineMs'] as const

export async function simulateAll(json: boolean): Promise<void> {
  const results: (Figures & { trouble: string; load: number; system: string; ratios: Figures })[] = []
  for (const trouble of troubles) {
    for (const load of trouble.loads) {
      const runs: Record<string, Figures[]> = {}
      for (const [name, system] of Object.entries(systems)) {
        runs[name] = []
        for (let seed = 1; seed <= SEEDS; seed++) runs[name].push(await simulate(system, trouble, load, 10 * seed))
      }
      for (const [system, figures] of Object.entries(runs)) {
        const over = (of: (figure: Figures, seed: number) => number) => median(figures.map(of))
        const all = (of: (name: keyof Figures) => number) =>
          Object.fromEntries(measures.map((name) => [name, of(name)])) as unknown as Figures
        const ratios = all((name) => over((figure, seed) => figure[name] / runs[RIVAL][seed][name]))
        results.push({ trouble: trouble.name, load, system, ...all((name) => over((figure) => figure[name])), ratios })
      }
    }
  }
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['trouble', 'load', 'system', 'p50', 'p99', 'p99.9', 'machine time a query'])
  for (const { trouble, load, system, ratios, ...figures } of results) {
    const cell = (name: keyof Figures) => `${figures[name].toFixed(1)} ms, ${ratios[name].toFixed(2)}x`
    out.push([trouble, load, system, ...measures.map(cell)])
  }
  console.log(`${out}\nx: of the hedge by hand`)
}
