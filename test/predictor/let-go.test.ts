import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createPredictor, localWorkers, type ModelWorker } from 'approxifer'
import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { until } from '../shared/waiting'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')
const digit = new Float32Array(784).fill(0.5)
const model = 'models/mnist-lenet.onnx'

/** In a frame of its own, which is gone when it returns. */
async function closedUnderLoad() {
  const predictor = await createPredictor({ workers: await localWorkers({ model, workers: 1 }) })
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
  await until(() => !isKept())
})

it('queries that were answered are not kept while one before them waits and is not late yet', async () => {
  const clock = new VirtualClock()
  let ms = 1000
  const worker = (name: string): ModelWorker => {
    let busy = false
    return {
      name,
      signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
      get free() {
        return !busy
      },
      onFree: undefined,
      infer(row) {
        busy = true
        return new Promise((resolve) => {
          clock.after(ms, () => {
            busy = false
            resolve(row.slice())
            this.onFree?.()
          })
        })
      },
      restart: () => {},
      close: async () => {},
    }
  }
  const workers = [worker('a'), worker('b')]
  const predictor = await createPredictor({ workers, testing: { clock }, hedge: false, memory: false })
  const ask = () => {
    const query = Float32Array.of(1, 2)
    predictor.predictGiven(query).catch(() => {}) // the one that waits is closed
    return new WeakRef(query)
  }
  for (let i = 0; i < 50; i++) {
    for (const _ of workers) ask()
    await clock.run(clock.now() + ms)
  }
  expect(predictor.stats().lateMs).toBe(1.02 * 1000)
  const waits = ask()
  ms = 1
  const answered: WeakRef<Float32Array>[] = []
  for (let i = 0; i < 100; i++) {
    answered.push(ask())
    await clock.run(clock.now() + ms)
  }
  expect(predictor.stats()).toMatchObject({ open: 1, lateMs: 1.02 * 1000 })
  collectGarbage()
  expect(answered.filter((query) => query.deref()).length).toBeLessThan(5)
  expect(waits.deref()).toBeDefined()
  await predictor.close()
})
