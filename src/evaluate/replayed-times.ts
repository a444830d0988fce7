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
  /** How much later than set timers fire: median. */
  readonly timerMs: number
  /** In the order in which they began. */
  readonly calls: readonly TimedCall[]
  /** The model's answers to the queries that were asked, by their index. */
  readonly answers: ReadonlyMap<number, TensorList>
}

/** @param calls  in the order in which they began; at least one */
export function replayed(
  calls: readonly TimedCall[],
  { stragglerRate, lateMs }: Pick<Premise, 'stragglerRate' | 'lateMs'>,
  random: Random,
): ServiceTime {
  const first = calls[0].at
  const span = calls[calls.length - 1].at - first + calls[calls.length - 1].ms
  const from = random.next() * span
  return (_, now) => {
    const { ms } = calls[lastBefore(calls, first + ((from + now) % span))]
    return ms + (random.next() < stragglerRate ? lateMs : 0)
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
