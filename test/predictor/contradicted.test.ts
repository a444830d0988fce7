/** Where answers are proven, what the memory says is not given against the word of a worker. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker } from '../shared/hand-predictor'

/** Queries that the memory has seen: two clouds, of which it knows the labels well. */
const KNOWN = 400

async function warm(options: PredictorOptions) {
  const random = seeded(1)
  const clock = new VirtualClock()
  const workers = Array.from({ length: 5 }, (_, i) => new HandWorker(`w${i}`))
  const scheme = { queries: 1, byzantine: 1 }
  const common = {
    workers,
    scheme,
    testing: { clock },
    verify: { audit: 0 },
    hedge: { budget: 1 },
    right: 'label' as const,
    onWarning: () => {},
  }
  const predictor = await createPredictor({ ...common, ...options })
  const asked = () => workers.filter(({ calls }) => calls.length)
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const row = (label: number) => Float32Array.of(3 * (1 - label) + random.gauss() / 4, 3 * label + random.gauss() / 4)
  for (let i = 0; i < KNOWN; i++) {
    const told = predictor.predict(row(i % 2))
    let open = true
    void told.finally(() => {
      open = false
    })
    while (open) {
      await pass(10)
      for (const { calls } of asked()) for (const call of [...calls]) call.answer()
      await pass(0)
    }
  }
  await pass(1000)
  return { predictor, asked, pass, row }
}

/** A label that the memory does not expect. */
const otherwise = (row: Float32Array) => Float32Array.of(2 * row[1], 2 * row[0])

describe('a recovery that an answer contradicts', () => {
  it.each(['auto', 'recover'] as const)('%s: is not given when the query is late; others are asked', async (policy) => {
    const { predictor, asked, pass, row } = await warm({ policy })
    const query = row(1)
    const told = predictor.predict(query)
    await pass(5)
    asked()[0].calls[0].answer(otherwise(query))
    await pass(1)
    const [hangs] = asked() // its proof, which the memory does not spare
    await pass(200)
    expect(predictor.stats().recovered).toBe(0)
    for (const worker of asked().filter((each) => each !== hangs)) worker.calls[0].answer(otherwise(query))
    await pass(1)
    expect((await told).status).toBe('exact')
    await predictor.close()
  })

  it('is not given at the deadline either, and not told in its error', async () => {
    for (const atDeadline of ['fail', 'give'] as const) {
      const { predictor, asked, pass, row } = await warm({ atDeadline, deadlineMs: 500 })
      const query = row(1)
      const lost = predictor.predict(query).catch((error) => error)
      await pass(5)
      asked()[0].calls[0].answer(otherwise(query))
      await pass(1000)
      const error = await lost
      expect([error.code, error.recovery]).toEqual(['DEADLINE', undefined])
      await predictor.close()
    }
  })

  it('one that nobody contradicts is given: the tests above can fail', async () => {
    const { predictor, pass, row } = await warm({})
    const told = predictor.predict(row(1))
    await pass(200)
    expect((await told).status).toBe('recovered')
    await predictor.close()
  })
})
