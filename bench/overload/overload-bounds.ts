/** What bench overload compares with: a server that knows each time beforehand, and the most that anybody gets who knows their law alone. */

import { seeded } from '../../src/base/random'

/** A cell: lognormal times around a median of 1, offered so many times the capacity. */
export interface Cell {
  deviation: number
  load: number
  /** Deadlines, in services: each query has one of these. */
  deadlines: readonly number[]
  /** Whether a machine stops when its query is due. */
  stops: boolean
  workers: number
  queries: number
  seed: number
}

/** Where it takes exp(deviation * gauss): the share that takes at most so long. */
function shareOf(deviation: number): (takes: number) => number {
  return (takes) => (takes > 0 ? normal(Math.log(takes) / deviation) : 0)
}

/** The normal distribution (Abramowitz and Stegun 26.2.17). */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly
  return z > 0 ? 1 - tail : tail
}

export const meanOf = (deviation: number) => Math.exp(deviation ** 2 / 2)

/**
 * The most that anybody answers in time, over the capacity, who knows the law of the times but none before it is over: each answer needs an
 * inference that is not given up too soon, and what machines do until then is not to be had for less.
 */
export function lawBound({ deviation, load, deadlines: [deadline], stops }: Cell): number {
  const [mean, share] = [meanOf(deviation), shareOf(deviation)]
  const due = deadline * mean
  const worked = (until: number) => mean * normal(Math.log(until) / deviation - deviation) + until * (1 - share(until))
  const ages = Array.from({ length: 200 }, (_, i) => ((i + 1) / 200) * due)
  const best = stops ? Math.max(...ages.map((age) => share(age) / worked(age))) : share(due) / mean
  return Math.min(best * mean, load * share(due))
}

/** Share of the machines' time that goes to queries which are late though they are begun at once. */
export function lateOf({ deviation, deadlines: [deadline], stops }: Cell): number {
  const [mean, due] = [meanOf(deviation), deadline * meanOf(deviation)]
  const inTime = mean * normal(Math.log(due) / deviation - deviation)
  const late = stops ? due * (1 - shareOf(deviation)(due)) : mean - inTime
  return late / (inTime + late)
}

/** Goodput of a server that knows what each query will take, begins the newest first, and none that would be late. */
export function clairvoyant({ deviation, load, deadlines, workers, queries, seed }: Cell): number {
  const random = seeded(seed)
  const mean = meanOf(deviation)
  const waiting: { dueAt: number; takes: number }[] = []
  const ends: number[] = []
  let [now, good] = [0, 0]
  const fill = () => {
    while (ends.length < workers && waiting.length) {
      const { dueAt, takes } = waiting.pop() as (typeof waiting)[number]
      if (now + takes > dueAt) continue
      ends.push(now + takes)
      good++
    }
  }
  const finish = (until: number) => {
    for (let end = Math.min(...ends); end <= until; end = Math.min(...ends)) {
      now = end
      ends.splice(ends.indexOf(end), 1)
      fill()
    }
  }
  for (let i = 0, at = 0; i < queries; i++) {
    finish(at)
    now = at
    const takes = Math.exp(deviation * random.gauss())
    const dueAt = at + deadlines[i % deadlines.length] * mean
    if (now + takes <= dueAt) waiting.push({ dueAt, takes })
    fill()
    at -= (Math.log(1 - random.next()) * mean) / (load * workers)
  }
  return (good * mean) / (now * workers)
}
