import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, turn } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'

const ANSWER_MS = 5

it('where all workers are lost queries fail at once, also those that grow late while they are looked up', async () => {
  const clock = new VirtualClock()
  let lookMs = 0
  /** What a look takes. */
  const features = (row: Float32Array) => {
    clock.spend(lookMs)
    return row
  }
  const workers = Array.from({ length: 5 }, (_, i) => {
    const infer = (query: TensorList) =>
      new Promise((resolve) => clock.after(ANSWER_MS, () => resolve(doubling(query))))
    return Object.assign(new HandWorker(`w${i}`), { infer })
  })
  const scheme = { queries: 4, stragglers: 1 }
  const predictor = await createPredictor({ scheme, workers, right: 'label', testing: { clock }, memory: { features }, verify: { audit: 0 }, onWarning: () => {} }) // biome-ignore format: one line
  for (let x = 0; x < 400; x++) {
    const given = predictor.predict(query(Math.sin(x * x)))
    await clock.run(clock.now() + 50)
    await given
  }
  expect(predictor.stats().memoryPairs).toBeGreaterThan(150)
  lookMs = 4 * ANSWER_MS
  for (const worker of workers) Object.assign(worker, { gone: true, capacity: 0 }).onFree?.()
  const from = clock.now()
  const given = [0.1, 0.2, 0.3, 0.4].map(async (x) => {
    const code = await predictor.predict(query(x)).then(({ status }) => status, (error) => error.code) // biome-ignore format: one line
    return `${code} after ${clock.now() - from} ms`
  })
  await turn()
  await clock.run(from + 20_000)
  const lost = `WORKER after ${lookMs} ms`
  expect(await Promise.all(given)).toEqual([`recovered after ${lookMs} ms`, lost, lost, lost]) // one look, and no time for more
  await predictor.close()
})
