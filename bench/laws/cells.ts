/** The cells of bench laws, and what they compare. */

import type { Tail } from '../shared/arrivals'
import type { Job } from './laws-run'
import { worlds } from './worlds'

export const WORKERS = [5, 9, 27, 100]
export const LOADS = [0.3, 0.6, 0.8, 0.9]
const QUERIES = 10_000
/** Where the start is the worst, this is measured beside it: longer runs, of which only the second half counts. */
export const SETTLED = { workers: 100, load: 0.9, queries: 40_000, warmUp: 20_000 }

export type Place = Omit<Job, 'system' | 'seed'>

export const places: Place[] = WORKERS.flatMap((workers) =>
  Object.keys(worlds).flatMap((world) => LOADS.map((load) => ({ world, workers, load, queries: QUERIES }))),
)
export const settledPlaces: Place[] = Object.keys(worlds).map((world) => ({ world, ...SETTLED }))

/** One world, fleet and load: medians of the seeds, of each system. */
export interface Cell extends Place {
  queue: Tail
  hedge95: Tail
  hedge90: Tail
  /** That of the two with the shorter p99. */
  hedge: Tail
  approxifer: Tail
}

export const nameOf = ({ world, workers, load, warmUp }: Place) =>
  `${world}, ${workers} workers, load ${load}${warmUp ? `, after ${warmUp.toLocaleString('en')}` : ''}`

/** What the page compares: medians with the queue's, the tail and the machine time with the hedge's. */
export const comparisons = {
  'hedge: p50': ({ hedge, queue }: Cell) => hedge.p50 / queue.p50,
  p50: ({ approxifer, queue }: Cell) => approxifer.p50 / queue.p50,
  p99: ({ approxifer, hedge }: Cell) => approxifer.p99 / hedge.p99,
  'p99.9': ({ approxifer, hedge }: Cell) => approxifer.p999 / hedge.p999,
  'machine time': ({ approxifer, hedge }: Cell) => approxifer.machineMs / hedge.machineMs,
}
