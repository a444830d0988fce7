/** Queries that are asked of a second worker at once, where machines idle. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/errors'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, turn } from '../shared/house'

async function started(count: number, options: PredictorOptions = {}) {
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  const testing = { clock: new VirtualClock() }
  const all = { hedge: { clones: true }, verify: { audit: 0 }, testing, ...options }
  const predictor = await createPredictor({ workers, ...all })
  const calls = () => workers.map((worker) => worker.calls.map(({ row }) => row[0]))
  return { workers, predictor, calls, clock: testing.clock }
}

it('the first answer counts, the other comes to nobody; and no second worker is asked where it is not wished', async () => {
  const { workers, predictor, calls } = await started(3)
  const asked = predictor.predict(query(1))
  expect(calls()).toEqual([[1], [1], []])
  workers[1].calls[0].answer()
  const { output, workers: who, hedged, group } = await asked
  expect([[...output.y.data], who, hedged]).toEqual([[2, 2], ['w1'], false])
  workers[0].calls[0].answer()
  expect((await group).rows.map(({ worker, outcome }) => [worker, outcome])).toEqual([
    ['w0', 'late'],
    ['w1', 'onTime'],
  ])
  expect(predictor.stats()).toMatchObject({ clones: { sent: 1, won: 1 }, hedges: { sent: 0, won: 0 } })
  await predictor.close()

  const plain = await started(3, { hedge: {} })
  const one = plain.predictor.predict(query(1))
  expect(plain.calls()).toEqual([[1], [], []])
  plain.workers[0].calls[0].answer()
  await one
  await plain.predictor.close()
})

it('a query is worth more than the second request of another, which is taken back when its query is answered', async () => {
  const { workers, predictor, calls } = await started(2)
  const asked = [1, 2, 3].map((x) => predictor.predict(query(x)))
  expect(calls()).toEqual([[1], [1]]) // both idled
  workers[0].calls[0].answer()
  await turn()
  expect(calls()[0]).toEqual([2])
  workers[1].calls[0].answer()
  await turn()
  expect(calls()).toEqual([[2], [3]]) // not the second request for 2
  workers[1].calls[0].answer()
  await turn()
  expect(calls()).toEqual([[2], [2]]) // nobody waits for a first one any more
  workers[0].calls[0].answer()
  await Promise.all(asked)
  expect(calls()).toEqual([[], [2]])
  expect(predictor.stats().clones).toEqual({ sent: 2, won: 0 })
  await predictor.close()
})

it('a second request that waits is asked at once where the first worker fails', async () => {
  const { workers, predictor, calls } = await started(2)
  workers[1].capacity = 0 // it is not there yet
  const asked = predictor.predict(query(1))
  workers[0].calls[0].fail(new ApproxiferError('WORKER', 'went down'))
  workers[1].capacity = 1
  workers[1].onFree?.()
  await turn()
  expect(calls()[1]).toEqual([1])
  workers[1].calls[0].answer()
  expect((await asked).workers).toEqual(['w1'])
  await predictor.close()
})

it('the only worker is asked once, and again where it fails', async () => {
  const { workers, predictor, calls } = await started(1)
  const asked = predictor.predict(query(1))
  workers[0].calls[0].fail(new ApproxiferError('WORKER', 'went down'))
  await turn()
  expect(calls()).toEqual([[1]])
  workers[0].calls[0].answer()
  expect((await asked).status).toBe('exact')
  expect(predictor.stats().clones.sent).toBe(0)
  await predictor.close()
})
