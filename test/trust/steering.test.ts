/** What a caller asks decides nothing of what counts as the same for others: it once did, by how much answers differed. */

import { createPredictor, type ModelWorker, type TensorList } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { liars } from '../shared/heard-events'
import { listOf } from '../shared/vectors'

const outputs = [{ name: 'y', shape: [4, 2] }] // no labels
const modelOf = (x: Float32Array) =>
  Float32Array.from({ length: 8 }, (_, i) => x[i % 4] * (1 + (i % 3)) + x[(i + 1) % 4])

/** Five workers; what the first one answers is changed, once it begins. */
async function pool(change: (answer: Float32Array) => Float32Array, scales: readonly number[] | undefined) {
  let [isChanged, told] = [false, 0]
  const worker = (i: number): ModelWorker => ({
    name: `w${i}`,
    signature: { inputs: [{ name: 'x', shape: [4] }], outputs },
    ...{ scales, free: true, onFree: undefined, close: async () => {} },
    infer: async ([{ data }]: TensorList) => {
      await new Promise(setImmediate) // or the first ones would answer everything
      const answer = modelOf(data as Float32Array)
      if (i === 0 && isChanged) told++
      return [{ ...listOf(i === 0 && isChanged ? change(answer) : answer)[0], shape: [4, 2] }]
    },
  })
  const ejected: string[] = []
  const predictor = await createPredictor({
    ...{ workers: [0, 1, 2, 3, 4].map(worker), scheme: { queries: 1, byzantine: 1 }, memory: false, onWarning() {} },
    onEvent: liars(({ worker }) => ejected.push(worker)),
  })
  return { predictor, ejected, begin: () => (isChanged = true), told: () => told }
}

const random = seeded(3)
const query = (size: number) => Float32Array.from({ length: 4 }, () => size * random.gauss())

const told = [
  ['that tell how large answers are', [2]],
  ['that are asked that', undefined],
] as const

describe.each(told)('workers %s', (_, scales) => {
  it('after 1,000 queries 255 times too large a lie of a tenth of the deviation is not given, and it is found out', async () => {
    const { predictor, ejected, begin } = await pool((answer) => answer.map((value) => value + 0.3), scales)
    await predictor.predictAll(Array.from({ length: 1000 }, () => query(255)))
    begin()
    const queries = Array.from({ length: 200 }, () => query(1))
    for (const [i, { output, status }] of (await predictor.predictAll(queries)).entries()) {
      expect([status, [...output.y.data]]).toEqual(['exact', [...modelOf(queries[i])]])
    }
    expect(ejected).toEqual(['w0'])
    await predictor.close()
  })

  it('after 6,000 queries that are tiny an honest worker of another runtime is not ejected', async () => {
    const { predictor, ejected, begin, told } = await pool(
      (answer) => answer.map((value) => value * (1 + 3e-6)),
      scales,
    )
    begin()
    await predictor.predictAll(Array.from({ length: 6000 }, () => query(1e-6)))
    const given = await predictor.predictAll(Array.from({ length: 1000 }, () => query(1)))
    expect(given.every(({ status }) => status === 'exact')).toBe(true)
    expect([ejected, told() > 1000]).toEqual([[], true])
    await predictor.close()
  })
})
