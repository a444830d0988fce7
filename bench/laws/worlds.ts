/** The worlds of bench laws: how long answers take, and how queries arrive. */

import type { Random } from '../../src/base/random'
import { MEDIAN_MS, type ServiceTime, wanderingTrouble } from '../shared/simulated'

export interface World {
  /** @param spanMs  how long the run will take */
  law(random: Random, workers: number, spanMs: number): ServiceTime
  /** What an answer takes on average at the speed of all machines together, in ms: the arrivals are reckoned by it. */
  meanMs(workers: number): number
  /** How many times the mean rate queries arrive at, at a time. Default: always once. */
  rate?(random: Random): (now: number) => number
}

type Draw = (random: Random) => number

const world = (draw: Draw, mean: number): World => ({
  law: (random) => () => MEDIAN_MS * draw(random),
  meanMs: () => MEDIAN_MS * mean,
})
const lognormal = (deviation: number) =>
  world((random) => Math.exp(deviation * random.gauss()), Math.exp(deviation ** 2 / 2))
const pareto = (alpha: number) =>
  world((random) => ((1 - random.next()) * 2) ** (-1 / alpha), alpha / (alpha - 1) / 2 ** (1 / alpha))
const TIGHT = 0.1
/** A share of the calls takes ten times as long. */
const tight = (share: number) =>
  world(
    (random) => Math.exp(TIGHT * random.gauss()) * (random.next() < share ? 10 : 1),
    Math.exp(TIGHT ** 2 / 2) * (1 + 9 * share),
  )
/** The same with the law of a public benchmark of hedging: a mean of 10 ms, a deviation of 4. */
const spread = (share: number) =>
  world((random) => Math.max(0.1, 1 + 0.4 * random.gauss()) * (random.next() < share ? 10 : 1), 1 + 9 * share)

/** A share of the machines is so many times slower. */
function twoSpeeds(share: number, times: number, of: World): World {
  return {
    law(random, workers, spanMs) {
      const own = of.law(random, workers, spanMs)
      return (index, now) => own(index, now) * (index < share * workers ? times : 1)
    },
    meanMs(workers) {
      const slow = Math.ceil(share * workers)
      return (of.meanMs(workers) * workers) / (workers - slow + slow / times)
    },
  }
}

/** All machines get slower and faster again. The arrivals are reckoned by the slowest time. @param at  a part of the run, 0 to 1 */
function slowing(most: number, times: (at: number) => number, of: World): World {
  return {
    law(random, workers, spanMs) {
      const own = of.law(random, workers, spanMs)
      return (index, now) => own(index, now) * times(now / spanMs)
    },
    meanMs: (workers) => most * of.meanMs(workers),
  }
}

/** How much faster than on average queries arrive in a burst, and slower between bursts; and how long both last on average. */
const BURST = { more: 0.6, ms: 200 }
function inBursts(random: Random): (now: number) => number {
  let [isBurst, until] = [false, 0]
  return (now) => {
    while (now >= until) {
      isBurst = !isBurst
      until -= BURST.ms * Math.log(1 - random.next())
    }
    return 1 + (isBurst ? BURST.more : -BURST.more)
  }
}

export const worlds: Record<string, World> = {
  constant: lognormal(0),
  'deviation .1': lognormal(0.1),
  'deviation .35': lognormal(0.35),
  'deviation .5': lognormal(0.5),
  'deviation .8': lognormal(0.8),
  'deviation 1': lognormal(1),
  'deviation 1.5': lognormal(1.5),
  exponential: world((random) => -Math.log(1 - random.next()) / Math.LN2, 1 / Math.LN2),
  'Pareto 1.5': pareto(1.5),
  'Pareto 2.1': pareto(2.1),
  'tight 1 %': tight(0.01),
  'tight 2 %': tight(0.02),
  'tight 5 %': tight(0.05),
  'tight 10 %': tight(0.1),
  'spread 2 %': spread(0.02),
  'spread 5 %': spread(0.05),
  'spread 10 %': spread(0.1),
  'half 3 times slower': twoSpeeds(0.5, 3, lognormal(TIGHT)),
  'half 3 times slower, tight 2 %': twoSpeeds(0.5, 3, tight(0.02)),
  'a third 3 times slower, deviation .8': twoSpeeds(1 / 3, 3, lognormal(0.8)),
  'a third 10 times slower': twoSpeeds(1 / 3, 10, lognormal(TIGHT)),
  wandering: {
    law: wanderingTrouble,
    meanMs: (workers) => (lognormal(TIGHT).meanMs(workers) * workers) / (workers - 2 + 2 / 5),
  },
  drift: slowing(3, (at) => 1 + 2 * Math.sin(Math.PI * at) ** 2, tight(0.02)),
  steps: slowing(3, (at) => (at >= 1 / 3 && at < 2 / 3 ? 3 : 1), tight(0.02)),
  bursts: { ...tight(0.02), rate: inBursts },
}
