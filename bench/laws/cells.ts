/** The cells of bench laws, and what they compare. */

import type { Tail } from '../shared/arrivals'
import type { Job } from './laws-run'

export const WORKERS = [5, 9, 27, 100]
export const LOADS = [0.3, 0.6, 0.8, 0.9]

export type Place = Pick<Job, 'world' | 'workers' | 'load'>

/** One world, fleet and load: medians of the seeds, of each system. The hedge is that of two percentiles with the shorter p99. */
export interface Cell extends Place {
  queue: Tail
  hedge: Tail
  approxifer: Tail
  percentile: number
}

export const nameOf = ({ world, workers, load }: Place) => `${world}, ${workers} workers, load ${load}`

/** What the page compares: medians with the queue's, the tail and the machine time with the hedge's. */
export const comparisons = {
  'hedge: p50': ({ hedge, queue }: Cell) => hedge.p50 / queue.p50,
  p50: ({ approxifer, queue }: Cell) => approxifer.p50 / queue.p50,
  p99: ({ approxifer, hedge }: Cell) => approxifer.p99 / hedge.p99,
  'p99.9': ({ approxifer, hedge }: Cell) => approxifer.p999 / hedge.p999,
  'machine time': ({ approxifer, hedge }: Cell) => approxifer.machineMs / hedge.machineMs,
}
