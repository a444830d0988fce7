/** Answers of which some have to agree, on workers that the test settles by hand: who is asked besides, and for how long. */

import { ApproxiferError, createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query, turn } from '../shared/hand-predictor'

/** A pool that takes 10 ms an answer, of which each query is asked of two, after so many queries. */
async function practised(
  count: number,
  queries: number,
  options: { hedge: false | { budget: number }; hangMs?: number },
) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  const verified = { scheme: { queries: 1, byzantine: 1 }, verify: { audit: 0 }, memory: false } as const
  const predictor = await createPredictor({ workers, testing: { clock }, onWarning: () => {}, ...verified, ...options })
  const asked = () => workers.filter(({ calls }) => calls.length)
  const pass = (ms: number) => clock.run(clock.now() + ms)
  for (let i = 0; i < queries; i++) {
    const told = predictor.predict(query(i))
    await pass(10)
    for (const worker of asked()) worker.calls[0].answer()
    await told
  }
  return { predictor, asked, pass }
}

it('a dispute is settled without the worker that hangs: an honest third and fourth are asked', async () => {
  // So few queries that what takes three medians is late, and nobody was hedged.
  const { predictor, asked, pass } = await practised(6, 45, { hedge: { budget: 1 } })
  const told = predictor.predict(query(100))
  await pass(5)
  const [hangs, liar] = asked()
  liar.calls[0].answer(Float32Array.of(-9, 9))
  await pass(30) // it is late, and hedged
  const hedge = asked().find((worker) => worker !== hangs) as HandWorker
  hedge.calls[0].answer()
  await pass(1)
  const fourth = asked().filter((worker) => worker !== hangs)
  expect(fourth.length).toBe(1)
  fourth[0].calls[0].answer()
  expect((await told).status).toBe('exact')
  expect(predictor.stats().workers.filter(({ ejections }) => ejections).map(({ worker }) => worker)).toEqual([liar.name]) // biome-ignore format: one line
  await predictor.close()
})

it('a dispute that waits for a worker which then hangs goes on without it, hedged or not', async () => {
  const { predictor, asked, pass } = await practised(12, 60, { hedge: false, hangMs: 60_000 })
  const told = predictor.predict(query(100))
  await pass(5)
  const [honest, liar] = asked()
  honest.calls[0].answer()
  liar.calls[0].answer(Float32Array.of(-9, 9))
  await pass(9)
  expect(asked().length).toBe(1) // the third, which is not late yet
  await pass(4)
  expect(asked().length).toBe(2)
  await pass(1000)
  expect(asked().length).toBe(3) // where all are slow, to ask everybody makes it worse
  asked()[2].calls[0].answer()
  expect((await told).status).toBe('exact')
  expect(asked().length).toBe(2)
  await predictor.close()
})

it('many late at once, each asked of two: no more hedges than were saved up, and those are told', async () => {
  const { predictor, pass } = await practised(60, 45, { hedge: { budget: 0.05 } })
  for (let i = 0; i < 15; i++) void predictor.predict(query(100 + i)).catch(() => {})
  await pass(40)
  expect(predictor.stats().hedges.sent).toBe(10)
  await predictor.close()
})

it('a query that takes two workers down is asked of no more than the one that has it already', async () => {
  const workers = Array.from({ length: 8 }, (_, i) => new HandWorker(`w${i}`))
  const verified = { scheme: { queries: 1, byzantine: 1 }, verify: { audit: 0 }, memory: false } as const
  const predictor = await createPredictor({ workers, testing: { clock: new VirtualClock() }, ...verified })
  const poison = predictor.predict(query(66)).catch(({ code }) => code)
  let deaths = 0
  for (let victim = workers.find(({ calls }) => calls.length); victim; deaths++) {
    victim.capacity = 0 // it is down
    victim.calls[0].fail(new ApproxiferError('WORKER', 'exited with code 1'))
    await turn()
    victim = workers.find(({ calls }) => calls.length)
  }
  expect([await poison, deaths]).toEqual(['QUORUM', 3])
  await predictor.close()
})

it('a worker that is asked who lied goes to queries first, also where another one failed on that', async () => {
  const workers = [0, 1, 2, 3, 4].map((i) => new HandWorker(`w${i}`))
  const predictor = await createPredictor({
    ...{ workers, scheme: { queries: 1, byzantine: 2 }, memory: false, verify: { audit: 0 } },
    ...{ testing: { clock: new VirtualClock() }, onWarning() {} },
  })
  const rows = () => workers.map(({ calls }) => calls.map(({ row }) => row[0]))
  const abort = new AbortController()
  const left = predictor.predict(query(1), { signal: abort.signal }).catch(({ code }) => code)
  const others = [predictor.predict(query(2)).catch(({ code }) => code)]
  expect(rows()).toEqual([[1], [1], [1], [2], [2]])
  abort.abort()
  workers[0].calls[0].answer(Float32Array.of(5, 1))
  workers[1].calls[0].answer(Float32Array.of(1, 5))
  await turn()
  expect(rows()[0]).toEqual([2])
  others.push(predictor.predict(query(3)).catch(({ code }) => code))
  workers[2].calls[0].fail(new ApproxiferError('WORKER', 'went down'))
  await turn()
  workers[3].calls[0].answer()
  await turn()
  expect(rows()[3]).toEqual([3])
  await predictor.close()
  expect([await left, await Promise.all(others)]).toEqual(['ABORTED', ['CLOSED', 'CLOSED']])
})
