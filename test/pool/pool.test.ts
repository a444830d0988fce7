/** What the face of a pool does: take, cancel, promote. */

import TinyQueue from 'tinyqueue'
import { expect, it, vi } from 'vitest'
import type { Payload } from '../../src/base/payload'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, BatchWorker, died, failureOf, row, runsOf } from '../shared/batch-worker'

/** One worker that takes one at a time, and gives back what is aborted. */
function one() {
  const clock = new VirtualClock()
  const worker = Object.assign(new BatchWorker(), { maxBatch: 1 })
  const pool = new Pool<Payload, Payload>([worker], { clock, hangMs: 30_000, accept })
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const serve = async () => {
    const { rows } = worker.runs[0]
    worker.runs[0].answer()
    await pass(0)
    return rows[0]
  }
  return { worker, pool, pass, serve }
}

it('what was queued with low priority goes before all others once it is promoted; what runs, or was not low, stays', async () => {
  const { pool, worker, serve } = one()
  const [running, normal, low] = [pool.submit(row(0)), pool.submit(row(1)), pool.submit(row(2, { priority: 'low' }))]
  for (const attempt of [running, normal, low]) pool.promote(attempt)
  expect([running, normal, low].map(({ priority }) => priority)).toEqual(['normal', 'normal', 'high'])
  expect(runsOf(worker)).toEqual([[0]])
  expect([await serve(), await serve(), await serve()]).toEqual([0, 2, 1])
})

it('what runs cannot be promoted, though it was low', async () => {
  const { pool, serve } = one()
  const low = pool.submit(row(1, { priority: 'low' }))
  pool.submit(row(2))
  pool.promote(low)
  expect([low.phase, low.priority]).toEqual(['running', 'low'])
  expect([await serve(), await serve()]).toEqual([1, 2])
})

it('what is cancelled tells for how long it ran, one that waits that it never did', async () => {
  const { pool, pass } = one()
  await pass(1000)
  const [runs, waits] = [pool.submit(row(1)), pool.submit(row(2))]
  await pass(30)
  for (const attempt of [waits, runs]) pool.cancel(attempt)
  await pass(0)
  expect([runs, waits].map(({ outcome, ranMs }) => [outcome?.kind, ranMs])).toEqual([
    ['cancelled', 30],
    ['cancelled', 0],
  ])
})

it('what is known of free slots does not pile up, however often workers are looked at', () => {
  const pushed = vi.spyOn(TinyQueue.prototype, 'push')
  const { pool } = one()
  for (let i = 0; i < 5000; i++) pool.readmit('w')
  const lengths = pushed.mock.results.map((_, i) => pushed.mock.contexts[i] as TinyQueue<unknown>).map(({ length }) => length) // biome-ignore format: one line
  expect(lengths.length).toBeGreaterThanOrEqual(5000)
  expect(Math.max(...lengths)).toBeLessThanOrEqual(1002)
  pushed.mockRestore()
})

it('where no worker may take what is queued, and nobody knows when one will, it fails rather than waits; nobody is to blame', async () => {
  const { pool, pass } = one()
  const [runs, waits, low] = [pool.submit(row(1)), pool.submit(row(2)), pool.submit(row(3, { priority: 'low' }))]
  pool.suspend('w')
  await pass(0)
  expect(failureOf(low)).toMatchObject({ blame: 'nobody' })
  expect([runs.phase, failureOf(waits)]).toEqual(['running', expect.objectContaining({ blame: 'nobody' })])
  expect(failureOf(waits)?.error.message).toBe('no worker may take a query: 1 of 1 quarantined')
  pool.readmit('w')
  const later = pool.submit(row(3))
  await pass(0)
  expect(later.phase).toBe('queued')
})

it('that there are fewer workers is told where something is queued, and not after it was closed', async () => {
  const told = vi.fn()
  const clock = new VirtualClock()
  const worker = Object.assign(new BatchWorker(), { maxBatch: 1 })
  const pool = new Pool<Payload, Payload>([worker], { clock, hangMs: 30_000, accept, fewer: told })
  const strand = async () => {
    pool.eject('w')
    await clock.run(clock.now())
    pool.readmit('w')
    return told.mock.calls.length
  }
  expect(await strand()).toBe(0)
  for (const x of [1, 2]) pool.submit(row(x))
  expect(await strand()).toBe(1)
  pool.submit(row(3))
  void pool.close(died)
  expect(await strand()).toBe(1)
})

it('utilisation is the share of slots at work on what cannot be done without, lately', async () => {
  const { pool, serve, pass } = one()
  expect(pool.utilisation).toBe(0)
  pool.submit(row(1))
  await pass(5000)
  expect(pool.utilisation).toBeGreaterThan(0.99)
  await serve()
  await pass(5000)
  expect(pool.utilisation).toBeLessThan(0.01)
  pool.submit(row(2, { priority: 'low' }))
  await pass(5000)
  expect(pool.utilisation).toBeLessThan(0.01)
})

it('a queued attempt that may go to none of the workers that are left fails, and is nobody’s fault; others wait on', async () => {
  const clock = new VirtualClock()
  const workers = ['a', 'b', 'c'].map((name) => Object.assign(new BatchWorker(name), { maxBatch: 1 }))
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept })
  for (let i = 0; i < 3; i++) pool.submit(row(i))
  const apart = [{ blocks: (identity: string) => identity === 'a' }]
  const [blocked, other] = [pool.submit(row(3, { apart, isStranded: true })), pool.submit(row(4, { isStranded: true }))]
  pool.drain('b')
  await clock.run(1)
  expect([blocked.phase, other.phase]).toEqual(['queued', 'queued'])
  pool.remove('c')
  await clock.run(2)
  expect(failureOf(blocked)).toMatchObject({ blame: 'nobody', error: { code: 'WORKER', message: 'no worker is left that was not asked' } }) // biome-ignore format: one line
  expect(other.phase).toBe('queued')
})

it('attempts that keep apart need an identity each: those beyond fail when a worker leaves', async () => {
  const clock = new VirtualClock()
  const workers = ['a', 'b', 'c'].map((name) => Object.assign(new BatchWorker(name), { maxBatch: 1 }))
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept })
  for (let i = 0; i < 3; i++) pool.submit(row(i))
  const apart = [{ blocks: () => false }]
  const votes = [1, 2, 3].map((x) => pool.submit(row(x, { apart, isStranded: true })))
  const other = pool.submit(row(4, { isStranded: true }))
  pool.drain('c')
  await clock.run(1)
  expect([...votes, other].map(({ phase }) => phase)).toEqual(['queued', 'queued', 'settled', 'queued'])
})

it('a slot of what was taken back is free when the call settles, also of a worker that says nothing', async () => {
  const clock = new VirtualClock()
  let answer = (_: unknown): void => {}
  const infer = () => new Promise<never>((resolve) => { answer = resolve as never }) // biome-ignore format: one line
  const worker = Object.assign(new BatchWorker('a'), { maxBatch: 1, infer, inferBatch: undefined })
  const pool = new Pool<Payload, Payload>([worker as never], {
    clock,
    hangMs: 30_000,
    accept: () => row(1).payload as Payload,
  })
  pool.submit(row(1))
  Object.assign(worker, { capacity: 0 })
  pool.eject('a')
  Object.assign(worker, { capacity: 1 })
  expect(pool.trial(row(2))).toBeUndefined()
  answer([])
  await clock.run(1)
  expect(pool.trial(row(2))?.worker?.name).toBe('a')
})

it('what an ejected worker is at fails at once, and is nobody’s fault; it is told, and free as soon as it says so', async () => {
  const clock = new VirtualClock()
  const worker = Object.assign(new BatchWorker('a'), { maxBatch: 1 })
  const pool = new Pool<Payload, Payload>([worker], { clock, hangMs: 30_000, accept })
  const ended: unknown[] = []
  const taken = pool.submit(row(1, { owner: { settled: ({ outcome }) => ended.push(outcome?.kind) } }))
  const next = pool.submit(row(2))
  pool.suspend('a')
  expect([taken.phase, next.phase]).toEqual(['running', 'queued']) // what it is at goes on
  pool.eject('a')
  expect([ended, failureOf(taken)?.blame]).toEqual([['failed'], 'nobody'])
  pool.readmit('a')
  await clock.run(1)
  expect([runsOf(worker), next.phase, pool.stats()[0].failed]).toEqual([[[2]], 'running', 0]) // an abort frees it
  expect(ended).toHaveLength(1)
})

it('a worker that says that something has changed, while it hangs with what was cancelled, is restarted all the same', async () => {
  const clock = new VirtualClock()
  const worker = Object.assign(new BatchWorker('a'), { maxBatch: 1 })
  const pool = new Pool<Payload, Payload>([worker], { clock, hangMs: 200, accept })
  const attempt = pool.submit(row(1))
  worker.capacity = 0 // it rejects what is cancelled, and is at work on it all the same
  pool.cancel(attempt)
  await clock.run(100)
  worker.onFree?.() // it takes fewer at once, say
  expect(worker.restarts).toBe(0)
  await clock.run(250)
  expect(worker.restarts).toBe(1)
})
