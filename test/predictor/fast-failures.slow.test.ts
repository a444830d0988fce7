/** Policy `recover`: at most S bad workers, however they fail, and every query has an answer. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { type Mood, MoodyWorker } from '../shared/troubled-worker'

/** A hundred thousand take a minute. */
const GROUPS = Number(process.env.GROUP_COUNT ?? (process.env.CI ? 30_000 : 10_000))
const EACH = 20
/** Workers that fail at once, one way or another, and others that are slow or silent. */
const BAD: readonly Mood[] = ['rejects', 'throws', 'nan', 'short', 'rubbish', 'slow', 'silent', 'dead']

/** Groups, some of them at the same time, on workers of which S are bad. @returns queries with an answer, and why others have none */
async function episode(seed: number, preset: 'aaai22' | undefined) {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const [K, S] = [1 + random.below(8), 1 + random.below(3)]
  const count = K + S + random.below(3)
  const workers = Array.from({ length: count }, (_, i) => new MoodyWorker(i, clock, seeded(seed + i)))
  const options: PredictorOptions = {
    scheme: { queries: K, stragglers: S, preset },
    policy: 'recover',
    workers,
    testing: { clock, seed },
    hangMs: 200,
    deadlineMs: 2000,
    ...(seed % 10 !== 0 && { memory: false as const }), // learning takes as long as all the rest
    onWarning: () => {},
  }
  const predictor = await createPredictor(options)
  const bad = random.choose(count, S).map((i) => workers[i])
  const lost: string[] = []
  let answered = 0
  for (let group = 0; group < EACH; group++) {
    clock.after(20 * (K / count + random.next()) * group, () => {
      for (const worker of bad) if (random.next() < 0.5) worker.mood = BAD[random.below(BAD.length)]
      for (let i = 0; i < K; i++) {
        const row = Float32Array.of(random.gauss(), random.gauss())
        predictor.predict(row).then(
          () => answered++,
          ({ code: why, message }) => lost.push(`K ${K} S ${S} of ${count}: ${why} ${message}`),
        )
      }
    })
  }
  await clock.run()
  await predictor.close()
  return { lost, answered, asked: EACH * K }
}

describe('policy recover with at most S bad workers', () => {
  it.each([
    ['by default', undefined],
    ['with the paper’s scheme', 'aaai22'],
  ] as const)(
    '%s: an answer for every query',
    async (_, preset) => {
      for (let seed = 1; seed <= GROUPS / EACH / 2; seed++) {
        const { asked, ...ended } = await episode(seed, preset)
        expect({ seed, ...ended }).toEqual({ seed, lost: [], answered: asked })
      }
    },
    600_000,
  )
})
