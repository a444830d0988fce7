/** Predictors that neither code nor learn, and so have loaded nothing of that. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { DEFAULT_BYTES } from '../../src/memory/domain'
import { predictorOptions } from '../../src/predictor/option-table'
import { query } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const worker = (name: string) => ({
  ...{ name, signature, free: true, onFree: undefined },
  infer: doubling,
  close: async () => {},
})

const open = (options: PredictorOptions = {}) => createPredictor({ workers: ['a', 'b', 'c'].map(worker), ...options })

it.each(['retry', 'auto', 'recover'] as const)(
  'answers, also a query with policy %s, and says that its core is js',
  async (policy) => {
    const predictor = await open()
    const { output, status } = await predictor.predict(query(3), { policy })
    expect([[...output.y.data], status]).toEqual([[6, 2], 'exact'])
    expect(predictor.stats()).toMatchObject({ core: 'js', memoryPairs: 0, agreements: [], exact: 1 })
    expect(() => predictor.forget('a')).not.toThrow()
    expect(predictor.forgetTenant('')).toBe(true)
    await predictor.close()
  },
)

it('takes and gives any number; one that learns takes and gives those that can be mixed', async () => {
  const odd = Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY)
  const [predictor, other] = [await open(), await open({ policy: 'auto', right: 'label' })]
  expect((await predictor.predict(odd)).output.y.data).toEqual(odd)
  await expect(other.predict(odd)).rejects.toThrow('query.x: expected finite values, got NaN at 0')
  await expect(other.predict(Float32Array.of(1e36, 3e38))).rejects.toThrow('query.x: expected values up to 1e+36')
  await Promise.all([predictor, other].map((each) => each.close()))
})

it('has the core that it is told to have', async () => {
  for (const prefer of ['wasm', 'js'] as const) {
    const predictor = await open({ testing: { core: { prefer } } })
    expect(predictor.stats().core).toBe(prefer)
    await predictor.close()
  }
  await expect(open({ testing: { core: { prefer: 'rust' as 'js' } } })).rejects.toThrow("expected 'wasm' or 'js'")
})

it('saves to the byte what one with a core saves that has learned nothing, and others take it up', async () => {
  const [predictor, other] = [await open(), await open({ memory: { bytes: 0 } })]
  expect(predictor.tenants).toEqual([''])
  const state = await predictor.save()
  expect(state).toEqual(await other.save())
  const scheme = { queries: 2, stragglers: 1 }
  const again = await open({ scheme, memory: { state } })
  expect(again.stats()).toMatchObject({ core: 'wasm', memoryPairs: 0 })
  await Promise.all([predictor, other, again].map((each) => each.close()))
})

it('the table of options says how large a memory is, though it does not load one', () => {
  expect(predictorOptions.memory.options.bytes.otherwise).toBe(`${DEFAULT_BYTES / 2 ** 20} MiB`)
})

it('tells the tolerance that was stated', async () => {
  const predictor = await open({ right: { within: 0.5 } })
  expect(predictor.stats().tolerance).toBe(0.5)
  await predictor.close()
})
