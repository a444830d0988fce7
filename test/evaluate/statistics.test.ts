import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import {
  ci95,
  enoughToTell,
  type Figure,
  type Interval,
  lossOf,
  medianInterval,
  pairedRatio,
  percentiles,
  resampledQuantile,
  shareOf,
} from '../../src/evaluate/statistics'

const width = ([low, high]: Interval) => high - low
const distinct = (values: readonly number[]): Figure[] => values.map((value, i) => ({ query: i, group: i, value }))
/** The same queries in other groups, with the same outcome. */
const again = (figures: readonly Figure[], times: number): Figure[] =>
  Array.from({ length: times }, (_, time) =>
    figures.map(({ query, value }, i) => ({ query, group: time * figures.length + i, value })),
  ).flat()

describe('intervals', () => {
  const hits = Array.from({ length: 40 }, (_, i) => Number(i % 5 > 0))

  it('do not get narrower by the same queries again, but by others', () => {
    for (const of of [ci95, (figures: readonly Figure[]) => shareOf(figures).ci95]) {
      const once = width(of(distinct(hits)))
      expect(width(of(again(distinct(hits), 10)))).toBeGreaterThan(0.999 * once)
      expect(width(of(distinct(again(distinct(hits), 10).map(({ value }) => value))))).toBeLessThan(0.35 * once)
    }
  })

  it('do not get narrower by more queries of groups that fail as one', () => {
    const groups = hits.flatMap((value, group) => Array.from({ length: 8 }, (_, i) => ({ query: 8 * group + i, group, value }))) // biome-ignore format: one line
    expect(width(shareOf(groups).ci95)).toBeGreaterThan(0.999 * width(shareOf(distinct(hits)).ci95))
  })

  it('hold what is true 95 times in a hundred, though every query is drawn ten times', () => {
    const random = seeded(1)
    const runs = Array.from({ length: 400 }, () => {
      const figures = hits.flatMap((_, query) => {
        const chance = random.next() < 0.75 ? 0.95 : 0.15 // easy queries, and hard ones: three quarters right in all
        return Array.from({ length: 10 }, (_, i) => ({ query, group: 10 * query + i, value: Number(random.next() < chance) })) // biome-ignore format: one line
      })
      return [ci95(figures), shareOf(figures).ci95].map(([low, high]) => low <= 0.75 && 0.75 <= high)
    })
    for (const i of [0, 1]) {
      const held = runs.filter((run) => run[i]).length / runs.length
      expect(held).toBeGreaterThan(0.92)
      expect(held).toBeLessThan(0.99)
    }
  })

  it('are Student’s for few queries', () => {
    const [low, high] = ci95(distinct([1, 2, 3, 4]))
    expect(Math.abs(low - (2.5 - 3.182 * 0.6455))).toBeLessThan(0.03)
    expect(low + high).toBeCloseTo(5, 9)
  })

  it('are honest where all are right: as wide as the queries are few', () => {
    const [few, many] = [4, 400].map((count) => shareOf(again(distinct(new Array(count).fill(1)), 10)).ci95)
    expect(few[0]).toBeLessThan(0.4)
    expect(many[0]).toBeGreaterThan(0.985)
    expect([few[1], many[1]]).toEqual([1, 1])
    expect(shareOf(distinct([1])).ci95.every(Number.isFinite)).toBe(true)
  })
})

/** Share of seeded repetitions in which the interval holds what is true. */
function coverage(truth: number, interval: (random: ReturnType<typeof seeded>) => Interval, repetitions = 300): number {
  const random = seeded(3)
  const runs = Array.from({ length: repetitions }, () => interval(random))
  return runs.filter(([low, high]) => low <= truth && truth <= high).length / repetitions
}
const exponential = (random: ReturnType<typeof seeded>) => -Math.log(1 - random.next())

describe('intervals hold what is true about 95 times in a hundred', () => {
  it('of a p99, where five queries in a row wait for one straggler', () => {
    const run = (random: ReturnType<typeof seeded>) =>
      Array.from({ length: 800 }, () => new Array<number>(5).fill(exponential(random))).flat()
    const held = coverage(-Math.log(0.01), (random) => percentiles(resampledQuantile(run(random), 0.99).resamples))
    expect(held).toBeGreaterThan(0.88)
    expect(held).toBeLessThan(0.99)
  })

  it('of a median', () => {
    const held = coverage(Math.LN2, (random) => medianInterval(Array.from({ length: 101 }, () => exponential(random))))
    expect(held).toBeGreaterThan(0.92)
    expect(held).toBeLessThan(0.985)
  })

  it('of a loss, by answers to the same queries', () => {
    const figure = (value: number, i: number): Figure => ({ query: i, group: i, value })
    const held = coverage(0.04, (random) => {
      const draws = Array.from({ length: 200 }, () => random.next())
      const [lost, gained] = [draws.map((draw) => Number(draw < 0.06)), draws.map((draw) => Number(draw > 0.98))]
      return lossOf(shareOf(lost.map(figure)), shareOf(gained.map(figure))).ci95
    })
    expect(held).toBeGreaterThan(0.92)
    expect(held).toBeLessThan(0.985)
  })
})

it('a ratio of two runs of the same queries is narrower than of two that have nothing in common', () => {
  const random = seeded(9)
  const run = Array.from({ length: 2000 }, () => exponential(random))
  const other = Array.from({ length: 2000 }, () => exponential(random))
  const ratioTo = (values: readonly number[]) =>
    pairedRatio(resampledQuantile(run.map((value) => 0.8 * value), 0.99), resampledQuantile(values, 0.99)) // biome-ignore format: one line
  expect(ratioTo(run).ratio).toBeCloseTo(0.8, 9)
  expect(width(ratioTo(run).ci95)).toBeLessThan(1e-9)
  expect(width(ratioTo(other).ci95)).toBeGreaterThan(0.1)
})

it('half the distance to the limit needs four times the observations; none tell what is at the limit', () => {
  expect(enoughToTell(100, 0.8, [0.6, 1], 0.9)).toBe(400)
  expect(enoughToTell(100, 0.95, [0.9, 1], 0.9)).toBe(100)
  expect(enoughToTell(100, 0.9, [0.8, 1], 0.9)).toBeUndefined()
})
