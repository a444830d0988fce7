/**
 * Times of simulated workers: measured calls are replayed in their order, so that what slows all workers at once does so here as well, and some answers
 * come late besides.
 */

import type { Random } from '../base/random'
import type { ServiceTime } from '../testing/simulated-worker'
import type { Premise } from './premise'
import type { TimedCall } from './straggling-worker'

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
