/** As many bad workers as the scheme allows for: every query is answered, and one of nine costs next to nothing. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { type Mood, MoodyWorker, moods } from '../shared/troubled-worker'

const GROUPS = Number(process.env.GROUPS ?? (process.env.CI ? 30_000 : 10_000))
const EACH = 50
const onWarning = () => {} // queries are too much alike to learn a kernel from

/** Some groups' worth of queries, and what became of them. */
async function episode(seed: number): Promise<void> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const [K, S] = [1 + random.below(8), 1 + random.below(3)]
  const count = K + S + random.below(4)
  const workers = Array.from({ length: count }, (_, i) => new MoodyWorker(i, clock, seeded(seed + i)))
  const scheme = { queries: K, stragglers: S }
  const predictor = await createPredictor({
    scheme,
    workers,
    testing: { clock, seed },
    hangMs: 300,
    memory: false,
    onWarning,
  })
  // The bad ones stay the same; what is wrong with them may change.
  const bad = random.choose(count, S).map((i) => workers[i])
  const [mood, flapping] = [moods[random.below(moods.length)], random.next() < 0.3]
  const end = (EACH * K * 8) / (0.6 * (count - S))
  for (const worker of bad) worker.mood = mood
  for (let at = 30; flapping && at < end; at += 30) {
    clock.after(at, () => {
      for (const worker of bad) worker.mood = random.next() < 0.5 ? 'well' : moods[random.below(moods.length)]
    })
  }
  const lost: string[] = []
  for (let i = 0; i < EACH * K; i++) {
    const ask = () => predictor.predict(Float32Array.of(i, 1)).catch(({ message }) => lost.push(message))
    clock.after(end * random.next(), () => void ask())
  }
  await clock.run()
  const { exact, recovered } = predictor.stats()
  expect({ seed, K, S, count, mood, lost, answered: exact + recovered }).toMatchObject({ lost: [], answered: EACH * K })
  await predictor.close()
}

it('at most S bad workers: every query is answered', async () => {
  for (let seed = 1; seed <= GROUPS / EACH; seed++) await episode(seed)
}, 600_000)

/** Milliseconds that 99 % of 20,000 answers take through nine workers, of which the first is in this mood; or eight well ones. */
async function p99(options: Omit<PredictorOptions, 'workers'>, mood: Mood | 'absent' | 'flapping'): Promise<number> {
  const clock = new VirtualClock()
  const random = seeded(5)
  const all = Array.from({ length: 9 }, (_, i) => new MoodyWorker(i, clock, seeded(i)))
  const workers = mood === 'absent' ? all.slice(1) : all
  const predictor = await createPredictor({
    workers,
    testing: { clock },
    hangMs: 300,
    memory: false,
    onWarning,
    ...options,
  })
  if (mood !== 'absent' && mood !== 'flapping') all[0].mood = mood
  const times: number[] = []
  let at = 0
  for (let i = 0; i < 20_000; i++) {
    at -= (Math.log(1 - random.next()) * 5) / (0.6 * 8)
    clock.after(at, () => {
      const start = clock.now()
      void predictor.predict(Float32Array.of(i, 1)).then(() => times.push(clock.now() - start))
    })
  }
  for (let when = 0; mood === 'flapping' && when < at; when += 50) {
    clock.after(when, () => {
      all[0].mood = random.next() < 0.5 ? 'well' : moods[random.below(moods.length)]
    })
  }
  await clock.run()
  expect(times.length).toBe(20_000)
  await predictor.close()
  return times.sort((a, b) => a - b)[Math.floor(0.99 * times.length)]
}

it.each([
  ['no scheme', {}],
  ['retry', { scheme: { queries: 7, stragglers: 1 }, policy: 'retry' as const }],
  ['auto', { scheme: { queries: 7, stragglers: 1 } }],
])('%s: one bad worker of nine costs p99 at most a tenth more than to be without it', async (_, options) => {
  const without = await p99(options, 'absent')
  for (const mood of ['flapping', ...moods] as const) {
    expect({ mood, ratio: (await p99(options, mood)) / without }).toEqual({
      mood,
      ratio: expect.toSatisfy((x) => x < 1.1),
    })
  }
})
