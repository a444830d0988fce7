/**
 * Times of simulated workers: measured calls are replayed in their order, so that what slows all workers at once does so here as well, and some answers
 * come late besides.
 */

import type { Random } from '../base/random'
import type { TensorList } from '../base/tensor'
import type { ServiceTime } from '../testing/simulated-worker'
import type { Premise } from './premise'
import type { TimedCall } from './straggling-worker'

/** What calls of real workers took. In milliseconds. */
export interface CallTimes {
  /** Median time of a call, from the message to a worker until its answer is back. */
  readonly ownMs: number
  readonly meanMs: number
  /** What a query takes on the coordinator's thread besides: median. */
  readonly overheadMs: number
  /** When timers were set, in order, and how much later than set they fired: what holds up the coordinator holds up its hedges. */
  readonly timers: readonly TimedCall[]
  /** In the order in which they began. */
  readonly calls: readonly TimedCall[]
  /** The model's answers to the queries that were asked, by their index. */
  readonly answers: ReadonlyMap<number, TensorList>
}

/** Times of workers, and of the coordinator's timers at the same moment. */
export interface ReplayedTimes {
  serviceMs: ServiceTime
  /** How much later than set a timer fires that is set at `now`. */
  timerMs(now: number): number
}

/** From a random moment of what was measured; at least one call. */
export function replayed(
  { calls, timers }: Pick<CallTimes, 'calls' | 'timers'>,
  { stragglerRate, lateMs }: Pick<Premise, 'stragglerRate' | 'lateMs'>,
  random: Random,
): ReplayedTimes {
  const first = calls[0].at
  const span = calls[calls.length - 1].at - first + calls[calls.length - 1].ms
  const from = random.next() * span
  const at = (all: readonly TimedCall[], now: number) => all[lastBefore(all, first + ((from + now) % span))].ms
  return {
    serviceMs: (_, now) => at(calls, now) + (random.next() < stragglerRate ? lateMs : 0),
    timerMs: (now) => (timers.length ? at(timers, now) : 0),
  }
}

function lastBefore(calls: readonly TimedCall[], at: number): number {
  let [low, high] = [0, calls.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (calls[middle].at <= at) low = middle
    else high = middle
  }
  return low
}
