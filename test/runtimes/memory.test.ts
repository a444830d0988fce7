/** A memory in a Web Worker of its own: it learns, answers, is saved, and says the same in the page where no worker can be had. */

import { createPredictor, type ModelWorker, type Predictor } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { compared } from '../consumers/memory/compared.js'
import { until } from '../shared/waiting'

const spec = (name: string, length: number) => [{ name, shape: [length] }]
const answerTo = (x: Float32Array) => Float32Array.of(x[0], x[1], 0.5 * x[0] - x[3])

function workers(lost: { now: boolean }): ModelWorker[] {
  return ['a', 'b'].map((name) => ({
    ...{ name, free: true, onFree: undefined, signature: { inputs: spec('x', 4), outputs: spec('y', 3) } },
    infer: async ([{ data }]) => {
      if (lost.now) throw new Error('lost')
      return [{ data: answerTo(data as Float32Array), shape: [3] }]
    },
    close: async () => {},
  }))
}

async function taught(more: object = {}) {
  const lost = { now: false }
  const warnings: string[] = []
  const random = seeded(4)
  const queryOf = () => Float32Array.from({ length: 4 }, () => random.gauss())
  const predictor = await createPredictor({
    ...{ workers: workers(lost), policy: 'auto', right: 'label', hedge: false, verify: { audit: 0 } },
    onWarning: (text: string) => warnings.push(text),
    ...more,
  } as never)
  while (predictor.stats().memoryPairs < 200) {
    await predictor.predict(queryOf())
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await predictor.save() // behind all that was to be learned
  return { predictor, lost, warnings, queryOf }
}

/** On a busy machine a lookup may take longer than a failed query waits. */
const recovered = (predictor: Predictor, query: Float32Array) =>
  until(() => predictor.predict(query.slice(), { minConfidence: 0.5 }))

it('predicts what is lost, and what was saved is there again', async () => {
  const { predictor, lost, warnings, queryOf } = await taught()
  lost.now = true
  const query = queryOf()
  const { status, output } = await recovered(predictor, query)
  expect([status, warnings]).toEqual(['recovered', []])
  expect(output.y.data[0]).toBeCloseTo(query[0], 0)
  const state = await predictor.save()
  const { memoryPairs } = predictor.stats()
  await predictor.close()
  const again = await createPredictor({ workers: workers(lost), policy: 'auto', right: 'label', memory: { state } })
  expect(again.stats().memoryPairs).toBe(memoryPairs)
  await again.close()
})

it('is in the page where its worker cannot be had, and says so once', async () => {
  const { predictor, lost, warnings, queryOf } = await taught({
    testing: {
      memoryThread: () => {
        throw new Error('refused by a policy')
      },
    },
  })
  expect(warnings).toEqual([expect.stringContaining('refused by a policy: it begins anew in this one')])
  lost.now = true
  expect((await recovered(predictor, queryOf())).status).toBe('recovered')
  await predictor.close()
})

it('says the same to the bit in its worker and in the page', async () => {
  expect(await compared(createPredictor)).toBe('20 of 20 equal; warnings: 0, 1')
})
