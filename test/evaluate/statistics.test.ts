import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { ci95, type Figure, type Interval, shareOf } from '../../src/evaluate/statistics'

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
