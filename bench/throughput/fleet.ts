/**
 * npm run bench -- fleet [QUERIES] [--json]: what one coordinator costs as its fleet grows. 10, 100, 1,000 and 5,000 workers in
 * simulated time, a million queries each, Poisson arrivals at 70 % of what the workers can do; an answer takes about 10 ms, one in
 * fifty ten times as long, and one call in ten thousand takes its worker down for a second. Coordinator: the real processor
 * time a query, less what the same arrivals and workers take with a list of idle workers in the predictor's
 * place, which is the clock's and the simulated workers' own. Memory off: what that takes does not know of the fleet.
 *
 * Then the largest fleet shared by 1 to 16 coordinators, each with workers and queries of its own: what a core of each is at
 * work, and what a smaller share costs in the tail. Whose arrivals are a part of a Poisson stream knows nothing of the others,
 * so that one of them alone tells of all. Ten minutes.
 */

import { ApproxiferError, createPredictor, type PredictorOptions, type TensorList } from 'approxifer'
import type { Clock } from '../../src/base/clock'
import { tensorsOf } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { collectGarbage } from '../shared/measure'
import { randomTrouble, SimulatedWorker, type Simulation } from '../shared/simulated'

const FLEETS = [10, 100, 1000, 5000]
const SHARED_BY = [1, 2, 4, 8, 16]
const QUERIES = 1_000_000
/** As many tell of a share. */
const ENOUGH = 200_000
/**
 * Come before those that are measured. A new predictor's objects are of new hidden classes, for which V8 compiles nearly all code again: of 50,000
 * queries of 100 workers that was a third of the time.
 */
const FIRST = 50_000
const LOAD = 0.7
/** What an answer takes on average, the trouble included. */
const MEAN_MS = 11.8
const CRASHES = 1e-4
const DOWN_MS = 1000
const DEADLINE_MS = 10_000
const WIDTH = 4
const SEED = 1

const schemes: Record<string, Partial<PredictorOptions>> = {
  'no scheme': {},
  'K = 8, S = 1': { scheme: { queries: 8, stragglers: 1 }, memory: false, right: 'label' },
}

/** Now and then a call takes it down. */
class MortalWorker extends SimulatedWorker {
  readonly #clock: Clock
  readonly #random: Random
  #down = false

  constructor(index: number, simulation: Simulation, random: Random) {
    super(index, simulation)
    this.#clock = simulation.clock
    this.#random = random
  }

  override get free(): boolean {
    return !this.#down && super.free
  }

  override infer(query: TensorList): Promise<TensorList> {
    return this.#random.next() < CRASHES ? this.#crash() : super.infer(query)
  }

  async #crash(): Promise<never> {
    this.#down = true
    this.#clock.after(DOWN_MS, () => {
      this.#down = false
      this.onFree?.()
    })
    throw new ApproxiferError('WORKER', `${this.name} went down`)
  }
}

interface System {
  ask(query: Float32Array): Promise<unknown>
  close(): Promise<void>
}

/** In the predictor's place: whoever is idle, and the same again where a worker went down. */
function listOfIdle(workers: MortalWorker[]): System {
  const idle = [...workers]
  const waiting: ((worker: MortalWorker) => void)[] = []
  const freed = (worker: MortalWorker) => {
    const next = waiting.shift()
    if (next) next(worker)
    else idle.push(worker)
  }
  for (const worker of workers) worker.onFree = () => worker.free && freed(worker)
  const ask = async (query: Float32Array): Promise<unknown> => {
    const worker = idle.pop() ?? (await new Promise<MortalWorker>((resolve) => waiting.push(resolve)))
    try {
      return await worker.infer(tensorsOf(query, worker.signature.inputs))
    } catch {
      return await ask(query)
    }
  }
  return { ask, close: async () => {} }
}

/** Queries a second. */
const arrivals = (workers: number) => (1000 * LOAD * workers) / MEAN_MS

interface Figures {
  microseconds: number
  p50: number
  p99: number
  failed: number
}

export async function run(count: number, queries: number, options?: Partial<PredictorOptions>): Promise<Figures> {
  const clock = new VirtualClock()
  const random = seeded(SEED)
  const answer = new Float32Array(WIDTH).fill(1)
  const spec = (name: string) => [{ name, shape: [WIDTH] }]
  const signature = { inputs: spec('x'), outputs: spec('y') }
  const simulation: Simulation = { clock, serviceMs: randomTrouble(random), answer: () => answer.slice(), signature }
  const workers = Array.from({ length: count }, (_, i) => new MortalWorker(i, simulation, random))
  const system = options ? await served(workers, clock, options) : listOfIdle(workers)
  const all = FIRST + queries
  const times = new Float64Array(all)
  let before = process.cpuUsage()
  let [asked, ended, failed] = [0, 0, 0]
  const arrive = () => {
    if (asked === FIRST) before = process.cpuUsage()
    const start = clock.now()
    const end = (given: unknown) => {
      if (given instanceof Error) failed++
      times[ended++] = clock.now() - start
    }
    system.ask(Float32Array.of(asked, 1, 2, 3)).then(end, end)
    if (++asked < all) clock.after((-Math.log(1 - random.next()) * 1000) / arrivals(count), arrive)
  }
  clock.after(0, arrive)
  collectGarbage()
  await clock.run()
  const { user, system: kernel } = process.cpuUsage(before)
  await system.close()
  const sorted = times.subarray(FIRST).sort()
  return {
    microseconds: (user + kernel) / queries,
    p50: sorted[queries >> 1],
    p99: sorted[(0.99 * queries) | 0],
    failed,
  }
}

async function served(workers: MortalWorker[], clock: Clock, options: Partial<PredictorOptions>): Promise<System> {
  const rest = { deadlineMs: DEADLINE_MS, limits: { queries: 1e6 }, onWarning: () => {} }
  const predictor = await createPredictor({ workers, testing: { clock }, ...rest, ...options })
  return { ask: (query) => predictor.predict(query), close: () => predictor.close() }
}

export default async function fleet(json: boolean, [asked = String(QUERIES)]: string[]): Promise<void> {
  const queries = Number(asked)
  await run(100, Math.min(queries, 50_000)) // the first ones are slow: code is compiled
  for (const options of Object.values(schemes)) await run(100, Math.min(queries, 50_000), options)
  const results: (Own & { workers: number; scheme: string })[] = []
  for (const workers of FLEETS) {
    for (const [scheme, options] of Object.entries(schemes)) {
      results.push({ workers, scheme, ...(await own(workers, queries, options)) })
    }
  }
  const [largest] = FLEETS.slice(-1)
  const shared: (Own & { coordinators: number; workers: number; perSecond: number })[] = []
  for (const coordinators of SHARED_BY) {
    const workers = Math.round(largest / coordinators)
    const figures = await own(workers, Math.min(queries, Math.max(ENOUGH, queries / coordinators)), {})
    shared.push({ coordinators, workers, perSecond: arrivals(workers), ...figures })
  }
  if (json) return console.log(JSON.stringify({ queries, results, shared }, null, 2))
  const out = table(['scheme', 'workers', 'coordinator, us a query', 'beside 10', 'ends at', 'clock', 'p50', 'p99', 'failed']) // biome-ignore format: one line
  for (const scheme of Object.keys(schemes)) {
    const all = results.filter((each) => each.scheme === scheme)
    for (const { workers, clock, microseconds, p50, p99, failed } of all) {
      const growth = `${(microseconds / all[0].microseconds).toFixed(2)}x`
      const ms = [p50, p99].map((each) => `${each.toFixed(1)} ms`)
      out.push([scheme, workers, microseconds.toFixed(1), growth, count(1e6 / microseconds), `${clock.toFixed(1)} us`, ...ms, failed]) // biome-ignore format: one line
    }
  }
  console.log(`${count(queries)} queries each; it ends where a core has nothing left, at so many a second\n${out}`)
  const by = table(['coordinators', 'workers each', 'queries a second each', 'us a query', 'of a core each', 'all end at', 'p50', 'p99']) // biome-ignore format: one line
  for (const { coordinators, workers, perSecond, microseconds, p50, p99 } of shared) {
    const busy = `${((perSecond * microseconds) / 1e4).toFixed(0)} %`
    const ms = [p50, p99].map((each) => `${each.toFixed(1)} ms`)
    by.push([coordinators, workers, count(perSecond), microseconds.toFixed(1), busy, count((coordinators * 1e6) / microseconds), ...ms]) // biome-ignore format: one line
  }
  console.log(`\n${count(largest)} workers shared\n${by}`)
}

const count = (value: number) => Math.round(value).toLocaleString('en')

type Own = Figures & { clock: number }

/** The coordinator's own time, and the clock's. */
async function own(workers: number, queries: number, options: Partial<PredictorOptions>): Promise<Own> {
  const { microseconds: clock } = await run(workers, queries)
  const { microseconds, ...rest } = await run(workers, queries, options)
  return { microseconds: microseconds - clock, clock, ...rest }
}
