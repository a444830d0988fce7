/** Who tells how large answers are, by which a lie is told from rounding: never those that may lie, where any are trusted. */

import { type Change, createPredictor, type ModelWorker, type PredictorOptions, type TensorList } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { liars } from '../shared/heard-events'
import { Feed } from '../shared/worker-changes'

const shape = [4]
const random = seeded(5)
const query = () => Float32Array.from({ length: 4 }, () => 2 * random.next() - 1)

function worker(name: string, { scale = 1, off = 0, trusted = false }): ModelWorker {
  return {
    ...{ name, trusted, scales: [scale], free: true, onFree: undefined, close: async () => {} },
    signature: { inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape }] },
    infer: async ([{ data }]: TensorList) => {
      await new Promise(setImmediate)
      return [{ data: Float32Array.from(data as Float32Array, (x, i) => x * (i + 1) + off), shape }]
    },
  }
}

/** One worker of one's own and two strangers that always lie, and tell of their answers that they are so large. */
async function served(scale: number, options: PredictorOptions) {
  const ejected: string[] = []
  const predictor = await createPredictor({
    workers: [worker('own', { trusted: true }), ...['a', 'b'].map((name) => worker(name, { scale, off: 5 }))],
    ...{ right: { within: 0.1 }, onWarning() {}, ...options },
    onEvent: liars(({ worker }) => ejected.push(worker)),
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

it('of two machines that are left of three, a liar that tells a scale of 1e30 has no lie taken for the same', async () => {
  const changes = new Feed<Change>()
  const options = {
    ...{ scheme: { queries: 1, byzantine: 1 }, memory: false as const, hedge: false as const, deadlineMs: 300 },
    onWarning() {},
  }
  const made = createPredictor({ workers: changes, right: { within: 0.1 }, ...options })
  changes.tell({ add: worker('liar', { scale: 1e30, off: 5 }) })
  for (const name of ['a', 'b']) changes.tell({ add: worker(name, {}) })
  const predictor = await made
  changes.tell({ remove: 'b' })
  await new Promise(setImmediate)
  expect(predictor.stats().workers.length).toBe(2)
  for (let i = 0; i < 20; i++) {
    const row = query()
    const given = await predictor.predict(row).catch(({ code }) => code)
    if (given.status === 'exact') expect(given.output.y.data[0]).toBeCloseTo(row[0], 5)
  }
  await predictor.close()
})
