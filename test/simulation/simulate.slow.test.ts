import { describe, expect, it } from 'vitest'
import { violations } from './history'
import { drawn, type Schedule } from './schedule'
import { run } from './world'

/** Two thousand of 500 queries take a quarter of an hour: `npm run simulate -- --seeds 2000`. */
const SEEDS = process.env.CI ? 150 : 40
const QUERIES = 300

/** Kinds of trouble, and of endings. */
const kinds = ['asked', 'left', 'given', 'joins', 'leaves', 'a lie', 'ejected', 'readmitted', 'exact', 'checked', 'recovered', 'unverified', 'DEADLINE', 'OVERLOADED', 'ABORTED', 'QUORUM', 'WORKER', 'killed', 'stalled', 'a return'] // biome-ignore format: one line
const seen = new Set<string>()

/** A run, of which it is noted what it had. */
async function watched(schedule: Schedule) {
  const history = await run(schedule)
  for (const entry of history.entries) {
    seen.add(entry.what)
    if (entry.what === 'answered') seen.add(entry.status)
    if (entry.what === 'failed') seen.add(entry.code)
    if (entry.what === 'asked' && entry.before !== undefined) seen.add('a return')
    if (entry.what === 'verdict') seen.add(entry.kind)
    if (entry.what === 'replied' && entry.lied) seen.add('a lie')
  }
  return history
}

describe('the simulation', () => {
  it('keeps every promise, whatever befalls it', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      expect({ seed, broken: violations(await watched(drawn(seed, QUERIES))) }).toEqual({ seed, broken: [] })
    }
  }, 1_200_000) // it is all processor time: two minutes alone, more than five beside busy processes

  it('is the same to the byte each time', async () => {
    const histories = [0, 1].map(async () => JSON.stringify(await run(drawn(7, QUERIES))))
    const [first, second] = await Promise.all(histories)
    expect(first.length).toBeGreaterThan(10_000)
    expect(second).toBe(first)
  })

  it('has every kind of trouble and of ending', async () => {
    // Who was ejected is readmitted after many right answers, and a memory checks answers once it has seen enough of them.
    const long = [124, 148].map((seed) => drawn(seed, 500))
    const schedules = [...long, ...Array.from({ length: 100 }, (_, i) => drawn(i + 1, QUERIES))]
    for (const schedule of schedules) if (kinds.some((kind) => !seen.has(kind))) await watched(schedule)
    expect(kinds.filter((kind) => !seen.has(kind))).toEqual([])
  })
})
