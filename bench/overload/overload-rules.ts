/** Rules for who waits and who is begun, simulated by hand: those that know each time beforehand, and those that lost to `src/pool/forecast.ts`. */

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

/** What a rule came to. */
export interface Outcome {
  /** Answers in time, over what the machines answer at most in that time. */
  goodput: number
  /** Share of the machines' time that went to queries that failed. */
  wasted: number
  /** Share of all queries that failed, and knew it only after having waited. */
  toldLate: number
}

interface Waiting {
  at: number
  dueAt: number
  /** What it will take: for clairvoyants alone. */
  takes: number
}

interface House {
  now: number
  queue: Waiting[]
  workers: number
  /** What an inference takes on average, and the share that takes at most so long. */
  mean: number
  share(takes: number): number
}

export interface Rule {
  /** Whether a query that no machine is free for may wait; one that one is free for, only of clairvoyants. */
  admits(query: Waiting, house: House, isFree: boolean): boolean
  /** Whether one is begun that has waited, or given up. */
  begins(query: Waiting, house: House): boolean
  /** Of those that wait, the next; oldest first. */
  next(house: House): number
}

const oldest = () => 0
const newest = ({ queue }: House) => queue.length - 1
const urgent = ({ queue }: House) => queue.reduce((best, { dueAt }, i) => (dueAt < queue[best].dueAt ? i : best), 0)
const anyone = () => true
const waitOf = ({ queue, workers, mean }: House, before = queue.length) => ((before + 0.5) * mean) / workers
const knows = ({ dueAt, takes }: Waiting, { now }: House) => now + takes <= dueAt

/** Admission by the expected wait and a fixed quantile of the times. */
const byQuantile = (share: number | 'mean'): Rule => {
  const fits = (waitMs: number, { dueAt }: Waiting, { now, mean, share: of }: House) => {
    const left = dueAt - now - waitMs
    return share === 'mean' ? left >= mean : of(left) >= share
  }
  return {
    admits: (query, house, isFree) => isFree || fits(waitOf(house), query, house),
    begins: (query, house) => fits(0, query, house),
    next: oldest,
  }
}

/** Admission by what is left of a query's chance. */
const byChance = (admitted: number, begun: number, next: Rule['next'] = oldest): Rule => {
  const left = (waitMs: number, { at, dueAt }: Waiting, { now, share }: House) => share(dueAt - now - waitMs) / share(dueAt - at) // biome-ignore format: one line
  const before = (query: Waiting, { queue }: House) =>
    next === urgent ? queue.filter(({ dueAt }) => dueAt <= query.dueAt).length : queue.length
  return {
    admits: (query, house, isFree) => isFree || left(waitOf(house, before(query, house)), query, house) >= admitted,
    begins: (query, house) => left(0, query, house) >= begun,
    next,
  }
}

/** The same, more of it while queries are refused, and of a queue that grows shorter then; what the package does. */
const short = (): Rule => {
  const [lenient, strict] = [byChance(0.8, 0.8), byChance(0.95, 0.8)]
  let length = 1
  return {
    ...lenient,
    admits(query, house, isFree) {
      const { queue, workers, now } = house
      const isShort = queue.length < Math.max(2, workers / 2)
      const fits = isShort || waitOf(house) <= length * (query.dueAt - now)
      const isIn = isFree || (fits && (length > 0.5 ? lenient : strict).admits(query, house, isFree))
      length = Math.min(1, Math.max(0, length + (isIn ? Number(isShort) : -10) / (20 * workers)))
      return isIn
    },
  }
}

/** Facebook's adaptive LIFO with CoDel: newest first once the queue has stood for an interval; who is too late by a quantile leaves. */
const codel = (share: number): Rule => {
  let emptyAt = 0
  return {
    admits: anyone,
    begins: ({ dueAt }, { now, share: of }) => of(dueAt - now) >= share,
    next: (house) => {
      const { queue, now, mean } = house
      if (queue.length < 2) emptyAt = now
      return now - emptyAt > mean ? newest(house) : oldest()
    },
  }
}

const clairvoyant = (next: Rule['next']): Rule => ({ admits: knows, begins: knows, next })

/** Both know what each query will take, and begin none that would be late; the second one thereby chooses short ones where much waits. */
export const clairvoyants = { 'newest first': () => clairvoyant(newest), 'oldest first': () => clairvoyant(oldest) }

export const OURS = '.8 and .8 of the chance, shorter while queries are refused'

export const rules: Record<string, () => Rule> = {
  'none: first come, first served': () => ({ admits: anyone, begins: ({ dueAt }, { now }) => now < dueAt, next: oldest }), // biome-ignore format: one line
  'expected wait and mean': () => byQuantile('mean'),
  'expected wait and median': () => byQuantile(0.5),
  'expected wait and p90': () => byQuantile(0.9),
  'adaptive LIFO with CoDel, median': () => codel(0.5),
  'adaptive LIFO with CoDel, p90': () => codel(0.9),
  'earliest deadline first, .95 and .9 of the chance': () => byChance(0.95, 0.9, urgent),
  'newest first, .95 and .9 of the chance': () => byChance(0.95, 0.9, newest),
  '.9 and .5 of the chance': () => byChance(0.9, 0.5),
  '.98 and .9 of the chance': () => byChance(0.98, 0.9),
  '.95 and .9 of the chance': () => byChance(0.95, 0.9),
  [OURS]: short,
}

/** Where it takes exp(deviation * gauss): the share that takes at most so long. */
export function shareOf(deviation: number): (takes: number) => number {
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

export function simulateRule(rule: Rule, { deviation, load, deadlines, stops, workers, queries, seed }: Cell): Outcome {
  const random = seeded(seed)
  const mean = meanOf(deviation)
  const house: House = { now: 0, queue: [], workers, mean, share: shareOf(deviation) }
  const { queue } = house
  const ends: number[] = []
  const sums = { good: 0, busy: 0, wasted: 0, late: 0 }
  const begin = ({ dueAt, takes }: Waiting) => {
    const isGood = house.now + takes <= dueAt
    const busy = isGood || !stops ? takes : dueAt - house.now
    ends.push(house.now + busy)
    sums.busy += busy
    if (isGood) sums.good++
    else sums.wasted += busy
  }
  const fill = () => {
    while (ends.length < workers && queue.length) {
      const [query] = queue.splice(rule.next(house), 1)
      if (rule.begins(query, house)) begin(query)
      else sums.late += Number(query.at < house.now)
    }
  }
  const finish = (until: number) => {
    for (let end = Math.min(...ends); end <= until; end = Math.min(...ends)) {
      house.now = end
      ends.splice(ends.indexOf(end), 1)
      fill()
    }
  }
  for (let i = 0, at = 0; i < queries; i++) {
    finish(at)
    house.now = at
    const takes = Math.exp(deviation * random.gauss())
    const query = { at, dueAt: at + deadlines[i % deadlines.length] * mean, takes }
    const isFree = ends.length < workers
    if (rule.admits(query, house, isFree)) queue.push(query)
    fill()
    at -= (Math.log(1 - random.next()) * mean) / (load * workers)
  }
  const span = house.now
  return { goodput: (sums.good * mean) / (span * workers), wasted: sums.wasted / sums.busy, toldLate: sums.late / queries } // biome-ignore format: one line
}
