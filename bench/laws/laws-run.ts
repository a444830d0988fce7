/** One run of bench laws: so many queries, in simulated time, to one system. */

import { createPredictor } from 'approxifer'
import { type Start, type Tail, tailOf } from '../shared/arrivals'
import { Queue } from './hedge'
import { worlds } from './worlds'

const queue =
  (percentile?: number): Start =>
  async (clock, workers) =>
    new Queue(clock, workers, percentile)

const predictor: Start = async (clock, workers) => {
  const own = await createPredictor({ workers, testing: { clock }, limits: { queries: 1e6 }, onWarning() {} })
  return { ask: (query) => own.predict(query, { deadlineMs: 1e6 }), close: () => own.close() }
}

export const systems: Record<string, Start> = {
  queue: queue(),
  'hedge, 95': queue(0.95),
  'hedge, 90': queue(0.9),
  approxifer: predictor,
}

export interface Job {
  world: string
  workers: number
  load: number
  system: string
  seed: number
  queries: number
  /** The first queries, which are not counted. Default 0. */
  warmUp?: number
  /** Whether an abort frees a worker. */
  interruptible?: boolean
}

export function simulate({ world, system, ...at }: Job): Promise<Tail> {
  const { law, meanMs, rate } = worlds[world]
  return tailOf({ ...at, law, meanMs: meanMs(at.workers), rate, width: 1 }, systems[system])
}
