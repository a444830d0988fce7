import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createPredictor, localWorkers } from 'approxifer'
import { expect, it, vi } from 'vitest'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')
const digit = new Float32Array(784).fill(0.5)
const model = 'models/mnist-lenet.onnx'

/** In a frame of its own, which is gone when it returns. */
async function closedUnderLoad() {
  const predictor = await createPredictor({ workers: await localWorkers({ model, count: 1 }) })
  await predictor.predict(digit)
  const asked = predictor.predict(digit).catch(({ code }) => code)
  await predictor.close()
  expect(await asked).toBe('CLOSED')
  return new WeakRef(predictor)
}

it('a predictor that was closed during a call does not stay in memory', async () => {
  const closed = await closedUnderLoad()
  const isKept = () => {
    collectGarbage()
    return closed.deref() !== undefined
  }
  await vi.waitUntil(() => !isKept(), { timeout: 5000 })
})
