/** A recovery is no worker's answer: nobody is asked whether it is right. */

import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'

it('no worker is asked for a recovery, however often answers are audited', async () => {
  const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
  const random = seeded(3)
  let isLate = false
  let calls = 0
  const workers = ['a', 'b', 'c'].map((name) => ({
    ...{ name, signature, free: true, onFree: undefined, close: async () => {} },
    async infer([{ data, shape }]: TensorList) {
      calls++
      if (isLate) return new Promise<TensorList>(() => {})
      return [{ data: (data as Float32Array).slice(), shape }]
    },
  }))
  const clock = new VirtualClock()
  const predictor = await createPredictor({
    workers,
    policy: 'auto',
    right: 'label',
    verify: { audit: 1 },
    testing: { clock },
  })
  const ask = async (choices = {}) => {
    const larger = random.next() < 0.5
    const asked = predictor.predict(
      Float32Array.of(...[larger, !larger].map((is) => (is ? 3 : 1) + 0.3 * random.gauss())),
      choices,
    )
    asked.catch(() => {})
    await clock.run(clock.now() + 20)
    return asked
  }
  while (predictor.stats().memoryPairs < 128) await ask()
  isLate = true
  calls = 0
  expect((await ask({ minConfidence: 0.5 })).status).toBe('recovered')
  await clock.run(clock.now() + 100)
  expect(calls).toBe(1) // the one that is late
  await predictor.close()
})
