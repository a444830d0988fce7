import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defects } from './defects'
import { violations } from './history'
import { drawn } from './schedule'
import { shrunk } from './shrink'
import { run } from './world'

/** Two thousand of 500 queries take a quarter of an hour: `npm run simulate -- --seeds 2000`. */
const SEEDS = process.env.CI ? 150 : 40
const QUERIES = 300

describe('the simulation', () => {
  it(
    'keeps every promise, whatever befalls it',
    async () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        expect({ seed, broken: violations(await run(drawn(seed, QUERIES))) }).toEqual({ seed, broken: [] })
      }
    },
    2 * 60_000,
  )

  it('is the same to the byte each time', async () => {
    const histories = [0, 1].map(async () => JSON.stringify(await run(drawn(7, QUERIES))))
    const [first, second] = await Promise.all(histories)
    expect(first.length).toBeGreaterThan(10_000)
    expect(second).toBe(first)
  })

  it('has every kind of trouble and of ending', async () => {
    const seen = new Set<string>()
    const all = ['asked', 'left', 'given', 'joins', 'leaves', 'a lie', 'ejected', 'readmitted', 'exact', 'checked', 'recovered', 'unverified', 'DEADLINE', 'OVERLOADED', 'ABORTED', 'QUORUM', 'WORKER'] // biome-ignore format: one line
    for (let seed = 1; seed <= 100 && !all.every((kind) => seen.has(kind)); seed++) {
      for (const entry of (await run(drawn(seed, QUERIES))).entries) {
        seen.add(entry.what)
        if (entry.what === 'answered') seen.add(entry.status)
        if (entry.what === 'failed') seen.add(entry.code)
        if (entry.what === 'verdict') seen.add(entry.kind)
        if (entry.what === 'replied' && entry.lied) seen.add('a lie')
      }
    }
    expect(all.filter((kind) => !seen.has(kind))).toEqual([])
  })
})

it.each(defects)('the defect "$name" can be put back', ({ file, from, to }) => {
  expect(readFileSync(join('src', file), 'utf8').split(from).length - 1).toBe(1)
  expect(to).not.toBe(from)
})

it('a schedule is cut down to the events that it takes', async () => {
  const schedule = drawn(3, 60)
  let tries = 0
  const small = await shrunk(schedule, async ({ events }) => {
    tries++
    const asked = events.flatMap((event) => (event.what === 'ask' ? event.query : []))
    return asked.includes(11) && asked.includes(47)
  })
  expect(small.events.flatMap((event) => (event.what === 'ask' ? event.query : []))).toEqual([11, 47])
  expect(small.machines.length).toBeLessThanOrEqual(schedule.machines.length)
  expect(tries).toBeLessThan(200)
})
