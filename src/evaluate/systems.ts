/** What a verdict compares: a plain queue, hedged requests as written by hand, and predictors. */

import { tensorsOf, vectorOf } from '../base/payload'
import { toNamed } from '../base/tensor'
import { ByHand, type ByHandOptions } from '../film/by-hand'
import { createPredictor } from '../predictor/create'
import type { PredictorOptions } from '../predictor/options'
import { SimulatedThread, type ThreadCosts } from '../testing/simulated-thread'
import type { StartSystem } from './forecast'

/** Queries that may be in flight: as many as come, since nothing is refused here. */
const ANY = 1e5

/** Timers have whole milliseconds and are rounded down: who hedges at 5.9 ms would hedge at 5, so a good engineer rounds up. */
const byHand =
  (options: ByHandOptions): StartSystem =>
  async (_, timers, workers) => {
    const pool = new ByHand({ ...timers, after: (ms, f) => timers.after(Math.ceil(ms), f) }, workers, options)
    return { ask: async (query) => ({ answer: await pool.ask(query), isRecovered: false }) }
  }

export const plainQueue = byHand({})

/** Hedged requests. @param percentile  share of the answers, 0..1, that are waited for before a query is sent a second time */
export const hedged = (percentile: number) => byHand({ hedges: MOST_HEDGED, percentile })
/** As a predictor's: half of it runs out where one answer in twenty is late. */
const MOST_HEDGED = 0.2

/** A predictor with these options. @param costs  what its memory's thread takes */
export function predictorOf(options: PredictorOptions, costs: Partial<ThreadCosts>): StartSystem {
  return async (clock, timers, workers) => {
    const predictor = await createPredictor({
      ...options,
      workers,
      limits: { queries: ANY },
      testing: { clock: timers, memoryThread: new SimulatedThread(clock, costs).spawn },
      onWarning() {},
    })
    const { inputs, outputs } = predictor.signature
    return {
      async ask(query) {
        const { output, status } = await predictor.predict(toNamed(tensorsOf(query, inputs), inputs))
        return { answer: vectorOf(outputs.map(({ name }) => output[name])), isRecovered: status === 'recovered' }
      },
      close: () => predictor.close(),
    }
  }
}
