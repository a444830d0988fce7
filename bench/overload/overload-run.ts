/** One run of bench overload: so many queries, in simulated time, to the predictor. */

import { type ApproxiferError, createPredictor } from 'approxifer'
import { seeded } from '../../src/base/random'
import type { PredictorEvent } from '../../src/events'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { SimulatedWorker } from '../shared/simulated'
import { type Cell, meanOf } from './overload-bounds'

/** Share of the queries that are not counted: the predictor learns how long they take. */
const WARM_UP = 0.2

export interface Job extends Cell {
  /** What an inference takes at its median. */
  ms: number
  /** Of tenants, or of priorities, where there are several: how many times the capacity each offers. */
  loads?: readonly number[]
  by?: 'tenant' | 'priority'
}

export interface Run {
  /** Answers in time, over what the machines answer at most in that time. */
  goodput: number
  /** Share of the machines' time that went to queries that failed. */
  wasted: number
  /** Share of all queries that failed, and knew it only after having waited. */
  toldLate: number
  /** Share of failed queries that knew it after more than 5 ms. */
  after5: number
  /** Answers in time of each load, over its queries. */
  answered: number[]
}

const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }

export async function simulate(job: Job): Promise<Run> {
  const { ms, deviation, deadlines, stops, workers: count, queries, seed, by } = job
  const { loads = [job.load] } = job
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(seed), seeded(seed + 1)]
  const meanMs = ms * meanOf(deviation)
  const law = () => ms * Math.exp(deviation * serving.gauss())
  const answer = (row: Float32Array) => row.slice()
  const simulation = { clock, serviceMs: law, answer, interruptible: stops, signature }
  const workers = Array.from({ length: count }, (_, i) => new SimulatedWorker(i, simulation))
  const limits = { queries: 1e6, ...(by === 'tenant' && { tenants: 10 }) }
  const begun = { at: 0, workedMs: 0 }
  /** What the attempts of each query took, ms; and of those that were answered. */
  const attemptMs = new Map<number, number>()
  const answered = new Set<number>()
  const onEvent = (told: PredictorEvent) => {
    if ((told.event === 'answered' || told.event === 'failed') && begun.at)
      attemptMs.set(told.query, (attemptMs.get(told.query) ?? 0) + told.ms)
  }
  const predictor = await createPredictor({ workers, testing: { clock }, limits, onWarning() {}, onEvent })
  const counts = loads.map(() => ({ asked: 0, good: 0 }))
  const sums = { useful: 0, failed: 0, late: 0, after5: 0 }
  const workedMs = () => workers.reduce((sum, worker) => sum + worker.workedMs, 0)
  const choices = (which: number) =>
    by === 'tenant' ? { tenant: `tenant ${which}` } : by === 'priority' ? { priority: which ? 'normal' : 'high' } as const : {} // biome-ignore format: one line
  const ask = (which: number, isCounted: boolean, deadlineMs: number) => {
    const since = clock.now()
    const mine = counts[which]
    mine.asked += Number(isCounted)
    predictor.predict(Float32Array.of(arriving.gauss()), { ...choices(which), deadlineMs }).then(
      ({ query }) => {
        mine.good += Number(isCounted)
        answered.add(query)
      },
      (_error: ApproxiferError) => {
        if (!isCounted) return
        const told = clock.now() - since
        sums.failed++
        sums.late += Number(told > 0)
        sums.after5 += Number(told > 5)
      },
    )
  }
  let asked = 0
  const all = loads.reduce((sum, load) => sum + load, 0)
  const arrive = () => {
    const isCounted = ++asked > WARM_UP * queries
    if (isCounted && !begun.at) Object.assign(begun, { at: clock.now(), workedMs: workedMs() })
    let which = 0
    for (let left = arriving.next() * all - loads[0]; left > 0 && which < loads.length - 1; left -= loads[which])
      which++
    ask(which, isCounted, deadlines[asked % deadlines.length] * meanMs)
    if (asked < queries) clock.after((-Math.log(1 - arriving.next()) * meanMs) / (all * count), arrive)
    else span = clock.now() - begun.at
  }
  let span = 0
  clock.after(0, arrive)
  await clock.run()
  await predictor.close()
  for (const query of answered) sums.useful += attemptMs.get(query) ?? 0 // also of those that came before
  const good = counts.reduce((sum, each) => sum + each.good, 0)
  return {
    goodput: (good * meanMs) / (span * count),
    wasted: 1 - sums.useful / (workedMs() - begun.workedMs),
    toldLate: sums.late / ((1 - WARM_UP) * queries),
    after5: sums.after5 / Math.max(1, sums.failed),
    answered: counts.map((each) => each.good / each.asked),
  }
}
