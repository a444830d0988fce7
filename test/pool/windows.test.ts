/** Workers of which nobody says how many attempts they take at once. */

import { expect, it } from 'vitest'
import { QueueingServer, type ServerOptions } from '../../bench/concurrency/windows-run'
import { acceptAnswers, type Payload } from '../../src/base/payload'
import { seeded } from '../../src/base/random'
import { Member } from '../../src/pool/member'
import { Pool } from '../../src/pool/pool'
import { Roster } from '../../src/pool/roster'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { BatchWorker } from '../shared/batch-worker'
import { payloadOf } from '../shared/vectors'

/** So many callers, each of which asks again when it is answered, at servers of 10 ms. */
function asked(callers: number, make: (at: (atOnce: number, told?: number) => QueueingServer) => QueueingServer[]) {
  const clock = new VirtualClock()
  const options: ServerOptions = {
    clock,
    roundTripMs: 0,
    inferenceMs: 10,
    deviation: 0.1,
    atOnce: 1,
    random: seeded(1),
  }
  let made = 0
  const workers = make((atOnce, told) => new QueueingServer(made++, { ...options, atOnce }, told))
  const pool = new Pool<Payload, Payload>(workers, {
    clock,
    hangMs: 30_000,
    accept: acceptAnswers(workers[0].signature, false),
  })
  let answered = 0
  const ask = () => {
    const settled = () => {
      answered++
      ask()
    }
    pool.submit({
      payload: payloadOf(Float32Array.of(1)),
      owner: { began() {}, settled },
      apart: [],
      priority: 'normal',
    })
  }
  for (let i = 0; i < callers; i++) ask()
  /** @returns answers in so much time */
  const pass = async (ms: number) => {
    const before = answered
    await clock.run(clock.now() + ms)
    return answered - before
  }
  const again = (index: number, atOnce: number) => new QueueingServer(index, { ...options, atOnce })
  return { pool, workers, pass, again }
}

it('servers of sixteen slots and of one are used by as much as they do, and the one is not flooded', async () => {
  const { workers, pass, pool } = asked(64, (at) => [at(16), at(1)])
  await pass(5000)
  const [, one] = workers
  one.mostOpen = 0
  expect(await pass(10_000)).toBeGreaterThan(0.9 * 17 * 1000)
  expect(one.mostOpen).toBeLessThanOrEqual(2)
  const [wide, narrow] = pool.stats()
  expect(wide.slots).toBeGreaterThanOrEqual(15)
  expect(narrow.slots).toBeLessThanOrEqual(2)
  expect(pool.slots).toBe(wide.slots + narrow.slots)
})

it('one that answers fewer at once than before gets fewer at once', async () => {
  const { workers, pass, pool } = asked(64, (at) => [at(16), at(16)])
  await pass(5000)
  expect(pool.stats()[0].slots).toBeGreaterThanOrEqual(15)
  workers[0].atOnce = 2
  await pass(500)
  expect(pool.stats()[0].slots).toBeLessThanOrEqual(8)
  await pass(5000)
  expect(pool.stats()[0].slots).toBeLessThanOrEqual(4)
})

it('what is told is used, and not passed', async () => {
  const { workers, pass } = asked(64, (at) => [at(16, 8), at(4)])
  await pass(100)
  expect(workers[0].mostOpen).toBe(8)
  await pass(5000)
  expect(workers[0].mostOpen).toBe(8)
})

it('one that leaves with several under way takes all of its slots along', async () => {
  const { pass, pool } = asked(64, (at) => [at(16), at(4)])
  await pass(5000)
  pool.drain('server 0')
  expect(pool.slots).toBe(pool.stats()[0].slots)
  await pass(1000)
  expect(pool.slots).toBe(pool.stats()[0].slots)
  expect(pool.utilisation).toBeGreaterThan(0.95)
})

it('one that leaves and comes back begins with one call at once, and gets as many as before', async () => {
  const { pass, pool, again } = asked(64, (at) => [at(16), at(4)])
  await pass(5000)
  pool.remove('server 0')
  await pass(100)
  pool.add(again(0, 16))
  expect(pool.stats().map(({ slots }) => slots)).toEqual([expect.any(Number), 1])
  await pass(5000)
  expect(pool.stats()[1].slots).toBeGreaterThanOrEqual(15)
})

it('free slots are counted as they are, whatever changes in which order', () => {
  const random = seeded(7)
  const roster = new Roster(new VirtualClock(), () => {}, () => {}, () => {}, () => false) // biome-ignore format: one line
  const members = ['a', 'b', 'c'].map((name) => new Member(Object.assign(new BatchWorker(name), { slots: 4 }), 1))
  for (const member of members) roster.add(member, false)
  const taken: ReturnType<Roster['occupy']>[] = []
  for (let step = 0; step < 2000; step++) {
    const member = members[Math.floor(3 * random.next())]
    const what = random.next()
    if (what < 0.3) {
      Object.assign(member.worker, { slots: 1 + Math.floor(8 * random.next()) })
      roster.update(member)
    } else if (what < 0.7 && member.slots.hasRoom) taken.push(roster.occupy(member))
    else if (taken.length) roster.vacate(taken.splice(Math.floor(taken.length * random.next()), 1)[0])
    if (step === 1500) roster.leave(members[0])
    const here = members.filter(({ state }) => state !== 'leaving')
    expect(roster.capacity.slots).toBe(here.reduce((sum, { slots }) => sum + slots.limit, 0))
    const free = here.map(({ slots: { limit, busy } }) => Math.max(0, limit - busy))
    expect(roster.capacity.free).toBe(free.reduce((sum, each) => sum + each))
  }
})
