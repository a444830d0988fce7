/**
 * npm run bench -- simulate [--json]: the tail at equal machines, in made time. 27 workers, Poisson arrivals, answers of
 * about 10 ms with two kinds of trouble; the predictor beside what a good engineer would write by hand, with the same
 * arrivals and the same dispatch (the pool): nothing at all, and hedged requests (at the running 95th percentile, to
 * another worker, at most one query in ten, queued ones cancelled). Ten seeds of 10,000 queries; medians, and the medians
 * of each seed's ratio to the hedge by hand. Memory off: this is about dispatch.
 */

import { createPredictor, type PredictorOptions } from 'approxifer'
import type { Random } from '../src/base/random'
import { table } from '../src/cli/table'
import { measures, type Start, type Tail, tailOf } from './arrivals'
import { ByHand } from './by-hand'
import { median } from './measure'
import { randomTrouble, type ServiceTime, wanderingTrouble } from './simulated'

const WORKERS = 27

const QUERIES = 10_000
const SEEDS = 10

interface Trouble {
  name: string
  law(random: Random): ServiceTime
  /** What an answer takes on average, the trouble included. */
  meanMs: number
  loads: number[]
}

const troubles: Trouble[] = [
  { name: 'random', law: randomTrouble, meanMs: 11.8, loads: [0.3, 0.6, 0.8] },
  { name: 'wandering', law: (random) => wanderingTrouble(random, WORKERS), meanMs: 13, loads: [0.6, 0.8] },
]

const byHand =
  (hedges: number): Start =>
  async (clock, workers) =>
    new ByHand(clock, workers, { hedges })

const ours =
  (options: PredictorOptions): Start =>
  async (clock, workers) => {
    const predictor = await createPredictor({ workers, testing: { clock }, memory: false, ...options })
    return { ask: (query) => predictor.predict(query), close: () => predictor.close() }
  }

const scheme = { queries: 8, stragglers: 1 }
const RIVAL = 'hedge by hand'
const systems: Record<string, Start> = {
  'no redundancy': byHand(0),
  [RIVAL]: byHand(0.1),
  'no scheme': ours({}),
  'K = 8, retry': ours({ scheme, policy: 'retry' }),
  'K = 8, auto': ours({ scheme, policy: 'auto' }),
}

function simulate(system: Start, { law, meanMs }: Trouble, load: number, seed: number): Promise<Tail> {
  return tailOf({ law, meanMs, workers: WORKERS, load, seed, queries: QUERIES, width: 4 }, system)
}

export async function simulateAll(json: boolean): Promise<void> {
  const results: (Tail & { trouble: string; load: number; system: string; ratios: Tail })[] = []
  for (const trouble of troubles) {
    for (const load of trouble.loads) {
      const runs: Record<string, Tail[]> = {}
      for (const [name, system] of Object.entries(systems)) {
        runs[name] = []
        for (let seed = 1; seed <= SEEDS; seed++) runs[name].push(await simulate(system, trouble, load, 10 * seed))
      }
      for (const [system, figures] of Object.entries(runs)) {
        const over = (of: (figure: Tail, seed: number) => number) => median(figures.map(of))
        const all = (of: (name: keyof Tail) => number) =>
          Object.fromEntries(measures.map((name) => [name, of(name)])) as unknown as Tail
        const ratios = all((name) => over((figure, seed) => figure[name] / runs[RIVAL][seed][name]))
        results.push({ trouble: trouble.name, load, system, ...all((name) => over((figure) => figure[name])), ratios })
      }
    }
  }
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['trouble', 'load', 'system', 'p50', 'p99', 'p99.9', 'machine time a query'])
  for (const { trouble, load, system, ratios, ...figures } of results) {
    const cell = (name: keyof Tail) => `${figures[name].toFixed(1)} ms, ${ratios[name].toFixed(2)}x`
    out.push([trouble, load, system, ...measures.map(cell)])
  }
  console.log(`${out}\nx: of the hedge by hand`)
}
