/** Second requests for late queries, in made time. */

import { ApproxiferError, createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { house, query, turn } from '../shared/hand-predictor'
import { MoodyWorker } from '../shared/troubled-worker'

const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }

/** Workers that take 10 ms, or what the test says; 100 queries have been answered. */
async function warm(count: number, options: Partial<PredictorOptions> = {}) {
  const clock = new VirtualClock()
  const takes = new Map<number, number>()
  /** What the next calls take, whoever runs them. */
  const next: number[] = []
  const law = (i: number) => next.shift() ?? takes.get(i) ?? 10
  const simulation = { clock, serviceMs: law, answer: (row: Float32Array) => row.slice(), signature }
  const workers = Array.from({ length: count }, (_, i) => new SimulatedWorker(i, simulation))
  const predictor = await createPredictor({ workers, testing: { clock }, verify: { audit: 0 }, ...options })
  for (let i = 0; i < 100; i++) clock.after(10 * i, () => void predictor.predict(Float32Array.of(i)))
  await clock.run()
  const ask = async (x: number) => {
    const start = clock.now()
    const prediction = await predictor.predict(Float32Array.of(x))
    return { ...prediction, ms: clock.now() - start }
  }
  return { clock, workers, predictor, ask, takes, next }
}

/** From when on a query is late where all take 10 ms, and timers may be 2 ms off. */
const LATE_MS = 12

it('a query that has waited longer than nearly all others goes to another worker; the first answer wins', async () => {
  const { clock, workers, predictor, ask, takes } = await warm(3)
  expect(predictor.stats().lateMs).toBeCloseTo(LATE_MS)
  for (const [i] of workers.entries()) takes.set(i, 200)
  const given = ask(7)
  takes.clear() // only the one that has it is slow
  await clock.run()
  const { ms, hedged, queuedMs, ranMs, workers: who, output, status } = await given
  expect(
    [ms, hedged, queuedMs, ranMs, status, ...output.y.data].map((each) =>
      typeof each === 'number' ? Math.round(10 * each) / 10 : each,
    ),
  ).toEqual([22, true, 12, 10, 'exact', 7])
  expect(who.length).toBe(1)
  expect(predictor.stats().hedges).toEqual({ sent: 1, won: 1 })
  await predictor.close()
})

it('a hedge that waits for a worker is cancelled when the answer comes', async () => {
  const { clock, workers, predictor, ask, takes } = await warm(2)
  takes.set(0, 30)
  takes.set(1, 60)
  const both = [ask(1), ask(2)] // both late, both workers busy: each one's hedge waits for the other's worker
  takes.clear()
  await clock.run()
  const [first, second] = (await Promise.all(both)).sort((a, b) => a.ms - b.ms)
  expect([first.ms, first.hedged, second.ms, second.hedged]).toEqual([30, false, 40, true])
  expect(workers.reduce((sum, worker) => sum + worker.calls, 0)).toBe(103)
  await predictor.close()
})

it('in a group of several, too, a hedge that waits leaves the queue before its query’s worker gets another row', async () => {
  const { clock, workers, predictor, ask, next } = await warm(3, { scheme: { queries: 2 }, policy: 'retry' })
  const calls = () => workers.reduce((sum, worker) => sum + worker.calls, 0)
  const before = calls()
  const start = clock.now()
  next.push(31, 5, 25, 300)
  const all = [ask(1), ask(2)]
  await clock.run(start + 5)
  all.push(ask(3), ask(4)) // 3 is answered after 30 ms, and 1 after 31; until then no worker is free
  await clock.run(start + 45)
  expect(calls() - before).toBe(6) // each once, and hedges for 1 and 4
  await clock.run()
  await Promise.all(all)
  await predictor.close()
})

it('a hedge that waited for a worker, and is late there too, is followed by another', async () => {
  const { clock, predictor, ask, next } = await warm(3, { hedge: { budget: 1 } })
  next.push(1000, 60, 60, 1000) // the query, both others, and its hedge, which begins when they are answered
  const [given] = [ask(1), ask(2), ask(3)]
  await clock.run()
  expect((await given).ms).toBeCloseTo(60 + LATE_MS + 10)
  await predictor.close()
})

it('a row that still waits is not hedged; when it runs at last, it is late', async () => {
  const { clock, workers, predictor, ask, takes } = await warm(2)
  for (const [i] of workers.entries()) takes.set(i, 50)
  const first = [ask(1), ask(2)]
  const waits = ask(3)
  await clock.run(clock.now() + 40)
  takes.clear()
  expect(predictor.stats().hedges.sent).toBe(0)
  await clock.run()
  await Promise.all(first)
  expect((await waits).ms).toBe(60)
  await predictor.close()
})

it('a budget of 0 asks nobody twice; else at most a share of the queries, and a burst', async () => {
  for (const [hedges, most] of [
    [0, 0],
    [0.1, 0.1 * 1000 + 10],
    [1, 1010],
  ] as const) {
    const { clock, predictor, ask, takes } = await warm(9, { hedge: { budget: hedges } })
    for (let i = 0; i < 9; i++) takes.set(i, 40) // the pool slows down as a whole: all are late
    for (let i = 0; i < 1000; i++) clock.after(10 * i, () => void ask(i))
    await clock.run()
    const { sent } = predictor.stats().hedges
    expect(sent).toBeLessThanOrEqual(most)
    if (hedges) expect(sent).toBeGreaterThan(0)
    await predictor.close()
  }
})

it('many late at once: no more hedges than were saved up', async () => {
  const { clock, predictor, ask, next } = await warm(60, { hedge: { budget: 0.05 } })
  next.push(...Array(25).fill(500))
  const all = Array.from({ length: 25 }, (_, i) => ask(i))
  await clock.run()
  await Promise.all(all)
  expect(predictor.stats().hedges).toEqual({ sent: 10, won: 10 })
  await predictor.close()
})

it('late by its wait in the queue, not by its row: it is not hedged as long as that has only begun', async () => {
  const { clock, predictor, ask, next } = await warm(2)
  next.push(5, 5, 9)
  const [, , waited] = [ask(1), ask(2), ask(3)]
  await clock.run()
  expect(await waited).toMatchObject({ ms: 14, queuedMs: 5, hedged: false })
  expect(predictor.stats().hedges.sent).toBe(0)
  await predictor.close()
})

it('the budget is earned by queries: one in twenty late for long, all of them hedged', async () => {
  const { clock, predictor, ask, next } = await warm(9)
  for (let i = 0; i < 3000; i++) {
    clock.after(10 * i, () => {
      if (i % 25 === 0) next.push(100)
      void ask(i)
    })
  }
  await clock.run()
  expect(predictor.stats().hedges.sent).toBeGreaterThan(115)
  await predictor.close()
})

it('late ones count with their own time when they come: a slow pool does not make everybody late for ever', async () => {
  const { clock, predictor, ask, takes } = await warm(9, { hedge: { budget: 1 } })
  for (let i = 0; i < 9; i++) takes.set(i, 40)
  for (let i = 0; i < 1000; i++) clock.after(10 * i, () => void ask(i))
  await clock.run()
  expect(predictor.stats().lateMs).toBeGreaterThanOrEqual(40)
  await predictor.close()
})

it('only first rows’ own times say what is late, not those of hedges', async () => {
  const { clock, predictor, ask, next } = await warm(3)
  for (let i = 0; i < 6; i++) {
    next.push(100)
    const given = ask(i)
    await clock.run()
    expect((await given).ms).toBeCloseTo(LATE_MS + 10)
  }
  expect(predictor.stats().lateMs).toBeCloseTo(LATE_MS) // of 100 times 10 ms and six times 100; with six times 20 it were 20
  await predictor.close()
})

it('a query is hedged once; when both rows fail it is asked again, and no more', async () => {
  const clock = new VirtualClock()
  const { predictor, workers } = await house(4, {
    testing: { clock },
    scheme: { queries: 1 },
    policy: 'retry',
  })
  for (let i = 0; i < 60; i++) {
    clock.after(10, () => workers.find(({ calls }) => calls.length)?.calls[0].answer())
    const given = predictor.predict(query(i))
    await clock.run(clock.now() + 10)
    await given
  }
  const given = predictor.predict(query(5))
  await clock.run(clock.now() + 13)
  const both = workers.flatMap(({ calls }) => calls)
  expect(both.length).toBe(2)
  for (const call of both) call.fail(new ApproxiferError('WORKER', 'no'))
  await turn()
  const [third, ...more] = workers.flatMap(({ calls }) => calls)
  expect(more).toEqual([])
  third.answer()
  expect((await given).hedged).toBe(true)
  await predictor.close()
})

it('a retry does not stick to a silent worker', async () => {
  const clock = new VirtualClock()
  const workers = [0, 1, 2].map((i) => new MoodyWorker(i, clock, seeded(i)))
  const predictor = await createPredictor({ workers, testing: { clock }, verify: { audit: 0 } })
  for (let i = 0; i < 100; i++) clock.after(10 * i, () => void predictor.predict(Float32Array.of(i, 1)))
  await clock.run(2000)
  const turns: MoodyWorker[] = [] // they take turns
  for (let i = 0; i < 3; i++) {
    const asked = predictor.predict(Float32Array.of(i, 2))
    await clock.run(clock.now() + 500)
    const [name] = (await asked).workers
    turns.push(workers.find((worker) => worker.name === name) as MoodyWorker)
  }
  const [first, second, third] = turns
  first.mood = 'rejects'
  second.mood = 'silent'
  const start = clock.now()
  const given = predictor.predict(Float32Array.of(5, 5))
  await clock.run(start + 1000)
  const { workers: who, hedged } = await given
  expect([who, hedged]).toEqual([[third.name], true])
  await predictor.close()
})

it('K = 1,000 keeps working, and holds the thread for no longer than its encoding', async () => {
  const { clock, predictor } = await warm(1001, { scheme: { queries: 1000, stragglers: 1 }, memory: false })
  const all = Array.from({ length: 1000 }, (_, i) => predictor.predict(Float32Array.of(i)))
  await clock.run()
  expect((await Promise.all(all)).every(({ status }) => status === 'exact')).toBe(true)
  await predictor.close()
})

it('the first query of all, at a worker that hangs, goes to another one when half of its time has passed', async () => {
  const clock = new VirtualClock()
  const law = (i: number) => (i ? 10 : 1e6)
  const simulation = { clock, serviceMs: law, answer: (row: Float32Array) => row.slice(), signature }
  const workers = [0, 1].map((i) => new SimulatedWorker(i, simulation))
  const predictor = await createPredictor({ workers, testing: { clock }, verify: { audit: 0 } })
  const given = predictor.predict(Float32Array.of(7), { deadlineMs: 200 })
  let ms = 0
  void given.then(() => (ms = clock.now())).catch(() => {})
  await clock.run()
  expect(await given).toMatchObject({ status: 'exact', hedged: true })
  expect(ms).toBe(110)
  await predictor.close()
})
