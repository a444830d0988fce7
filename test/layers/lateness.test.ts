import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { mean } from '../../src/base/stats'
import { type Ages, bestAges, Lateness } from '../../src/layers/lateness'
import type { Attempt } from '../../src/pool/attempt'

const MEDIAN = 10
const SLOTS = 27
/** Of so many slots. */
const load = (utilisation: number, slots = SLOTS) => ({ utilisation, slots })

/** The ages by trying every one: with the formulas as they are written, and none of the sums. */
function tried(seen: readonly number[], utilisation: number, slots: number): Ages {
  const times = [...seen, 100, 100].sort((a, b) => a - b)
  const n = times.length
  const median = times[(n - 1) >> 1]
  const older = (x: number) => times.filter((t) => t > x).length
  const S = (x: number) => older(x) / n
  const E = (x: number) => times.reduce((sum, t) => sum + Math.max(0, t - x), 0) / n
  const varied = Math.min(8, times.reduce((sum, t) => sum + t ** 2, 0) / n / E(0) ** 2)
  /** What a query waits on average, in mean times, at a load. */
  const waits = (r: number) => (varied / 2) * (r ** (Math.sqrt(2 * (slots + 1)) - 1) / (slots * (1 - r)))
  const busy = Math.min(0.98, utilisation)
  const step = 1e-5
  const more = busy && (busy * (waits(busy + step * busy) - waits(busy - step * busy))) / (2 * step * busy)
  const price = (share: number) => E(0) * (0.2 * share ** 2 + 25 * more * Math.max(0, share - 0.04) ** 2)
  const best = (gain: (d: number) => number, may: (d: number) => boolean) => {
    const ages = times.filter((d) => d >= median && S(d) <= 0.15 && may(d))
    return ages.reduce((a, b) => (gain(b) > gain(a) ? b : a))
  }
  const hedgeMs = best(
    (d) => E(d + median) - price(S(d)),
    (d) => (older(d) - older(d + median)) / n <= 0.05,
  )
  const giveMs = best(
    (d) => E(d) - (3 * median * S(d) ** 2) / 2,
    () => true,
  )
  const late = (ms: number) => Math.max(median + 2, 1.02 * ms)
  const share = S(hedgeMs)
  const worth = share ? E(hedgeMs + median) / share / E(0) : 0
  return { giveMs: late(Math.min(giveMs, hedgeMs)), hedgeMs: late(hedgeMs), worth: expect.closeTo(worth, 9) }
}

/** So many times by a law whose median is 10. */
function drawn(law: (random: ReturnType<typeof seeded>) => number, count = 500): number[] {
  const random = seeded(3)
  const times = Array.from({ length: count }, () => MEDIAN * law(random))
  return times.map((ms) => (ms * MEDIAN) / times.toSorted((a, b) => a - b)[(count - 1) >> 1])
}

const laws: [string, (random: ReturnType<typeof seeded>) => number][] = [
  ['lognormal, deviation .1', (random) => Math.exp(0.1 * random.gauss())],
  ['lognormal, deviation 1', (random) => Math.exp(random.gauss())],
  ['Pareto', (random) => (1 - random.next()) ** -0.5],
  ['2 % ten times slower', (random) => Math.exp(0.1 * random.gauss()) * (random.next() < 0.02 ? 10 : 1)],
  ['10 % ten times slower', (random) => Math.exp(0.1 * random.gauss()) * (random.next() < 0.1 ? 10 : 1)],
]

it.each(laws)('%s: the ages whose gain less the price is greatest', (_, law) => {
  const drawings = [18, 50, 98, 500].flatMap(
    // of 20 and 100, with those unseen, 15 % is a whole number
    (count) => [0, 0.6, 0.9, 1].flatMap((utilisation) => [1, 5, SLOTS].map((slots) => [count, utilisation, slots])),
  )
  for (const [count, utilisation, slots] of drawings) {
    const seen = drawn(law, count)
    expect(bestAges(Float64Array.from(seen).sort(), load(utilisation, slots))).toEqual(tried(seen, utilisation, slots))
  }
})

it('a tenth that takes ten times as long is asked again before it comes, all of it', () => {
  const [, law] = laws[4]
  const { hedgeMs } = bestAges(Float64Array.from(drawn(law)).sort(), load(0.6))
  expect(hedgeMs).toBeGreaterThan(10)
  expect(hedgeMs).toBeLessThan(20) // a 95th percentile is about 100
})

it('what comes late by chance is worth little, what takes ten times as long much', () => {
  const ages = ([, law]: (typeof laws)[number]) => bestAges(Float64Array.from(drawn(law)).sort(), load(0.6))
  const [spread, lump] = [ages(laws[1]), ages(laws[4])]
  expect(spread.worth).toBeLessThan(2) // whoever is late by chance is so by little
  expect(lump.worth).toBeGreaterThan(3)
})

it('the busier the workers, the later another one is asked', () => {
  const times = Float64Array.from(drawn(laws[1][1])).sort()
  const ages = [0, 0.5, 0.8, 0.95].map((utilisation) => bestAges(times, load(utilisation)).hedgeMs)
  expect(ages).toEqual([...ages].sort((a, b) => a - b))
  expect(ages[3]).toBeGreaterThan(ages[0])
})

it('the fewer workers share the load, the later another one is asked: others wait longer for it', () => {
  const times = Float64Array.from(drawn(laws[1][1])).sort()
  const ages = [100, SLOTS, 5, 1].map((slots) => bestAges(times, load(0.8, slots)).hedgeMs)
  expect(ages).toEqual([...ages].sort((a, b) => a - b))
  expect(ages[3]).toBeGreaterThan(1.2 * ages[0])
})

it('where every machine is at work one attempt in twenty-five is asked again all the same, and hardly more', () => {
  for (const [, law] of [laws[1], laws[2], laws[4]]) {
    const times = Float64Array.from(drawn(law)).sort()
    const share = (slots: number) => {
      const { hedgeMs } = bestAges(times, load(1, slots))
      return times.filter((ms) => ms * 1.02 > hedgeMs).length / times.length
    }
    for (const slots of [3, SLOTS]) {
      expect(share(slots)).toBeGreaterThan(0.03)
      expect(share(slots)).toBeLessThan(0.07)
    }
  }
})

it('equal times: nothing that comes as always is asked again', () => {
  expect(bestAges(new Float64Array(500).fill(10), load(0.5)).hedgeMs).toBeGreaterThanOrEqual(12)
})

it('before 50 times were seen three medians are late, before 10 nothing is; each time that is known anew, it is told', () => {
  const lateness = new Lateness(() => load(0.5))
  const known: (number | undefined)[] = []
  lateness.known = () => known.push(lateness.ages?.hedgeMs)
  for (let i = 0; i < 49; i++) {
    expect(lateness.ages).toEqual(i < 10 ? undefined : { giveMs: 30, hedgeMs: 30, worth: Number.POSITIVE_INFINITY })
    lateness.see(10)
  }
  expect(known).toEqual(Array(40).fill(30))
  for (let i = 49; i < 150; i++) lateness.see(10)
  expect(known.length).toBe(45) // of 50, 75, 100, 125 and 150
})

it.each(laws)('%s: attempts that were cut short tell as much as if they had gone on', (_, law) => {
  const random = seeded(7)
  /** Where all take as long as they do; or another one is asked at this age, and the first is cut short when that has answered. */
  const ages = (cutsFrom = Number.POSITIVE_INFINITY) => {
    const found = Array.from({ length: 100 }, () => {
      const lateness = new Lateness(() => load(0.3))
      for (let i = 0; i < 500; i++) {
        const [ms, until] = [MEDIAN * law(random), cutsFrom + MEDIAN * law(random)]
        lateness.see(Math.min(ms, until), ms > until)
      }
      return lateness.ages as Ages
    })
    return { hedgeMs: mean(found.map(({ hedgeMs }) => hedgeMs)), worth: mean(found.map(({ worth }) => worth)) }
  }
  const all = ages()
  const cut = ages(all.hedgeMs)
  expect(Math.abs(cut.hedgeMs / all.hedgeMs - 1)).toBeLessThan(0.04)
  expect(Math.abs(cut.worth / all.worth - 1)).toBeLessThan(0.25) // taken for times they would tell of less than a half
})

it('what was cancelled or lost with its worker would have taken longer; a failure, or what never began, tells nothing', () => {
  const failed = (lost: 'down' | 'silent' | undefined) => ({ kind: 'failed', lost }) as never
  const worth = (outcome: Attempt['outcome'], ranMs: number) => {
    const lateness = new Lateness(() => load(0.3))
    const tell = (told: Partial<Attempt>) => lateness.tell({ comparable: true, factor: 2, ...told } as Attempt)
    for (let i = 0; i < 100; i++) tell(i % 10 ? { outcome: { kind: 'answered', answer: 0 }, ranMs: 20 } : { outcome, ranMs }) // biome-ignore format: one line
    return lateness.ages?.worth
  }
  const nothing = worth({ kind: 'cancelled' }, 0)
  for (const outcome of [{ kind: 'cancelled' } as const, failed('silent'), failed('down')]) {
    expect(worth(outcome, 60)).toBeCloseTo(worth({ kind: 'answered', answer: 0 }, 200) as number) // as if all had taken ten medians
    expect(worth(outcome, 0)).toBe(nothing)
  }
  expect(worth(failed(undefined), 60)).toBe(nothing)
})

it('what took longer since it was larger, or shared a batch, tells what one of typical size takes', () => {
  const lateness = new Lateness(() => load(0))
  const answered = { outcome: { kind: 'answered' }, comparable: true, ranMs: 40, factor: 4 } as Attempt
  for (let i = 0; i < 10; i++) lateness.tell(answered)
  expect(lateness.medianMs).toBe(10)
  for (let i = 0; i < 90; i++) lateness.tell({ ...answered, comparable: false, ranMs: 1000 })
  expect(lateness.medianMs).toBe(10)
})

it('of an even number of times the lower one in the middle is the median, also where some were cut short', () => {
  const medianOf = (longest: number, isCut: boolean) => {
    const lateness = new Lateness(() => load(0))
    for (let ms = 1; ms < 10; ms++) lateness.see(ms)
    lateness.see(longest, isCut)
    return lateness.medianMs
  }
  expect([medianOf(10, false), medianOf(10, true), medianOf(100, true)]).toEqual([5, 5, 5])
})
