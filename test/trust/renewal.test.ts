/** A model that is replaced: an answer of the one before is no lie. */

import { createPredictor } from 'approxifer'
import { afterEach, expect, it, vi } from 'vitest'
import { Evidence } from '../../src/trust/evidence'
import { HandWorker, query, turn } from '../shared/hand-predictor'
import { verdicts } from '../shared/heard-events'
import { Feed } from '../shared/worker-changes'

afterEach(() => {
  vi.useRealTimers()
})

/** Workers with a model that is replaced; who was judged. */
async function renewed(options: { byzantine?: number; audit: number }) {
  const workers = ['a', 'b', 'c', 'd'].map((name) => Object.assign(new HandWorker(name), { interruptible: false }))
  const feed = new Feed()
  const judged: object[] = []
  feed.tell(...workers.map((add) => ({ add })))
  const { byzantine = 0, audit } = options
  const predictor = await createPredictor({
    ...{ workers: feed, scheme: { queries: 1, byzantine }, memory: false, verify: { audit }, hedge: { budget: 0.1 } },
    onEvent: verdicts((verdict) => judged.push(verdict)),
  })
  await turn() // all have joined
  return { workers, feed, judged, predictor }
}

it('a suspicion ends with the model that it was about, a conviction does not', () => {
  const evidence = new Evidence()
  for (let i = 0; i < 60; i++) evidence.checked(i % 2 ? 'a' : 'b', true, i % 3)
  for (let i = 0; i < 3; i++) evidence.checked('far', false, 1e6)
  evidence.lied('liar')
  expect([evidence.isSuspect('far'), evidence.isTrusted('liar')]).toEqual([true, false])
  evidence.renew()
  expect([evidence.isSuspect('far'), evidence.isTrusted('liar')]).toEqual([false, false])
})

const old = Float32Array.of(2, 1)
const fresh = Float32Array.of(-7, 5)
const busy = (workers: HandWorker[]) => workers.filter(({ calls }) => calls.length)

it('a worker is not ejected since the new model answers otherwise than it did: audits', async () => {
  const { workers, feed, judged, predictor } = await renewed({ audit: 1 })
  const given = predictor.predict(query(1))
  busy(workers)[0].calls[0].answer(old)
  expect((await given).status).toBe('exact')
  expect(busy(workers)).toHaveLength(1) // another one is asked, to compare
  feed.tell({ model: 'new' })
  await turn()
  for (let at = 0; at < 5 && busy(workers).length; at++) {
    busy(workers)[0].calls[0].answer(fresh)
    await turn()
  }
  expect(judged).toEqual([])
  await predictor.close()
})

it('a worker is not ejected since the new model answers otherwise than it did: late answers to a proven query', async () => {
  vi.useFakeTimers()
  const { workers, feed, judged, predictor } = await renewed({ byzantine: 1, audit: 0 })
  for (let i = 0; i < 12; i++) {
    const given = predictor.predict(query(i))
    await vi.advanceTimersByTimeAsync(5)
    for (const worker of busy(workers)) worker.calls[0].answer()
    await given
  }
  const given = predictor.predict(query(1))
  const [late] = busy(workers)
  await vi.advanceTimersByTimeAsync(50) // another one is asked
  for (const worker of busy(workers)) if (worker !== late) worker.calls[0].answer(old)
  expect((await given).status).toBe('exact')
  feed.tell({ model: 'new' })
  await vi.advanceTimersByTimeAsync(1)
  late.calls[0].answer(fresh)
  await vi.advanceTimersByTimeAsync(1)
  expect(judged).toEqual([])
  await predictor.close()
})
