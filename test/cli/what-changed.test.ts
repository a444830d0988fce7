/** What the operators' page says has changed, and how it stands with workers. */

import type { PredictorEvent } from 'approxifer'
import { beforeAll, expect, it } from 'vitest'
import { RecentWork } from '../../src/cli/page/recent'
import { workersIn } from '../../src/cli/page/words'
import { Metrics } from '../../src/cli/serve/metrics'
import { overviewOf, type ServedStats } from '../../src/cli/serve/overview'
import { lies } from '../shared/lying-answers'
import { stream } from '../shared/lying-workers'

/** A fleet of four, of which the first lies. */
async function lyingFleet() {
  const events: PredictorEvent[] = []
  const options = { liars: 1, count: 4, queries: 2000, lie: lies['the same lie'] }
  const { stats } = await stream(1, { ...options, onEvent: (event) => events.push(event) })
  return { events, stats: { ...stats, modelVersions: [] } satisfies ServedStats }
}

let fleet: Awaited<ReturnType<typeof lyingFleet>>
beforeAll(async () => {
  fleet = await lyingFleet()
})

it('one liar does not flood what changed', () => {
  const { events } = fleet
  const told = events.filter(({ event }) => event === 'lied')
  expect(told.length).toBeGreaterThan(20)
  const recent = new RecentWork()
  recent.take({ event: 'lost', at: 0, worker: 'another', identity: 'another' } as PredictorEvent)
  for (const event of events) recent.take(event)
  const texts = recent.news.map(({ text }) => text)
  expect(new Set(texts).size).toBe(texts.length)
  expect(texts).toContain('another is out of reach, and is tried again')
  const [lied, ...others] = recent.news.filter(({ text }) => text.includes(' lied: an answer'))
  expect(others).toEqual([])
  expect(lied).toMatchObject({ count: told.length, since: told[0].at, at: told.at(-1)?.at })
})

it('what a server tells anew is not counted twice', () => {
  const recent = new RecentWork()
  const lied = (at: number) => ({ event: 'lied', at, worker: 'b', identity: 'b' }) as PredictorEvent
  for (const at of [1, 2, 3]) recent.take(lied(at))
  recent.clear()
  for (const at of [2, 3, 4]) recent.take(lied(at))
  expect(recent.news).toMatchObject([{ count: 4, since: 1, at: 4 }])
})

it('a thousand liars take no more memory than the lines that are shown', () => {
  const recent = new RecentWork()
  for (let at = 1; at <= 1000; at++)
    recent.take({ event: 'lied', at, worker: `w${at}`, identity: '' } as PredictorEvent)
  expect(recent.news.map(({ at }) => at)).toEqual([1000, 999, 998, 997, 996, 995, 994, 993])
})

it('the metrics and the page count the same workers up, and an ejected one is not', async () => {
  const { stats } = fleet
  const overview = overviewOf('m', stats)
  expect(overview.states).toMatchObject({ up: 3, ejected: 1 })
  expect(workersIn(overview)).toBe('3 of 4 workers up, 1 ejected')
  const metrics = new Metrics(
    () => [['m', stats]],
    () => 0,
    () => 0,
  )
  const text = await (await metrics.response()).text()
  const counted = [...text.matchAll(/^approxifer_workers\{model="m",state="(\w+)"\} (\d+)$/gm)]
  expect(Object.fromEntries(counted.map(([, state, count]) => [state, Number(count)]))).toEqual(overview.states)
})
