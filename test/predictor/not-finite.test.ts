/** NaN and infinity from a model whose answers nobody mixes: its answer, as any other. */

import { expect, it } from 'vitest'
import type { TensorList } from '../../src/base/tensor'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** Answers what is large with what is no number. */
const worker = (name: string) => ({
  ...{ name, signature, free: true, onFree: undefined },
  infer: async ([{ data }]: TensorList) => {
    const [a, b] = data as Float32Array
    return [
      { data: a > 100 ? Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY) : Float32Array.of(b, a), shape: [2] },
    ]
  },
  close: async () => {},
})

const open = (options: PredictorOptions, clock = new VirtualClock()) =>
  createPredictor({
    workers: ['a', 'b', 'c'].map(worker),
    right: 'label',
    testing: { clock },
    ...options,
  })

it.each<PredictorOptions>([
  {},
  { policy: 'auto' },
  { policy: 'recover' },
  { verify: { audit: 1 } },
  { reuse: { exact: true } },
  { reuse: { maxError: 0.01 } },
])('one caller whose queries have such answers does not make workers look broken: %j', async (options) => {
  const clock = new VirtualClock()
  const warned: string[] = []
  const predictor = await open({ ...options, onWarning: (text) => warned.push(text) }, clock)
  const ask = async (x: number) => {
    const answer = predictor.predict(Float32Array.of(x, 1))
    await clock.run()
    return answer
  }
  for (let i = 0; i < 300; i++) await ask(i / 3)
  for (let i = 0; i < 50; i++) {
    const { status, output } = await ask(200 + i)
    expect([status, [...output.y.data]]).toEqual(['exact', [Number.NaN, Number.POSITIVE_INFINITY]])
  }
  const { failed, workers } = predictor.stats()
  expect([failed, workers.map(({ failed }) => failed), warned]).toEqual([{}, [0, 0, 0], []])
  await predictor.close()
})

it('teaches a memory nothing', async () => {
  const clock = new VirtualClock()
  const predictor = await open({ policy: 'auto' }, clock)
  for (let i = 0; i < 20; i++) void predictor.predict(Float32Array.of(i < 10 ? i : 200 + i, 1))
  await clock.run()
  expect([predictor.stats().exact, predictor.stats().memoryPairs]).toEqual([20, 10])
  await predictor.close()
})

it('with a scheme, where answers are mixed, it is refused by the name of its output', async () => {
  const clock = new VirtualClock()
  const predictor = await open({ scheme: { queries: 2, stragglers: 1 }, onWarning() {} }, clock)
  const failed = expect(predictor.predict(Float32Array.of(200, 1))).rejects.toThrow(
    "output 'y': expected finite values",
  )
  await clock.run()
  await failed
  await predictor.close()
})
