/** One run of bench sizes: queries of lengths that tell how long they take, in simulated time, with and without that being learned. */

import { Payload } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import { WaitingCaller } from '../../src/predictor/caller'
import { dependenciesOf } from '../../src/predictor/dependencies'
import { checkOptions, settingsOf } from '../../src/predictor/settings'
import { noCoder } from '../../src/predictor/tenants'
import { ModelVersion } from '../../src/predictor/version'
import { SimulatedWorker, type Simulation } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'

type ServiceTime = (random: Random, index: number) => number

const around =
  (deviation: number): ServiceTime =>
  (random) =>
    Math.exp(deviation * random.gauss())
const tight =
  (share: number): ServiceTime =>
  (random) =>
    around(0.1)(random, 0) * (random.next() < share ? 10 : 1)
const half =
  (law: ServiceTime): ServiceTime =>
  (random, index) =>
    law(random, index) * (index % 2 ? 3 : 1)
/** As models gain by runs of several rows. */
const batches = { most: 8, factor: (rows: number) => 1 + 0.3 * (rows - 1) }

/** How times vary beside the size, as a factor, and the mean of that at the machines' speed together. With batches more are asked than could be answered one by one. */
export const worlds: Record<string, { law: ServiceTime; mean: number; batches?: typeof batches }> = {
  'deviation .1': { law: around(0.1), mean: 1.005 },
  'deviation .5': { law: around(0.5), mean: 1.133 },
  'deviation 1': { law: around(1), mean: 1.649 },
  'tight 2 %': { law: tight(0.02), mean: 1.186 },
  'tight 5 %': { law: tight(0.05), mean: 1.457 },
  'half 3 times slower': { law: half(around(0.1)), mean: 1.5 },
  'half 3 times slower, tight 2 %': { law: half(tight(0.02)), mean: 1.5 * 1.186 },
  'batches, deviation .1': { law: around(0.1), mean: 1.005 / 1.75, batches },
  'batches, tight 2 %': { law: tight(0.02), mean: 1.186 / 1.75, batches },
}

export interface SizedJob {
  world: string
  load: number
  /** Whether times are proportional to lengths, else no length tells anything. */
  tells: boolean
  /** Whether what sizes tell is learned. */
  learns: boolean
  seed: number
  queries?: number
}

/** In ms: of each quarter of the lengths, the shortest first. */
export interface SizedTail {
  p50: number[]
  p99: number[]
  machineMs: number
}

const WORKERS = 27
const QUERIES = 10_000
/** Lengths are up to this, all equally often. */
const MOST = 50
const MEAN_MS = 10

/** Where sizes are not to be learned from, all are the same. */
class Sizeless extends Payload {
  override get size(): number {
    return 1
  }
}

export async function simulate(job: SizedJob): Promise<SizedTail> {
  const { world, load, tells, learns, seed, queries = QUERIES } = job
  const { law, mean, batches } = worlds[world]
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(seed), seeded(seed + 1)]
  const simulation: Simulation = {
    clock,
    serviceMs: (index, _, size) => (tells ? (size * MEAN_MS) / ((1 + MOST) / 2) : MEAN_MS) * law(serving, index),
    answer: (row) => row.slice(0, 1),
    signature: { inputs: [{ name: 'x', shape: [MOST] }], outputs: [{ name: 'y', shape: [1] }] },
    ...(batches && { batches }),
  }
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, simulation))
  const ask = asking(clock, workers)
  const times: number[][] = [[], [], [], []]
  let asked = 0
  const arrive = () => {
    const [since, isCounted] = [clock.now(), ++asked > queries / 20]
    const length = 1 + arriving.below(MOST)
    const quarter = times[Math.floor((4 * (length - 1)) / MOST)]
    const done = () => isCounted && quarter.push(clock.now() - since)
    const failed = () => quarter.push(Number.POSITIVE_INFINITY)
    const query = [{ data: new Float32Array(length), shape: [length] }]
    ask(new (learns ? Payload : Sizeless)(query), done, failed)
    if (asked < queries) clock.after((-Math.log(1 - arriving.next()) * mean * MEAN_MS) / (load * WORKERS), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  const at = (share: number) => times.map((each) => each.sort((a, b) => a - b)[Math.floor(share * (each.length - 1))])
  return { p50: at(0.5), p99: at(0.99), machineMs: workers.reduce((sum, { workedMs }) => sum + workedMs, 0) / queries }
}

/** A predictor without the checks that queries are of one shape. */
function asking(clock: VirtualClock, workers: SimulatedWorker[]) {
  const coder = noCoder()
  const options = checkOptions({ workers, testing: { clock }, limits: { queries: 1e6 }, onWarning() {} })
  const settings = settingsOf(options, coder)
  const told = { fewer() {}, judged() {}, recalled() {}, ended() {} }
  const generation: ModelVersion = new ModelVersion(dependenciesOf(coder, workers, settings, told), settings, {
    model: { model: undefined },
  })
  return (payload: Payload, done: () => void, failed: () => void) => {
    const caller = new WaitingCaller(settings.choices, clock.now(), 1e6, done, failed)
    generation.take({ payload, caller, signal: undefined })
  }
}
