/** What a late query gets and when, in made time, with a memory that has learned. */

import { afterEach, expect, it, vi } from 'vitest'
import { SimulatedWorker, type Simulation } from '../../bench/shared/simulated'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import type { Predictor } from '../../src/predictor/predictor'
import { SimulatedThread } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const x = (i: number) => Float32Array.of(Math.sin(i), Math.cos(i))
const stranger = Float32Array.of(8, -8)
const scheme = { queries: 1, stragglers: 0 }

type ThreadOf = (clock: VirtualClock) => SimulatedThread['spawn']

afterEach(() => void vi.restoreAllMocks())

/** Nine workers that take 10 ms, every tenth call 11.5, or what the test says. */
async function house(options: Partial<PredictorOptions>, count = 9, more: Partial<Simulation> = {}, thread?: ThreadOf) {
  const clock = new VirtualClock()
  const next: number[] = []
  const rows: Float32Array[] = []
  const law = () => next.shift() ?? (rows.length % 10 ? 10 : 11.5)
  /** First values of rows on which a worker fails. */
  const fail = new Set<number>()
  const answer = (row: Float32Array) => {
    rows.push(row)
    if (fail.has(row[0])) throw new Error('failed')
    return row.map((value) => 2 * value)
  }
  const simulation = { clock, serviceMs: law, answer, signature, ...more }
  const workers = Array.from({ length: count }, (_, i) => new SimulatedWorker(i, simulation))
  const predictor = await createPredictor({
    workers,
    testing: { clock, memoryThread: thread?.(clock) },
    scheme,
    right: 'label',
    verify: { audit: 0 },
    ...options,
  })
  const learn = async (count: number, everyMs: number) => {
    for (let i = 0; i < count; i++) clock.after(everyMs * i, () => void predictor.predict(x(i)))
    await clock.run()
  }
  const ask = async (query: Float32Array, how = {}) => {
    const start = clock.now()
    const { status, hedged, confidence } = await predictor.predict(query, how)
    return { status, hedged, sure: (confidence ?? 0) >= 0.9, ms: clock.now() - start }
  }
  return { clock, predictor, ask, next, rows, workers, learn, fail }
}

let learned: Promise<Uint8Array> | undefined

/** What 160 queries taught. */
async function state(): Promise<Uint8Array> {
  const { predictor, learn } = await house({})
  await learn(160, 20)
  const bytes = await predictor.save()
  await predictor.close()
  return bytes
}

/** From when on a query is late after `warm`: one in twenty takes 11.5 ms, all others 10, and timers may be 2 ms off. */
const LATE_MS = 12

/** Recoveries that the model's own answer has graded. */
const graded = (predictor: Predictor) => predictor.stats().agreements.reduce((sum, { graded }) => sum + graded, 0)

/** With a memory, and 60 answers that tell what is late. */
async function warm(options: Partial<PredictorOptions> = {}, more: Partial<Simulation> = {}, thread?: ThreadOf) {
  learned ??= state()
  const warmed = await house({ memory: { state: await learned }, ...options }, 9, more, thread)
  await warmed.learn(60, 5)
  return warmed
}

it('auto: a late query that the memory is sure of is recovered, and costs no second inference', async () => {
  const { clock, predictor, ask, next, rows } = await warm()
  const before = rows.length
  next.push(200)
  const given = ask(x(1000))
  await clock.run()
  expect(await given).toEqual({ status: 'recovered', hedged: false, sure: true, ms: expect.closeTo(LATE_MS) })
  expect(rows.length - before).toBe(1)
  await predictor.close()
})

it('a late answer grades the recovery that was given, and is not cut short where an abort would free its worker', async () => {
  const { clock, predictor, next } = await warm({}, { interruptible: true })
  next.push(200)
  const before = graded(predictor)
  const [{ recovery }] = await Promise.all([predictor.predict(x(1000)), clock.run()])
  expect([recovery, graded(predictor)]).toEqual([{ source: 'memory', why: 'late' }, before + 1])
  await predictor.close()
})

it('auto: an answer that comes before it is late is not given away', async () => {
  const { clock, predictor, ask, next } = await warm()
  next.push(LATE_MS - 0.1)
  const given = ask(x(1000))
  await clock.run()
  expect(await given).toMatchObject({ status: 'exact', ms: expect.closeTo(LATE_MS - 0.1) })
  await predictor.close()
})

it('auto: one that it is not sure of is hedged as soon as it is late', async () => {
  const { clock, predictor, ask, next } = await warm()
  next.push(200, 10)
  const given = ask(stranger)
  await clock.run()
  const { ms, ...rest } = await given
  expect(rest).toEqual({ status: 'exact', hedged: true, sure: true })
  expect(ms).toBeCloseTo(LATE_MS + 10)
  await predictor.close()
})

it('recover: what is late gets the surest recovery, sure or not; retry: never one', async () => {
  for (const [policy, status, hedged] of [
    ['recover', 'recovered', false],
    ['retry', 'exact', true],
  ] as const) {
    // biome-ignore format: one line
    const { clock, predictor, ask, next } = await warm({ policy })
    next.push(200, 10)
    const given = ask(stranger)
    await clock.run()
    expect(await given).toMatchObject({ status, hedged })
    await predictor.close()
  }
})

it('auto: at a deadline that leaves no time for a second inference, what there is, with its confidence, where it is asked for', async () => {
  const { clock, predictor, ask, next } = await warm()
  next.push(200, 10, 200, 10)
  const lost = ask(stranger, { deadlineMs: 15 }).catch((error) => error)
  await clock.run()
  const recovery = { confidence: expect.any(Number), output: { y: { data: expect.any(Float32Array) } } }
  expect(await lost).toMatchObject({ code: 'DEADLINE', recovery })
  const given = ask(stranger, { deadlineMs: 15, atDeadline: 'give' })
  await clock.run()
  expect(await given).toEqual({ status: 'recovered', hedged: true, sure: false, ms: 15 })
  await predictor.close()
})

it('a row that waited in the queue is not hedged the moment it runs, but when it has run for as long as nearly all', async () => {
  const { clock, predictor, ask, next, workers } = await warm({ policy: 'retry' })
  const start = clock.now()
  next.push(...workers.map(() => 30), 10)
  const all = [...workers.map((_, i) => ask(x(i), { policy: 'retry' })), ask(x(99), { policy: 'retry' })]
  await clock.run(start + 39)
  const { sent } = predictor.stats().hedges
  await clock.run()
  expect((await all[9]).hedged).toBe(false)
  expect(sent).toBe(predictor.stats().hedges.sent)
  await Promise.all(all)
  await predictor.close()
})

it('a row that shares its run with another is not taken for late by what one takes alone', async () => {
  learned ??= state()
  const batches = { most: 2, factor: () => 1.6 }
  const { clock, predictor, ask, next } = await house({ memory: { state: await learned }, deadlineMs: 1e6 }, 1, {
    batches,
  })
  const burst = Array.from({ length: 100 }, (_, i) => ask(x(i), { policy: 'retry' })) // shows what a run of two takes
  await clock.run()
  await Promise.all(burst)
  next.push(3, 10)
  const all = [1000, 1001, 1002].map((i) => ask(x(i)))
  await clock.run()
  expect((await Promise.all(all)).map(({ status, ms }) => [status, Math.round(ms)])).toEqual([
    ['exact', 3],
    ['exact', 19],
    ['exact', 19],
  ])
  await predictor.close()
})

it('a query that waits in the queue is not late: its row has not been at work', async () => {
  const { clock, predictor, ask, next, workers } = await warm()
  next.push(...workers.map(() => 100))
  const all = workers.map(() => ask(stranger, { policy: 'retry' }))
  const given = ask(x(1000))
  await clock.run()
  expect((await given).status).toBe('exact')
  await Promise.all(all)
  await predictor.close()
})

it.each([0, 1])(
  '%i liars: of many that are late at once no more are recovered than a share of the queries',
  async (byzantine) => {
    const { clock, predictor, ask, next } = await warm({
      hedge: { budget: 0 },
      scheme: { ...scheme, byzantine },
    })
    next.push(...Array(9).fill(500))
    const all = Array.from({ length: 40 }, (_, i) => ask(x(1000 + i)))
    await clock.run()
    const recovered = (await Promise.all(all)).filter(({ status }) => status === 'recovered')
    expect(recovered.length).toBeLessThanOrEqual(9) // only those that a worker has
    await predictor.close()
  },
)

it('what is audited is proven, however sure the memory is', async () => {
  for (const [audit, status] of [
    [0, 'checked'],
    [1, 'exact'],
  ] as const) {
    const { clock, predictor, ask } = await warm({
      verify: { audit, integrity: 0.9 },
      scheme: { ...scheme, byzantine: 1 },
    })
    const given = ask(x(1000))
    await clock.run()
    expect((await given).status).toBe(status)
    await predictor.close()
  }
})

it('before 50 answers were seen, what takes three medians is late; one that waits since before it was known, too', async () => {
  const clock = new VirtualClock()
  const next = [500]
  const simulation = {
    clock,
    serviceMs: () => next.shift() ?? 10,
    answer: (row: Float32Array) => row.slice(),
    signature,
  }
  const workers = [0, 1, 2].map((i) => new SimulatedWorker(i, simulation))
  const predictor = await createPredictor({ workers, testing: { clock }, right: 'label', verify: { audit: 0 } })
  const first = predictor.predict(x(0)).then(({ hedged }) => ({ hedged, at: clock.now() }))
  for (let i = 1; i <= 10; i++) clock.after(10 * i, () => void predictor.predict(x(i)))
  await clock.run()
  expect(await first).toEqual({ hedged: true, at: 120 }) // known at 110 ms, and then at once
  await predictor.close()
})

it('where looks are rarely sure a hedge goes first, and the look beside it', async () => {
  const { clock, predictor, ask, next, learn } = await warm()
  for (let i = 0; i < 16; i++) {
    next.push(200, 10)
    const given = ask(Float32Array.of(8 + i, -8 - i * i))
    await learn(25, 10) // so that few are late
    expect((await given).hedged).toBe(true)
  }
  next.push(200, 10)
  const given = ask(x(1000), { policy: 'recover' }) // after so many strangers it is not sure
  await clock.run()
  expect(await given).toMatchObject({ status: 'recovered' })
  await predictor.close()
})

it.each([
  ['auto', false, 200],
  ['recover', false, 200],
  ['auto', undefined, 0],
  ['recover', undefined, 200],
] as const)(
  'policy %s, memory %s: of 200 groups %d send a parity, none beside a warm memory unless that was promised',
  async (policy, memory, count) => {
    learned ??= state()
    const { predictor, rows, learn } = await house({
      scheme: { queries: 2, stragglers: 1 },
      memory: memory ?? { state: await learned },
      maxWaitMs: 100,
      policy,
    })
    await learn(400, 6)
    expect(rows.length - 400).toBe(count)
    await predictor.close()
  },
)

/** With a memory in a thread whose lookups take nine milliseconds, as in JavaScript, or of a very large one. */
async function slow(options: Partial<PredictorOptions> = {}) {
  const thread: { made?: SimulatedThread } = {}
  const made = await warm(options, {}, (clock) => {
    thread.made = new SimulatedThread(clock, { lookUp: 9 })
    return thread.made.spawn
  })
  return { ...made, thread: thread.made as SimulatedThread }
}

it('a look that is under way at the deadline is waited for, and no longer', async () => {
  const { clock, predictor, ask, next } = await slow()
  next.push(200)
  const given = ask(x(1000), { deadlineMs: 12 })
  await clock.run()
  const { status, ms } = await given
  expect(status).toBe('recovered')
  expect(ms).toBeLessThan(22)
  await predictor.close()
})

it('a row that fails after the deadline, while the look goes on: the recovery is given all the same', async () => {
  const { clock, predictor, ask, next, fail } = await slow({ atDeadline: 'give' })
  next.push(18)
  fail.add(stranger[0])
  const given = ask(stranger, { deadlineMs: 15 })
  await clock.run()
  expect(await given).toMatchObject({ status: 'recovered', hedged: false, sure: false })
  await predictor.close()
})

it('where all are late only those are looked up whose turn comes soon', async () => {
  const { clock, predictor, ask, next } = await slow({ hedge: false })
  next.push(200)
  const first = ask(x(999)) // what a lookup takes is known by it
  await clock.run()
  expect((await first).status).toBe('recovered')
  next.push(...Array(9).fill(200))
  const all = Array.from({ length: 9 }, (_, i) => ask(x(1000 + i)))
  await clock.run()
  const recovered = (await Promise.all(all)).filter(({ status }) => status === 'recovered')
  expect([recovered.length > 0, recovered.length < 5]).toEqual([true, true])
  await predictor.close()
})

it('closed, or left by the caller, while a look is under way: nothing is left open', async () => {
  const { clock, predictor, ask, next } = await slow()
  const controller = new AbortController()
  next.push(200, 200)
  const given = Promise.allSettled([ask(x(1000)), ask(x(1001), { signal: controller.signal })])
  clock.after(14, () => controller.abort())
  clock.after(15, () => void predictor.close())
  await clock.run()
  const codes = (await given).map((each) => each.status === 'rejected' && each.reason.code)
  expect([codes, clock.pending]).toEqual([['CLOSED', 'ABORTED'], 0])
})
