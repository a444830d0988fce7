/** Who tells how large answers usually are, by which a lie is told from rounding: never those that may lie, where any are trusted. */

import { createPredictor, type ModelWorker, type PredictorOptions, type TensorList } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/random'

const shape = [4]
const random = seeded(5)
const query = () => Float32Array.from({ length: 4 }, () => 2 * random.next() - 1)

/** One worker of one's own and two strangers that always lie, and tell of their answers that they are so large. */
async function served(scale: number, options: PredictorOptions) {
  const worker = (name: string, isOwn: boolean): ModelWorker => ({
    ...{ name, trusted: isOwn, scales: [isOwn ? 1 : scale], free: true, onFree: undefined, close: async () => {} },
    signature: { inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape }] },
    infer: async ([{ data }]: TensorList) => {
      await new Promise(setImmediate)
      return [{ data: Float32Array.from(data as Float32Array, (x, i) => x * (i + 1) + (isOwn ? 0 : 5)), shape }]
    },
  })
  const ejected: string[] = []
  const predictor = await createPredictor({
    workers: [worker('own', true), worker('a', false), worker('b', false)],
    ...{ right: { labelAxis: 'none' as const, tolerance: 0.1 }, onWarning() {}, ...options },
    onVerdict: ({ worker, kind }) => kind === 'ejected' && ejected.push(worker),
  })
  let wrong = 0
  for (let i = 0; i < 72; i++) {
    const queries = Array.from({ length: 10 }, query)
    for (const [n, { output }] of (await predictor.predictAll(queries)).entries())
      wrong += Number(Math.abs((output.y.data[0] as number) - queries[n][0]) > 1)
  }
  await predictor.close()
  return { wrong, ejected: ejected.toSorted() }
}

it.each([1e30, 1e-30, Number.NaN])(
  'strangers that lie and tell scales of %d are convicted in a sampled fleet',
  async (scale) => {
    const { wrong, ejected } = await served(scale, { verify: { mode: 'sampled', rate: 0.2 } })
    expect(ejected).toEqual(['a', 'b'])
    expect(wrong).toBeLessThan(60)
  },
)
