/** One run of bench laws: so many queries, in made time, to one system. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import type { Random } from '../src/base/random'
import { type Start, type Tail, tailOf } from './arrivals'
import { Blind, ByHand, type ByHandOptions } from './by-hand'
import { MEDIAN_MS, type ServiceTime, wanderingTrouble } from './simulated'

const QUERIES = 10_000

type Make = (random: Random, workers: number) => ServiceTime

const scaled =
  (draw: (random: Random) => number): Make =>
  (random) =>
  () =>
    MEDIAN_MS * draw(random)
const lognormal = (sigma: number) => scaled((random) => Math.exp(sigma * random.gauss()))
const pareto = (alpha: number) => scaled((random) => (1 - random.next()) ** (-1 / alpha) / 2 ** (1 / alpha))
/** A share of the calls takes ten times as long. */
const tight = (share: number): Make =>
  scaled((random) => Math.exp(0.1 * random.gauss()) * (random.next() < share ? 10 : 1))
/** The same with the law of a public benchmark of hedging: a mean of 10 ms, a deviation of 4. */
const spread = (share: number): Make =>
  scaled((random) => Math.max(0.1, 1 + 0.4 * random.gauss()) * (random.next() < share ? 10 : 1))
/** A share of the machines is so many times slower. */
const classes =
  (share: number, times: number, law: Make): Make =>
  (random, workers) => {
    const own = law(random, workers)
    return (index, now) => own(index, now) * (index < share * workers ? times : 1)
  }

/** Each law, and what an answer takes on average at the machines' speed together, in ms. */
export const laws: Record<string, { make: Make; meanMs: number }> = {
  constant: { make: lognormal(0), meanMs: 10 },
  'deviation .1': { make: lognormal(0.1), meanMs: 10.05 },
  'deviation .35': { make: lognormal(0.35), meanMs: 10.63 },
  'deviation .5': { make: lognormal(0.5), meanMs: 11.33 },
  'deviation .8': { make: lognormal(0.8), meanMs: 13.77 },
  'deviation 1': { make: lognormal(1), meanMs: 16.49 },
  'deviation 1.5': { make: lognormal(1.5), meanMs: 30.8 },
  exponential: { make: scaled((random) => -Math.log(1 - random.next()) / Math.LN2), meanMs: 14.43 },
  'Pareto 1.5': { make: pareto(1.5), meanMs: 18.9 },
  'Pareto 2.1': { make: pareto(2.1), meanMs: 13.72 },
  'tight 1 %': { make: tight(0.01), meanMs: 10.95 },
  'tight 2 %': { make: tight(0.02), meanMs: 11.86 },
  'tight 5 %': { make: tight(0.05), meanMs: 14.57 },
  'tight 10 %': { make: tight(0.1), meanMs: 19.1 },
  'spread 2 %': { make: spread(0.02), meanMs: 11.8 },
  'spread 5 %': { make: spread(0.05), meanMs: 14.5 },
  'spread 10 %': { make: spread(0.1), meanMs: 19 },
  'half 3 times slower': { make: classes(0.5, 3, lognormal(0.1)), meanMs: 10.05 * 1.5 },
  'half 3 times slower, tight 2 %': { make: classes(0.5, 3, tight(0.02)), meanMs: 11.86 * 1.5 },
  'a third 3 times slower, deviation .8': { make: classes(1 / 3, 3, lognormal(0.8)), meanMs: 13.77 / (2 / 3 + 1 / 9) },
  'a third 10 times slower': { make: classes(1 / 3, 10, lognormal(0.1)), meanMs: 10.05 / (2 / 3 + 1 / 30) },
  wandering: { make: wanderingTrouble, meanMs: 10.05 / (25 / 27 + 2 / 27 / 5) },
}

const byHand =
  (options: ByHandOptions): Start =>
  async (clock, workers) =>
    new ByHand(clock, workers, options)

const predictor =
  (options: PredictorOptions): Start =>
  async (clock, workers) => {
    const testing = { clock }
    const own = await createPredictor({ workers, testing, limits: { queries: 1e6 }, onWarning() {}, ...options })
    return { ask: (query) => own.predict(query, { deadlineMs: 1e6 }), close: () => own.close() }
  }

export const systems: Record<string, Start> = {
  queue: byHand({ pool: Blind }),
  'hedge, 95': byHand({ pool: Blind, hedges: 0.1 }),
  'hedge, 90': byHand({ pool: Blind, hedges: 0.1, percentile: 0.9 }),
  'aware, 95': byHand({ hedges: 0.1 }),
  'aware, 90': byHand({ hedges: 0.1, percentile: 0.9 }),
  retry: predictor({}),
}

export interface Job {
  law: string
  workers: number
  load: number
  system: string
  seed: number
  /** Whether an abort frees a worker. */
  interruptible?: boolean
}

export function simulate({ law, system, ...at }: Job): Promise<Tail> {
  const { make, meanMs } = laws[law]
  return tailOf({ ...at, law: make, meanMs, queries: QUERIES, warmUp: QUERIES / 20, width: 1 }, systems[system])
}
