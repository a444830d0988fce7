/**
 * npm run bench -- clones [SEEDS] [--json]: idle machines, in simulated time: `hedge: { clones: true }` beside what is written by hand
 * there. Three seeds of 10,000 queries unless told otherwise, medians; two minutes.
 */

import { createPredictor } from 'approxifer'
import { table } from '../src/cli/table'
import { tensorsOf } from '../src/payload'
import { SlidingQuantile } from '../src/stats'
import type { VirtualClock } from '../src/testing/virtual-clock'
import { measures, type Start, type Tail, tailOf } from './arrivals'
import { laws } from './laws-run'
import { median } from './measure'
import type { SimulatedWorker } from './simulated'

const QUERIES = 10_000
const LAWS = ['deviation .1', 'deviation .5', 'deviation 1', 'tight 2 %', 'tight 5 %', 'spread 5 %']
const LOADS = [0.05, 0.1, 0.3, 0.5]

interface ByHand {
  /** The second copy of each query goes to a worker that idles now, or waits for one. */
  clone: 'idle' | 'waits'
  /** A third is sent at the 95th percentile of what calls took. */
  hedges?: boolean
}

/** A copy that waits: for a worker that has none of its query's. */
interface Copy {
  isNeeded(): boolean
  mayGoTo(worker: SimulatedWorker): boolean
  send(worker: SimulatedWorker): void
}

/** Whoever idles takes the first copy that it may; what is not needed any more when its turn comes is dropped. */
class Cloning {
  readonly #idle: Set<SimulatedWorker>
  readonly #waiting: Copy[] = []
  readonly #times = new SlidingQuantile(500)

  constructor(
    readonly clock: VirtualClock,
    workers: readonly SimulatedWorker[],
    readonly way: ByHand,
  ) {
    this.#idle = new Set(workers)
  }

  ask(query: Float32Array): Promise<void> {
    return new Promise((resolve) => {
      let isOpen = true
      const used = new Set<SimulatedWorker>()
      const send = async (worker: SimulatedWorker) => {
        const since = this.clock.now()
        this.#idle.delete(worker)
        used.add(worker)
        await worker.infer(tensorsOf(query, worker.signature.inputs))
        this.#times.add(this.clock.now() - since)
        isOpen = false
        resolve()
        this.#next(worker)
      }
      const copy: Copy = { send, isNeeded: () => isOpen, mayGoTo: (worker) => !used.has(worker) }
      const { clone, hedges } = this.way
      this.#put(copy, true)
      this.#put(copy, clone === 'waits')
      if (hedges && this.#times.count >= 50) {
        this.clock.after(this.#times.quantile(0.95), () => isOpen && this.#put(copy, true))
      }
    })
  }

  #put(copy: Copy, waits: boolean): void {
    const worker = [...this.#idle].find((each) => copy.mayGoTo(each))
    if (worker) copy.send(worker)
    else if (waits) this.#waiting.push(copy)
  }

  #next(worker: SimulatedWorker): void {
    while (this.#waiting.length && !this.#waiting[0].isNeeded()) this.#waiting.shift()
    const at = this.#waiting.findIndex((copy) => copy.isNeeded() && copy.mayGoTo(worker))
    if (at < 0) this.#idle.add(worker)
    else this.#waiting.splice(at, 1)[0].send(worker)
  }
}

const cloning =
  (way: ByHand): Start =>
  async (clock, workers) =>
    new Cloning(clock, workers, way)

const ours =
  (clones: boolean): Start =>
  async (clock, workers) => {
    const all = { workers, testing: { clock }, limits: { queries: 1e6 }, hedge: { clones }, onWarning() {} }
    const predictor = await createPredictor(all)
    return { ask: (query) => predictor.predict(query, { deadlineMs: 1e6 }), close: () => predictor.close() }
  }

const rivals: Record<string, Start> = {
  tied: cloning({ clone: 'waits' }),
  'to idle ones': cloning({ clone: 'idle' }),
  'then hedged': cloning({ clone: 'idle', hedges: true }),
}
const systems: Record<string, Start> = { ...rivals, 'no clones': ours(false), clones: ours(true) }

async function cell(law: string, workers: number, load: number, seeds: number): Promise<Record<string, Tail>> {
  const figures: Record<string, Tail> = {}
  const { make, meanMs } = laws[law]
  for (const [name, start] of Object.entries(systems)) {
    const runs: Tail[] = []
    for (let seed = 1; seed <= seeds; seed++) {
      const at = { law: make, meanMs, workers, load, seed: 10 * seed, queries: QUERIES, warmUp: QUERIES / 20, width: 1 }
      runs.push(await tailOf(at, start))
    }
    const tail = measures.map((each) => [each, median(runs.map((run) => run[each]))])
    figures[name] = Object.fromEntries(tail) as unknown as Tail
  }
  return figures
}

const shown = (tail: Tail) => measures.map((each) => tail[each].toFixed(1)).join(' / ')

/** Ours over the best of the rivals, of each figure. */
function ratiosOf(cell: Record<string, Tail>): number[] {
  return (['p50', 'p99', 'p999'] as const).map(
    (each) => cell.clones[each] / Math.min(...Object.keys(rivals).map((name) => cell[name][each])),
  )
}

export async function clones(json: boolean, [seeds = '3']: string[]): Promise<void> {
  const cells: Record<string, Record<string, Tail>> = {}
  for (const law of LAWS)
    for (const workers of [27, 5])
      for (const load of LOADS) cells[`${law}, ${workers} workers, load ${load}`] = await cell(law, workers, load, Number(seeds)) // biome-ignore format: one line
  if (json) return console.log(JSON.stringify(cells, null, 2))
  const out = table(['p50 / p99 / p99.9 / machine time', ...Object.keys(systems), 'over the best'])
  for (const [name, each] of Object.entries(cells)) {
    const ratios = ratiosOf(each).map((ratio) => ratio.toFixed(2))
    out.push([name, ...Object.keys(systems).map((system) => shown(each[system])), ratios.join(', ')])
  }
  console.log(out.toString())
  const all = Object.values(cells).map(ratiosOf)
  const mean = (i: number) => Math.exp(all.reduce((sum, ratios) => sum + Math.log(ratios[i]), 0) / all.length)
  console.log(`geometric means: p50 ${mean(0).toFixed(3)}, p99 ${mean(1).toFixed(3)}, p99.9 ${mean(2).toFixed(3)}`)
}
