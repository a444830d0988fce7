/** Workers that share a few connections: what waits for one waits in the queue, and calls that hang give theirs up. */

import { expect, it } from 'vitest'
import { Cancellation } from '../../src/base/abort'
import type { Payload } from '../../src/base/payload'
import { Pool } from '../../src/pool/pool'
import { Tried } from '../../src/service'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { ConnectionLimit } from '../../src/workers/connection-limit'
import { accept, answerOf, BatchWorker, failureOf, MS, row, runsOf } from '../shared/batch-worker'

class LimitedWorker extends BatchWorker {
  override restart: never = undefined as never
  override maxBatch = 1
  override capacity = 4
  readonly slots = 4

  constructor(
    name: string,
    readonly connections: ConnectionLimit,
  ) {
    super(name)
  }

  override inferBatch(...args: Parameters<BatchWorker['inferBatch']>) {
    const release = this.connections.take()
    const answers = super.inferBatch(...args)
    void Promise.allSettled(answers).then(release)
    return answers
  }
}

const LATE_MS = 2 * MS

function open(names: string[], limit = new ConnectionLimit(2), { lateMs }: { lateMs?: number } = { lateMs: LATE_MS }) {
  const clock = new VirtualClock()
  const workers = names.map((name) => new LimitedWorker(name, limit))
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept, lateMs: () => lateMs })
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const put = (...xs: number[]) => xs.map((x) => pool.submit(row(x)))
  return { clock, limit, workers, pool, pass, put }
}

it('workers with 12 slots and two connections get two calls at a time, and the next when one has ended', async () => {
  const { workers, pool, put, pass } = open(['a', 'b', 'c'])
  const attempts = put(1, 2, 3, 4, 5)
  expect(workers.map(runsOf)).toEqual([[[1]], [[2]], []])
  expect(pool).toMatchObject({ slots: 2, waiting: 1.5 })
  await pass(MS)
  workers[1].runs[0].answer()
  await pass(0)
  expect(workers.map(runsOf)).toEqual([[[1]], [], [[3]]])
  for (let i = 0; i < 3; i++) {
    for (const { runs } of workers) for (const run of [...runs]) run.answer()
    await pass(0)
  }
  expect(attempts.map((attempt) => answerOf(attempt)?.[0])).toEqual([2, 4, 6, 8, 10])
})

it('the fastest of all workers gets the free connection, not the one that has waited longest', async () => {
  const { workers, put, pass } = open(['slow', 'quick', 'also slow'], new ConnectionLimit(1))
  for (let round = 0; round < 9; round++) {
    put(round)
    const worker = workers.find(({ runs }) => runs.length) as LimitedWorker
    await pass(worker.name === 'quick' ? MS : 5 * MS)
    worker.runs[0].answer()
    await pass(0)
  }
  for (let i = 0; i < 3; i++) {
    put(10, 11)
    expect(workers.map(({ runs }) => runs.length)).toEqual([0, 1, 0])
    for (let left = 2; left; left--) {
      await pass(MS)
      workers[1].runs[0].answer()
      await pass(0)
    }
  }
})

it('two pools take turns at one connection', async () => {
  const limit = new ConnectionLimit(1)
  const [one, other] = [open(['a'], limit), open(['b'], limit)]
  one.put(1, 2, 3)
  other.put(4, 5)
  const turns: string[] = []
  for (let i = 0; i < 5; i++) {
    const [{ runs }] = [one, other].map(({ workers: [worker] }) => worker).filter(({ runs }) => runs.length)
    turns.push(String(runs[0].rows))
    runs[0].answer()
    await one.pass(0)
    await other.pass(0)
  }
  expect(turns).toEqual(['1', '2', '4', '3', '5'])
  expect(limit.free).toBe(1)
})

it('a query that waits begins when a health check gives back the connection that it took from the last call', async () => {
  const { limit, workers, put, pass } = open(['a'], new ConnectionLimit(1))
  put(1)
  const check = limit.acquireForCheck(new Cancellation())
  workers[0].runs[0].answer()
  await pass(0)
  const release = await check
  const [attempt] = put(2)
  await pass(MS)
  expect(attempt.phase).toBe('queued')
  release()
  expect(attempt.phase).toBe('running')
})

it('calls that hang give up all connections while queries wait, blame nobody, and their worker gets nothing until it is free', async () => {
  const { workers, put, pass, clock } = open(['hung', 'well'])
  const [hung, well] = workers
  well.capacity = 0
  const attempts = put(1, 2)
  well.capacity = 4
  well.onFree?.()
  const waiting = put(3)
  expect(workers.map(runsOf)).toEqual([[[1], [2]], []])
  const { runs } = hung
  hung.capacity = 0 // until it says that it is ready
  await pass(3 * LATE_MS - 1)
  expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'running'])
  await pass(2)
  expect(attempts.map(failureOf)).toEqual(Array(2).fill(expect.objectContaining({ blame: 'nobody', lost: 'silent' })))
  expect(failureOf(attempts[0])?.error.message).toBe(
    'hung has not answered for 60 ms, and queries wait for its connection',
  )
  expect(runs).toEqual([])
  expect(runsOf(well)).toEqual([[3]])
  well.runs[0].answer()
  await pass(0)
  expect(answerOf(waiting[0])?.[0]).toBe(6)
  expect(clock.now()).toBeLessThan(100)
})

it('calls that are as late keep their connections while no query waits', async () => {
  const { workers, put, pass } = open(['a', 'b'])
  const attempts = put(1, 2)
  await pass(10 * LATE_MS)
  expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'running'])
  for (const { runs } of workers) runs[0].answer()
  await pass(0)
  expect(attempts.map((attempt) => answerOf(attempt)?.[0])).toEqual([2, 4])
})

it('until times are known a call is given up half-way to its deadline', async () => {
  const { pool, put, pass } = open(['a'], new ConnectionLimit(1), {})
  const attempt = pool.submit(row(1, { dueAt: 1000 }))
  put(2)
  await pass(499)
  expect(attempt.phase).toBe('running')
  await pass(2)
  expect(failureOf(attempt)?.lost).toBe('silent')
})

it('after a stall of the thread replies that wait to be read come before calls are given up', async () => {
  const { workers, put, pass, clock } = open(['a'], new ConnectionLimit(1))
  const [attempt] = put(1, 2)
  await pass(MS)
  clock.spend(10 * LATE_MS)
  clock.after(1, () => workers[0].runs[0].answer())
  await pass(10 * LATE_MS)
  expect(answerOf(attempt)?.[0]).toBe(2)
})

it('a query whose calls have given up four connections counts as what hangs its workers, as after two that hung', async () => {
  const { put, pass } = open(['a', 'b'])
  const attempts = put(1, 2)
  put(3)
  await pass(3 * LATE_MS + 1)
  const tried = new Tried()
  for (const attempt of attempts) tried.add(attempt)
  expect(attempts.map(failureOf)).toEqual(Array(2).fill(expect.objectContaining({ lost: 'silent' })))
  expect(tried).toMatchObject({ downs: 1, failures: 0 })
})
