/** A memory in a thread or Web Worker of its own: it learns, answers, is saved, and says the same in the predictor's thread. */

import { createPredictor, type ModelWorker, type Predictor } from 'approxifer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { compared } from '../consumers/memory/compared.js'
import { until } from '../shared/waiting'

const spec = (name: string, length: number) => [{ name, shape: [length] }]
const answerTo = (x: Float32Array) => Float32Array.of(x[0], x[1], 0.5 * x[0] - x[3])
const labelOf = (values: Float32Array) => values.indexOf(Math.max(...values))

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

describe('a memory in a thread of its own', () => {
  let own: Awaited<ReturnType<typeof taught>>
  let state: Uint8Array
  beforeAll(async () => {
    own = await taught()
    own.lost.now = true
  }, 240_000)
  afterAll(() => own.predictor.close())

  /** A single label may be wrong: the memory says so of one in ten, and what it has learned depends on when lessons end. */
  it('predicts what is lost', async () => {
    let right = 0
    for (let i = 0; i < 20; i++) {
      const query = own.queryOf()
      const { status, output } = await recovered(own.predictor, query)
      expect(status).toBe('recovered')
      if (labelOf(output.y.data as Float32Array) === labelOf(answerTo(query))) right++
    }
    expect(right).toBeGreaterThanOrEqual(15)
    expect(own.warnings).toEqual([])
  })

  it('tells its confidence, and why it was asked', async () => {
    const { confidence, recovery, workers } = await recovered(own.predictor, own.queryOf())
    expect([confidence && confidence >= 0.5, recovery?.source, workers]).toEqual([true, 'memory', []])
  })

  it('gives nothing where nobody is confident enough', async () => {
    const query = own.predictor.predict(own.queryOf(), { minConfidence: 1 })
    await expect(query).rejects.toMatchObject({ code: 'WORKER' })
  })

  it('what was saved is there again', async () => {
    state = await own.predictor.save()
    const again = await createPredictor({
      workers: workers(own.lost),
      policy: 'auto',
      right: 'label',
      memory: { state },
    })
    expect(again.stats().memoryPairs).toBe(own.predictor.stats().memoryPairs)
    await again.close()
  })

  it('of a state that was cut off nothing is taken, and a warning says so', async () => {
    const warnings: string[] = []
    const again = await createPredictor({
      ...{ workers: workers(own.lost), policy: 'auto', right: 'label' },
      memory: { state: state.slice(0, state.length / 2) },
      onWarning: (text) => warnings.push(text),
    })
    expect([again.stats().memoryPairs, warnings.join()]).toEqual([
      0,
      expect.stringContaining('bytes of it are missing'),
    ])
    await again.close()
  })
})

it('is in the predictor’s thread where it cannot have its own, and says so once', async () => {
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

it('says the same to the bit in its thread and in the predictor’s', async () => {
  expect(await compared(createPredictor)).toBe('20 of 20 equal; warnings: 0, 1')
})
