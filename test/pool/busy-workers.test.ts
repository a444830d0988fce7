/** Workers that say that they are busy: their rows go elsewhere or wait, and nothing else is drawn from it. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import type { Payload } from '../../src/base/payload'
import type { Attempt } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { identityOf } from '../../src/workers/worker'
import { accept, answerOf, BatchWorker, failureOf, nobody, row, runsOf } from '../shared/batch-worker'

const refusal = (retryMs?: number) => new ApproxiferError('OVERLOADED', 'the queue is full', { retryMs })

function open(workers: BatchWorker[]) {
  const clock = new VirtualClock()
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept })
  const put = (...xs: number[]) => xs.map((x) => pool.submit(row(x)))
  const pass = (ms: number) => clock.run(clock.now() + ms)
  /** Every run that it has. */
  const refuse = async (worker: BatchWorker, retryMs?: number) => {
    for (const run of [...worker.runs]) run.fail(refusal(retryMs))
    await pass(0)
  }
  return { clock, pool, put, pass, refuse }
}

const wide = (slots: number, name = 'w') =>
  Object.assign(new BatchWorker(name), { slots, capacity: slots, maxBatch: 1 })

/** A worker that always says that it is free, and refuses everything at once. */
class Refuser extends BatchWorker {
  calls = 0
  isBusy = true

  override infer(...args: Parameters<BatchWorker['infer']>) {
    this.calls++
    return this.isBusy ? Promise.reject(refusal()) : super.infer(...args)
  }
}

it('a row that a busy worker refuses goes to a free one at once: it has not failed, and its owner is told of the other', async () => {
  const [busy, free] = [new BatchWorker('busy'), new BatchWorker('free')]
  const { pool, pass, refuse } = open([busy, free])
  const told: string[] = []
  const owner = {
    began: ({ worker }: Attempt) => told.push(`${worker?.name}`),
    settled: ({ outcome }: Attempt) => told.push(`${outcome?.kind}`),
  }
  pool.submit(row(1, { owner }))
  await refuse(busy)
  free.runs[0].answer()
  await pass(0)
  expect(told).toEqual(['busy', 'free', 'answered'])
  expect(
    pool.stats().map(({ failed, refused, expectedMs }) => [failed, refused, expectedMs === Number.POSITIVE_INFINITY]),
  ).toEqual([
    [0, 1, false],
    [0, 0, false],
  ])
})

it('where all are busy rows wait in their order, for 10 ms, and twice as long each time, up to 160', async () => {
  const worker = new BatchWorker()
  const { clock, pool, put, refuse, pass } = open([worker])
  const attempts = put(1, 2, 3)
  await refuse(worker)
  expect([pool.free, pool.usable, attempts.map(({ phase }) => phase)]).toEqual([0, 1, ['queued', 'queued', 'queued']])
  const waits = []
  for (let i = 0; i < 7; i++) {
    const from = clock.now()
    while (!worker.runs.length) await pass(1)
    waits.push(clock.now() - from)
    expect(runsOf(worker)).toEqual([[1]])
    await refuse(worker)
  }
  expect(waits).toEqual([10, 20, 40, 80, 160, 160, 160])
  await pass(160)
  while (worker.runs.length) {
    worker.runs[0].answer()
    await pass(0)
  }
  expect(attempts.map((each) => answerOf(each)?.[0])).toEqual([2, 4, 6])
})

it('sixteen calls that are refused together are one refusal, and keep their order', async () => {
  const worker = wide(16)
  const { put, pass, refuse } = open([worker])
  put(...Array.from({ length: 20 }, (_, i) => i))
  await refuse(worker)
  await pass(9)
  expect(worker.runs).toEqual([])
  await pass(1)
  expect(runsOf(worker).flat()).toEqual(Array.from({ length: 16 }, (_, i) => i))
})

it('a worker that always says that it is free and refuses all is asked a few times a second, however much waits', async () => {
  const workers = Array.from({ length: 4 }, (_, i) => new Refuser(`w${i}`))
  const { put, pass } = open(workers)
  const attempts = put(...Array.from({ length: 500 }, (_, i) => i))
  await pass(1000)
  for (const { calls } of workers) expect([calls > 5, calls < 12]).toEqual([true, true])
  for (const worker of workers) worker.isBusy = false
  await pass(160)
  expect(workers.flatMap(({ runs }) => runs)).toHaveLength(4)
  expect(attempts.every(({ outcome }) => outcome === undefined)).toBe(true)
})

it('it is left alone for as long as it says while no row waits, else asked again as if it had said nothing', async () => {
  const [busy, other] = [new BatchWorker('busy'), new BatchWorker('other')]
  const { put, pass, refuse } = open([busy, other])
  put(1)
  await refuse(busy, 5000)
  other.runs[0].answer()
  await pass(3000)
  put(2)
  await pass(100)
  expect([runsOf(busy), runsOf(other)]).toEqual([[], [[2]]])
  put(3)
  expect(runsOf(busy)).toEqual([])
  await pass(10)
  expect([runsOf(busy), runsOf(other)]).toEqual([[[3]], [[2]]])
  other.runs[0].answer()
  await refuse(busy, 60_000)
  other.runs[0].answer()
  await pass(59_000)
  put(4)
  expect([runsOf(busy), runsOf(other)]).toEqual([[], [[4]]])
})

it('a row that the free workers may not take does not wait for as long as a busy one says', async () => {
  const [busy, other] = [new BatchWorker('busy'), new BatchWorker('other')]
  const { pool, pass, refuse } = open([busy, other])
  const hung = { blocks: (identity: unknown) => identity === identityOf(other) }
  pool.submit(row(1, { apart: [hung] }))
  await refuse(busy, 60_000)
  await pass(10)
  expect([runsOf(busy), runsOf(other)]).toEqual([[[1]], []])
})

it('a batch that is refused as a whole keeps its order, and its attempts go one by one: there may be room for a few', async () => {
  const worker = new BatchWorker()
  const { put, pass, refuse } = open([worker])
  for (let i = 0; i < 30; i++) {
    put(0)
    await pass(1)
    worker.runs[0].answer()
    await pass(0)
  }
  put(1, 2, 3, 4, 5, 6, 7, 8, 9)
  worker.runs[0].answer()
  await pass(0)
  const [together] = runsOf(worker)
  expect(together.length).toBeGreaterThan(1)
  await refuse(worker)
  await pass(10)
  const order = []
  while (worker.runs.length) {
    order.push(...runsOf(worker))
    worker.runs[0].answer()
    await pass(0)
  }
  expect(order.flat()).toEqual([2, 3, 4, 5, 6, 7, 8, 9]) // the first had gone alone
  expect(order.slice(0, together.length)).toEqual(together.map((x) => [x]))
})

it('it is asked again as soon as it answers a call that it had taken, whatever it said', async () => {
  const worker = wide(2)
  const { put, pass } = open([worker])
  put(1, 2)
  worker.runs[1].fail(refusal(30_000))
  await pass(9)
  expect(runsOf(worker)).toEqual([[1]])
  worker.runs[0].answer()
  await pass(0)
  expect(runsOf(worker)).toEqual([[2]])
})

it('what can be done without is dropped, nobody’s fault; so is a trial', async () => {
  const worker = new BatchWorker()
  const { pool, pass, refuse } = open([worker])
  const parity = pool.submit(row(1, { priority: 'low' }))
  await refuse(worker)
  expect(failureOf(parity)).toMatchObject({ blame: 'nobody', lost: undefined })
  await pass(10)
  pool.eject('w')
  const trial = pool.trial(row(2, { priority: 'low' })) as Attempt
  await refuse(worker)
  expect(failureOf(trial)).toMatchObject({ blame: 'nobody' })
  pool.readmit('w')
  await pass(1000)
  expect(worker.runs).toEqual([])
})

it('what is cancelled while a busy worker has it or while it waits is not asked again', async () => {
  const worker = new BatchWorker()
  const { pool, put, pass, refuse } = open([worker])
  const [first, second] = put(1, 2)
  pool.release(first)
  await refuse(worker)
  expect(first.outcome?.kind).toBe('cancelled')
  pool.cancel(second)
  await pass(1000)
  expect([second.outcome?.kind, worker.runs]).toEqual(['cancelled', []])
})

it('one that was refused keeps its turn: before what came later, behind what is of higher rank or priority', async () => {
  const worker = new BatchWorker()
  const { pool, put, pass, refuse } = open([worker])
  put(1)
  await refuse(worker)
  put(2)
  pool.submit(row(3, { turn: { rank: 0, tenant: '' } }))
  pool.submit(row(4, { priority: 'high' }))
  const order = []
  await pass(10)
  while (worker.runs.length) {
    order.push(...runsOf(worker).flat())
    worker.runs[0].answer()
    await pass(0)
  }
  expect(order).toEqual([4, 3, 1, 2])
})

it('refusals teach nothing of how long answers take, and shed no query that has time', async () => {
  const worker = new BatchWorker()
  const { pool, put, pass, refuse } = open([worker])
  for (let i = 0; i < 40; i++) {
    put(i)
    await pass(10)
    worker.runs[0].answer()
    await pass(0)
  }
  const [before, msBefore] = [pool.forecast.aloneMs(1), pool.stats()[0].expectedMs]
  for (let i = 0; i < 20; i++) pool.submit(row(i, { dueAt: 4400 }))
  for (let waited = 0; waited < 1000; waited += 10) {
    await refuse(worker)
    expect(pool.forecast.refusal(4000 - waited, { rank: 1, tenant: '' })).toBe(undefined)
    await pass(10)
  }
  expect([pool.forecast.aloneMs(1), pool.isOverloaded]).toEqual([before, false])
  while (!worker.runs.length) await pass(1)
  await pass(10)
  worker.runs[0].answer()
  await pass(0)
  expect(pool.stats()[0].expectedMs).toBeCloseTo(msBefore as number)
})

it('a worker that refuses every call, or is gone, is not shown with the time of its last answers', async () => {
  const worker = new BatchWorker()
  const { pool, put, pass, refuse } = open([worker])
  put(1)
  await pass(10)
  worker.runs[0].answer()
  await pass(0)
  expect(pool.stats()[0].expectedMs).toBeCloseTo(10)
  put(2)
  for (let refused = 1; refused <= 5; refused++) {
    while (!worker.runs.length) await pass(1)
    await refuse(worker)
    expect(pool.stats()[0].expectedMs === Number.POSITIVE_INFINITY).toBe(refused === 5) // one that is busy for a moment is well
  }
  while (!worker.runs.length) await pass(1)
  worker.runs[0].answer()
  await pass(0)
  expect(pool.stats()[0].expectedMs).toBeLessThan(10)
  Object.assign(worker, { gone: true })
  expect(pool.stats()[0].expectedMs).toBe(Number.POSITIVE_INFINITY)
})

it('a worker that leaves or a pool that is closed while one is busy leaves no row behind', async () => {
  const [busy, other] = [new BatchWorker('busy'), new BatchWorker('other')]
  const { clock, pool, put, pass, refuse } = open([busy, other])
  const [first, second] = put(1, 2)
  await refuse(busy)
  pool.remove('busy')
  pool.remove('other')
  await pass(0)
  expect([failureOf(first), failureOf(second)].map((outcome) => outcome?.blame)).toEqual(['nobody', 'nobody'])
  const late = new BatchWorker('late')
  pool.add(late)
  const ended: unknown[] = []
  pool.submit(row(3, { owner: { ...nobody, settled: ({ outcome }) => ended.push(outcome?.kind) } }))
  await refuse(late)
  await pool.close(new ApproxiferError('CLOSED', 'closed'))
  await clock.run()
  expect([late.runs.length, ended]).toEqual([0, []]) // as of what is queued
})
