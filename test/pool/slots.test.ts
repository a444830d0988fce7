/** Workers that take several attempts at once. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import type { Payload } from '../../src/base/payload'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, answerOf, BatchWorker, died, failureOf, MS, row, runsOf } from '../shared/batch-worker'
import { turn } from '../shared/hand-predictor'

const wide = (slots: number, name = 'w', more: Partial<BatchWorker> = {}) =>
  Object.assign(new BatchWorker(name), { slots, capacity: slots, maxBatch: 1, ...more })

function open(workers: BatchWorker[], options: { hangMs?: number; lateMs?: number } = {}) {
  const clock = new VirtualClock()
  const { hangMs = 30_000, lateMs } = options
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs, accept, lateMs: () => lateMs })
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const put = (...xs: number[]) => xs.map((x) => pool.submit(row(x)))
  return { clock, pool, pass, put }
}

it('a worker gets as many at once as it says, each in a slot of its own', async () => {
  const worker = wide(3)
  const { pool, put, pass } = open([worker])
  const attempts = put(1, 2, 3, 4, 5)
  expect(runsOf(worker)).toEqual([[1], [2], [3]])
  expect(pool.stats()[0]).toMatchObject({ slots: 3, running: 3 })
  await pass(MS)
  worker.runs[1].answer()
  await pass(0)
  expect(runsOf(worker)).toEqual([[1], [3], [4]])
  expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'settled', 'running', 'running', 'queued'])
  await pass(MS)
  for (const run of [...worker.runs]) run.answer()
  await pass(0)
  expect(attempts.map(({ ranMs }) => ranMs)).toEqual([20, 10, 20, 10, 0]) // each by itself
})

it('of workers that are equally fast the least loaded comes first; faster ones do while they have room', async () => {
  const workers = [wide(4, 'a'), wide(4, 'b'), wide(4, 'slow')]
  const { put, pass } = open(workers)
  for (let round = 0; round < 3; round++) {
    put(1, 2, 3)
    expect(workers.map(({ runs }) => runs.length)).toEqual([1, 1, 1]) // few answers prove nothing
    await pass(MS)
    for (const { runs } of workers.slice(0, 2)) runs[0].answer()
    await pass(MS)
    workers[2].runs[0].answer() // half as fast
    await pass(0)
  }
  put(1, 2, 3, 4)
  expect(workers.map(({ runs }) => runs.length)).toEqual([2, 2, 0])
  put(5, 6, 7, 8, 9)
  expect(workers.map(({ runs }) => runs.length)).toEqual([4, 4, 1])
})

it('what is known to be slow is passed over while the fast one has fewer queued than it answers meanwhile', async () => {
  const [quick, slow] = [wide(4, 'quick'), wide(4, 'slow')]
  const { put, pass } = open([quick, slow])
  put(1, 2)
  await pass(MS)
  quick.runs[0].answer()
  await pass(9 * MS)
  slow.runs[0].answer()
  await pass(0)
  put(1, 2, 3, 4, 5, 6)
  expect(runsOf(quick)).toEqual([[1], [2], [3], [4]])
  expect(runsOf(slow)).toEqual([[1]]) // a copy, which shows whether it has recovered
})

it('low priority leaves a tenth of the slots free', () => {
  const worker = wide(20)
  const { pool } = open([worker])
  for (let x = 0; x < 20; x++) pool.submit(row(x, { priority: 'low' }))
  expect(worker.runs.length).toBe(18)
})

it('two attempts that share one to keep apart by may be at one worker, unless that one blocks it', () => {
  const worker = wide(3)
  const { pool } = open([worker])
  const [loose, strict] = [{ blocks: () => false }, { blocks: (identity: string) => identity === 'w' }]
  for (const apart of [[loose], [loose], [strict]]) pool.submit(row(1, { apart }))
  expect(worker.runs.length).toBe(2)
})

it('what is silent is one attempt, not its worker: the others go on, and its slot stays taken until it is heard', async () => {
  const worker = wide(2)
  Object.defineProperty(worker, 'restart', { value: undefined })
  const { pool, put, pass } = open([worker], { hangMs: 100 })
  const [silent] = put(1)
  await pass(50)
  const [other] = put(2)
  await pass(60)
  expect(failureOf(silent)).toMatchObject({ blame: 'worker', lost: 'silent' })
  expect([other.phase, pool.stats()[0].running]).toEqual(['running', 1])
  put(3, 4)
  expect(runsOf(worker)).toEqual([[2], [3]]) // its call had ended with the abort
})

it('a worker that is restarted for one that hangs gives the others back, which are not to blame', async () => {
  const [hangs, other] = [wide(3, 'hangs'), wide(3, 'other')]
  const { put, pass } = open([hangs, other], { hangMs: 100 })
  const [first] = put(1)
  await pass(60)
  other.capacity = 0
  const [innocent] = put(2)
  expect(innocent.worker).toBe(hangs)
  other.capacity = 3
  other.onFree?.()
  await pass(50)
  expect([hangs.restarts, failureOf(first)?.lost]).toEqual([1, 'down'])
  expect([innocent.phase, innocent.isAlone]).toEqual(['running', false])
  for (const { runs } of [hangs, other]) for (const run of [...runs]) run.answer()
  await pass(0)
  expect(answerOf(innocent)?.[0]).toBe(4)
})

it('a worker that goes down with several does not tell with which', async () => {
  const worker = wide(2)
  const { put, pass } = open([worker])
  const attempts = put(1, 2)
  worker.capacity = 0
  for (const run of [...worker.runs]) run.fail(died)
  await pass(0)
  expect(attempts.map(failureOf)).toMatchObject([
    { blame: 'worker', lost: 'shared' },
    { blame: 'worker', lost: 'shared' },
  ])
})

it('a worker that leaves is closed when its last slot is free', async () => {
  const worker = wide(2)
  let closed = 0
  worker.close = async () => void closed++
  const { pool, put, pass } = open([worker])
  const attempts = put(1, 2)
  pool.drain('w')
  worker.runs[0].answer()
  await pass(0)
  expect(closed).toBe(0)
  worker.runs[0].answer()
  await pass(0)
  expect([closed, attempts.every(answerOf)]).toEqual([1, true])
})

it('a worker that is removed settles what is in every slot, and nobody is to blame', async () => {
  const worker = wide(3)
  const { pool, put } = open([worker])
  const attempts = put(1, 2, 3)
  pool.remove('w')
  await turn()
  expect(attempts.map(failureOf).map((failure) => failure?.blame)).toEqual(['nobody', 'nobody', 'nobody'])
})

it('whether there was a worker to remove or to drain is told, also of one that drains', async () => {
  const worker = wide(1)
  const { pool, put } = open([worker])
  put(1)
  expect(['other', 'w', 'w'].map((name) => pool.drain(name))).toEqual([false, true, false])
  expect(['other', 'w', 'w'].map((name) => pool.remove(name))).toEqual([false, true, false])
})

it('a worker that has answered, and takes a while until it is free, is not taken for one that hangs', async () => {
  const worker = wide(1)
  const { put, pass } = open([worker], { hangMs: 100 })
  put(1)
  worker.capacity = 0
  worker.runs[0].answer()
  await pass(300)
  expect(worker.restarts).toBe(0)
  worker.capacity = 1
  worker.onFree?.()
  put(2)
  expect(runsOf(worker)).toEqual([[2]])
})

it.each([
  ['who fails on what nobody waits for has failed all the same', true, died, 1],
  ['who says that it was told to end, and was not, has failed', false, new ApproxiferError('ABORTED', 'not I'), 1],
  ['who ends what nobody waits for has not', true, new ApproxiferError('ABORTED', 'as it was told'), 0],
] as const)('%s', async (_, isReleased, error, failed) => {
  const worker = wide(1)
  const { pool, put, pass } = open([worker])
  const [attempt] = put(1)
  if (isReleased) pool.release(attempt)
  worker.runs[0].fail(error)
  await pass(0)
  expect([attempt.outcome?.kind, pool.stats()[0].failed]).toEqual([failed ? 'failed' : 'cancelled', failed])
})

it('an ejected one finishes what it has, and is tried when it has nothing', async () => {
  const worker = wide(2)
  const { pool, put, pass } = open([worker])
  put(1, 2)
  pool.suspend('w')
  worker.runs[0].answer()
  await pass(0)
  expect([runsOf(worker), pool.trial(row(9))]).toEqual([[[2]], undefined])
  worker.runs[0].answer()
  await pass(0)
  expect(pool.trial(row(9))?.worker).toBe(worker)
  pool.readmit('w')
  put(3)
  expect(runsOf(worker)).toEqual([[9], [3]])
})

it('each slot gets runs of several rows where much waits', async () => {
  const worker = wide(2, 'w', { maxBatch: 8 })
  const { put, pass } = open([worker])
  put(1, 2)
  await pass(MS)
  for (const run of [...worker.runs]) run.answer()
  await pass(0)
  put(...Array.from({ length: 12 }, (_, i) => i))
  for (let i = 0; i < 4; i++) {
    await pass(MS)
    worker.runs[0].answer()
    await pass(0)
  }
  expect(Math.max(...worker.runs.map(({ rows }) => rows.length))).toBe(2)
})

it('what was sent ahead begins when any slot of its worker is free', async () => {
  const worker = wide(2, 'w', { takesNext: true, roundTripMs: 6, capacity: 3 })
  const { put, pass } = open([worker])
  put(1, 2)
  await pass(MS)
  for (const run of [...worker.runs]) run.answer()
  await pass(0)
  const attempts = put(1, 2, 3, 4, 5, 6)
  expect(runsOf(worker)).toEqual([[1], [2], [3]])
  expect(attempts[2].startedAt).toBeNaN()
  await pass(MS)
  worker.runs[1].answer() // not the one that it was sent behind
  await pass(0)
  expect(attempts[2].startedAt).toBe(2 * MS - 6)
})

it.each([0, 1])('a slot begins with what was sent behind itself before what is behind others: %i', async (slot) => {
  const worker = wide(2, 'w', { takesNext: true, roundTripMs: 6, capacity: 4 })
  const { put, pass } = open([worker])
  put(1, 2)
  await pass(MS)
  for (const run of [...worker.runs]) run.answer()
  await pass(0)
  const attempts = put(...Array.from({ length: 8 }, (_, i) => i + 1))
  expect(runsOf(worker)).toEqual([[1], [2], [3], [4]])
  await pass(MS)
  worker.runs[slot].answer()
  await pass(0)
  const began = [attempts[2], attempts[3]].map(({ startedAt }) => startedAt === 2 * MS - 6)
  expect(began).toEqual([slot === 0, slot === 1])
})

it('a worker whose slots are all taken is not asked whether it is free', async () => {
  const worker = wide(2)
  let asked = 0
  Object.defineProperty(worker, 'free', { get: () => ++asked > 0 && worker.runs.length < 2 })
  const { put } = open([worker])
  put(1, 2)
  asked = 0
  put(...Array.from({ length: 1000 }, (_, i) => i))
  expect(asked).toBe(0)
})

it('a worker that says it takes more than it does is asked again when it has room', async () => {
  const worker = wide(4, 'w', { capacity: 2 })
  const { put, pass } = open([worker])
  const attempts = put(1, 2, 3)
  expect(runsOf(worker)).toEqual([[1], [2]])
  worker.runs[0].answer()
  await pass(0)
  expect(runsOf(worker)).toEqual([[2], [3]])
  worker.runs[0].fail(new ApproxiferError('OVERLOADED', 'busy'))
  await pass(0)
  expect([attempts[1].phase, attempts[1].worker]).toEqual(['queued', undefined])
  await pass(10)
  expect(runsOf(worker)).toEqual([[3], [2]])
})
