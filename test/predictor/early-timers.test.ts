/** Timers of real systems may fire a little early: what was to happen then happens all the same, once. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query } from '../shared/hand-predictor'

const EARLY_MS = 0.9
/** Whoever asks for the time so often without letting it pass asks for ever. */
const MOST = 10_000

/** Its timers fire early. */
class Hasty implements Clock {
  readonly made = new VirtualClock()
  #asked = 0

  now(): number {
    if (++this.#asked > MOST) throw new Error('the time is asked for ever')
    return this.made.now()
  }

  after(ms: number, f: () => void): () => void {
    return this.made.after(Math.max(0, ms - EARLY_MS), () => {
      this.#asked = 0
      f()
    })
  }
}

const setups: [string, Omit<PredictorOptions, 'workers'>][] = [
  ['no scheme', {}],
  ['retry', { policy: 'retry' }],
  ['auto', { scheme: { queries: 1, stragglers: 1 } }],
  ['recover', { scheme: { queries: 2, stragglers: 1 }, policy: 'recover' }],
  ['liars', { scheme: { queries: 1, byzantine: 1 } }],
  ['paper', { scheme: { queries: 2, stragglers: 1, preset: 'aaai22' } }],
]

it.each(setups)('%s: at its deadline a query ends', async (_, options) => {
  const clock = new Hasty()
  const workers = Array.from({ length: 5 }, (_, i) => new HandWorker(`w${i}`))
  const predictor = await createPredictor({
    workers,
    testing: { clock },
    verify: { audit: 0 },
    onWarning: () => {},
    ...options,
  })
  const codes = [1, 2].map((x) => predictor.predict(query(x), { deadlineMs: 50 }).catch(({ code }) => code))
  await clock.made.run(51)
  expect(predictor.stats().open).toBe(0)
  expect(await Promise.all(codes)).toEqual([expect.any(String), expect.any(String)])
  await predictor.close()
})

it.each(setups.slice(0, 4))('%s: a late query is asked of a second worker', async (_, options) => {
  const clock = new Hasty()
  const workers = Array.from({ length: 5 }, (_, i) => new HandWorker(`w${i}`))
  const predictor = await createPredictor({ workers, testing: { clock }, verify: { audit: 0 }, hedge: { budget: 1 }, memory: false, onWarning: () => {}, ...options }) // biome-ignore format: one line
  const pass = (ms: number) => clock.made.run(clock.made.now() + ms)
  const answer = () => {
    for (const { calls } of workers) for (const call of [...calls]) call.answer()
  }
  for (let i = 0; i < 60; i++) {
    const given = predictor.predict(query(i))
    await pass(10)
    answer()
    await pass(10)
    answer()
    await given
  }
  const late = predictor.predict(query(1))
  await pass(100)
  expect(workers.flatMap(({ calls }) => calls).length).toBeGreaterThan(1) // a copy, or a hedge
  answer()
  expect((await late).output.y.data[0]).toBeCloseTo(2)
  await predictor.close()
})
