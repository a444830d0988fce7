/** Slots are a machine's, whatever names its workers have: one that announces itself begins with one, and earns the others. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import type { Payload } from '../../src/base/payload'
import { Machine } from '../../src/pool/machine'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, BatchWorker, MS, row } from '../shared/batch-worker'

const HANG_MS = 1000

/** Of a machine that proves a key; nobody restarts it. */
const announced = (name: string, more: Partial<BatchWorker> & { slots?: number; identity?: string; trusted?: boolean; interruptible?: boolean } = {}) => // biome-ignore format: one line
  Object.assign(new BatchWorker(name), { signed: true, maxBatch: 1, capacity: more.slots ?? 1, restart: undefined as never }, more) // biome-ignore format: one line

function open(workers: BatchWorker[]) {
  const clock = new VirtualClock()
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: HANG_MS, accept })
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const put = (count: number) => Array.from({ length: count }, (_, x) => pool.submit(row(x)))
  /** What is under way is answered, and what waits begins. */
  const answer = async (...all: BatchWorker[]) => {
    await pass(MS)
    for (const { runs } of all) for (const run of [...runs]) run.answer()
    await pass(0)
  }
  return { clock, pool, pass, put, answer }
}

const atWork = (workers: readonly BatchWorker[]) => workers.reduce((sum, { runs }) => sum + runs.length, 0)

it('one that announces 64 slots begins with one, and has twice as many with each answer time', async () => {
  const worker = announced('w', { slots: 64 })
  const { pool, put, answer } = open([worker])
  put(300)
  const seen: number[] = []
  for (let i = 0; i < 8; i++) {
    seen.push(worker.runs.length)
    expect(pool.slots).toBe(Math.min(64, seen[i]))
    await answer(worker)
  }
  expect(seen).toEqual([1, 2, 4, 8, 16, 32, 64, 64])
})

it('several names of one machine begin with one slot together, and end with one each', async () => {
  const workers = ['a', 'b', 'c', 'd'].map((name) => announced(name, { identity: 'machine' }))
  const { pool, put, answer } = open(workers)
  put(30)
  const seen: number[] = []
  for (let i = 0; i < 4; i++) {
    seen.push(atWork(workers))
    await answer(...workers)
  }
  expect(seen).toEqual([1, 2, 4, 4])
  expect(pool.stats().map(({ answered }) => answered > 0)).toEqual([true, true, true, true])
})

it.each([
  ['a worker of the user’s own', [Object.assign(new BatchWorker('w'), { slots: 8, capacity: 8, maxBatch: 1 })]],
  ['one that is trusted', [announced('w', { slots: 8, trusted: true })]],
  [
    'trusted ones of one machine',
    [1, 2, 3, 4].map((i) => announced(`w${i}`, { slots: 2, trusted: true, identity: 'm' })),
  ],
])('%s has all of its slots at once', (_, workers) => {
  const { put } = open(workers)
  put(20)
  expect(atWork(workers)).toBe(8)
})

it('whoever claims the identity of a trusted worker shares no slots with it', () => {
  const own = announced('own', { trusted: true, identity: 'm', slots: 4 })
  const others = [1, 2, 3].map((i) => announced(`fake${i}`, { identity: 'm' }))
  const { put } = open([...others, own])
  put(20)
  expect([atWork([own]), atWork(others)]).toEqual([4, 1])
})

it('a silent call keeps the slot of its machine from all of its names, also where it ends with an abort', async () => {
  const names = Array.from({ length: 50 }, (_, i) => announced(`s${i}`, { identity: 'silent' }))
  const honest = announced('h')
  const { pool, put, pass, answer } = open([...names, honest])
  put(5)
  for (let i = 0; i < 5; i++) await answer(honest)
  expect([atWork(names), atWork([honest])]).toEqual([1, 0])
  await pass(HANG_MS) // the call is given up
  expect(atWork(names)).toBe(0)
  put(2)
  expect([atWork(names), atWork([honest])]).toEqual([0, 1]) // it gets nothing for as long as it was silent
  for (let i = 0; i < 2; i++) await answer(honest)
  await pass(HANG_MS)
  put(2)
  expect([atWork(names), atWork([honest])]).toEqual([1, 1])
  await answer(honest)
  await pass(2 * HANG_MS)
  put(2)
  expect([atWork(names), atWork([honest])]).toEqual([0, 1]) // twice as long
  expect(pool.usable).toBe(51)
})

it('a machine that leaves and comes back under another name has what it earned, and owes what it owed', async () => {
  const first = announced('s1', { identity: 'silent' })
  const [honest, steady] = [announced('h'), announced('k1', { identity: 'steady', slots: 4 })]
  const { pool, put, pass, answer } = open([first, honest, steady])
  put(12)
  for (let i = 0; i < 5; i++) await answer(honest, steady)
  expect(atWork([first])).toBe(1)
  pool.remove('s1')
  pool.remove('k1')
  const [second, again] = [announced('s2', { identity: 'silent' }), announced('k2', { identity: 'steady', slots: 4 })]
  pool.add(second)
  pool.add(again)
  put(5)
  expect([atWork([second]), atWork([honest]), atWork([again])]).toEqual([0, 1, 4])
  await pass(HANG_MS)
})

it('one that is drained answers what it has, and has all it earned when it is back', async () => {
  const worker = announced('w1', { identity: 'machine', slots: 32 })
  const { pool, put, answer } = open([worker, announced('h')])
  put(60)
  for (let i = 0; i < 5; i++) await answer(worker)
  expect(worker.runs.length).toBeGreaterThan(20)
  pool.drain('w1')
  await answer(worker)
  const again = announced('w2', { identity: 'machine', slots: 32 })
  pool.add(again)
  put(60)
  expect(again.runs.length).toBe(32)
})

it('the only machine that there is makes no pause: nobody else could answer', async () => {
  const worker = announced('w')
  const { put, pass } = open([worker])
  put(1)
  await pass(HANG_MS + 20)
  put(1)
  expect(worker.runs.length).toBe(1)
})

it('one that has answered for long loses slots by silence, and has them again by answers; a pause comes when none is left', () => {
  const machine = new Machine()
  machine.add(announced('w'))
  machine.slots.all = 4
  for (let i = 0; i < 30; i++) machine.answered()
  for (let i = 0; i < 13; i++) expect(machine.silent(50)).toBe(0)
  expect(machine.limit).toBe(1)
  expect(Array.from({ length: 10 }, () => machine.silent(50))).toEqual([50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]) // biome-ignore format: one line
  machine.answered()
  expect([machine.limit, machine.silent(50), machine.silent(50)]).toEqual([2, 0, 50])
})

it('an attempt that is given up when it is late costs a slot, and one that its caller gives up before does not', async () => {
  const worker = announced('w', { slots: 16, interruptible: true })
  const { pool, put, pass, answer } = open([worker, announced('h')])
  put(8)
  for (let i = 0; i < 5; i++) await answer(worker)
  const before = pool.slots
  for (const [ms, cost] of [
    [MS / 2, 0],
    [5 * MS, 1],
  ]) {
    const attempts = put(1)
    await pass(ms)
    for (const attempt of attempts) pool.cancel(attempt)
    await pass(0)
    expect(pool.slots).toBe(before - cost)
  }
})

it('a server that the user named gets as many slots as before, and no pause', async () => {
  const named = Object.assign(new BatchWorker('http'), {
    identity: '10.0.0.1:8000',
    slots: 16,
    capacity: 16,
    maxBatch: 1,
  })
  const { put, pool, pass, answer } = open([named, announced('h')])
  const attempts = put(17)
  expect(named.runs.length).toBe(16)
  await answer(named)
  for (const attempt of attempts) pool.cancel(attempt)
  await pass(HANG_MS)
  put(17)
  expect(named.runs.length).toBe(16)
})

/** Counts what is read of it. */
class Watched extends BatchWorker {
  static reads = 0
  readonly signed = true

  override get free() {
    Watched.reads++
    return super.free
  }

  get identity() {
    Watched.reads++
    return 'silent'
  }
}

it('ten thousand names of one machine join, are passed by and leave, and none of that looks at all of them', async () => {
  const [honest, other] = [new BatchWorker('h'), announced('other')]
  const { pool, put, answer } = open([honest, other])
  const names = Array.from({ length: 10_000 }, (_, i) => new Watched(`s${i}`))
  for (const each of names) pool.add(each)
  put(2) // one of them has a call from now on
  await answer(honest, other)
  const joined = Watched.reads
  expect(joined).toBeLessThan(10 * names.length)
  for (let i = 0; i < 100; i++) {
    const attempt = pool.submit(row(i, { apart: [{ blocks: (identity) => identity === 'silent' }] }))
    await answer(honest, other)
    expect(attempt.outcome?.kind).toBe('answered')
  }
  const asked = Watched.reads
  expect(asked - joined).toBeLessThan(100 * 10)
  for (const { name } of names) pool.drain(name)
  expect(pool.size).toBe(2)
  expect(Watched.reads - asked).toBeLessThan(10 * names.length)
})

it('a machine that refuses each row late, in place of being silent, loses its slots as if it were', async () => {
  const good = [1, 2, 3].map((i) => announced(`w${i}`))
  const bad = announced('bad', { slots: 8, identity: 'bad' })
  const { pool, put, pass, answer } = open([...good, bad])
  put(500)
  for (let i = 0; i < 8; i++) await answer(...good, bad)
  expect([pool.slots, bad.runs.length]).toEqual([11, 8])
  for (let i = 0; i < 10; i++) {
    await pass(5 * MS)
    for (const run of [...bad.runs]) run.fail(new ApproxiferError('OVERLOADED', 'too much to do'))
    await answer(...good)
  }
  expect(pool.slots).toBeLessThanOrEqual(4)
})
