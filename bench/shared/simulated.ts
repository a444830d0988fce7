/** Laws of the time that simulated workers take; the plainest is the demo's, too. */

import type { Random } from '../../src/base/random'
import { lognormal, randomTrouble, type ServiceTime } from '../../src/testing/simulated-worker'

export {
  MEDIAN_MS,
  randomTrouble,
  type ServiceTime,
  SimulatedWorker,
  type Simulation,
} from '../../src/testing/simulated-worker'

/** At any time two workers are five times slower; others every five seconds. */
export function wanderingTrouble(random: Random, workers: number): ServiceTime {
  let [since, slow] = [Number.NEGATIVE_INFINITY, [0, 0]]
  return (index, now) => {
    if (now - since >= 5000) {
      since = now
      slow = random.choose(workers, 2)
    }
    return lognormal(random) * (slow.includes(index) ? 5 : 1)
  }
}

/** One in five answers takes two and a half times as long, whoever gives it; and 2 % of calls ten times. */
export function bimodal(random: Random): ServiceTime {
  return () => lognormal(random) * (random.next() < 0.2 ? 2.5 : 1) * (random.next() < 0.02 ? 10 : 1)
}

/** Every second each worker rests for 50 ms, each at a moment of its own; what it is at work on takes so much longer. */
export function pauses(random: Random, workers: number): ServiceTime {
  const [every, rest] = [1000, 50]
  const phases = Array.from({ length: workers }, () => every * random.next())
  return (index, now) => {
    const ms = lognormal(random)
    const since = (now + phases[index]) % every // the rest begins at 0
    if (since < rest) return rest - since + ms
    return since + ms > every ? ms + rest : ms
  }
}

/** As `randomTrouble`, and from the third second on all are three times as slow for ten seconds. */
export function slowPool(random: Random): ServiceTime {
  const law = randomTrouble(random)
  const [from, to] = [3000, 13_000]
  return (index, now) => law(index, now) * (now >= from && now < to ? 3 : 1)
}
