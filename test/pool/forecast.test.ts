/** What cannot be answered in time is refused, and begun by nobody. */

import { describe, expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import type { Payload } from '../../src/base/payload'
import { type Attempt, NORMAL, type Owner } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, failureOf, row, signature } from '../shared/batch-worker'

const MS = 10

/** Workers that take 10 ms, the first so many times as long; known to by 40 rows. */
async function known(count: number, slower: number | (() => number) = 1) {
  const factor = () => (typeof slower === 'number' ? slower : slower())
  const clock = new VirtualClock()
  const law = (index: number) => MS * (index && typeof slower === 'number' ? 1 : factor())
  const workers = Array.from({ length: count }, (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer: (data) => data.slice(), signature })) // biome-ignore format: one line
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept })
  const learn = async () => {
    for (let i = 0; i < 40; i++) {
      pool.submit(row(i))
      if (i % count === count - 1) await clock.run(clock.now() + MS * factor())
    }
    await clock.run()
  }
  const put = (leftMs: number, owner: Owner = { began() {}, settled() {} }) => pool.submit(row(1, { dueAt: clock.now() + leftMs, owner })) // biome-ignore format: one line
  return { clock, pool, workers, learn, put }
}

describe('on arrival', () => {
  it('a pool that knows no times refuses nobody', async () => {
    const { pool, put } = await known(2)
    for (let i = 0; i < 100; i++) put(1e6)
    expect(pool.forecast.refusal(1, NORMAL)).toBeUndefined()
    expect(pool.isOverloaded).toBe(false)
  })

  it('a pool that no worker is left of refuses nobody: it has another error for that', async () => {
    const { pool, workers, learn } = await known(2)
    await learn()
    for (const { name } of workers) pool.eject(name)
    expect(pool.forecast.refusal(50, NORMAL)).toBeUndefined()
  })

  it('who would wait too long is refused, and told for how long; who has the time is not', async () => {
    const { pool, learn, put } = await known(2)
    await learn()
    for (let i = 0; i < 12; i++) put(1e6) // two at work, ten waiting: about 50 ms
    expect(pool.forecast.refusal(200, NORMAL)).toBeUndefined()
    expect(pool.isOverloaded).toBe(false)
    const error = pool.forecast.refusal(50, NORMAL)
    expect(error).toMatchObject({ code: 'OVERLOADED' })
    expect(error?.message).toMatch(
      /^it has 50 ms, and would wait 5\d ms for workers before it is begun: too late for most$/,
    )
    expect(error?.retryMs).toBeCloseTo(52.5)
    expect(pool.isOverloaded).toBe(true)
  })

  it('as many at once as there are idle workers wait for none', async () => {
    const { pool, learn } = await known(2)
    await learn()
    const refused = (rows: number) =>
      pool.forecast.refusal(12, NORMAL, { own: 0, others: 0, rows, isIn: false }) !== undefined
    expect([1, 2, 12].map(refused)).toEqual([false, false, true])
  })

  it('a slow spell that is over is over for who is told when to come back; nobody is to wait for what is given up by then', async () => {
    let slower = 1
    const { clock, pool, learn, put } = await known(2, () => slower)
    await learn()
    slower = 10
    for (let i = 0; i < 3; i++) await learn()
    for (let i = 0; i < 12; i++) if (!pool.forecast.refusal(2000, NORMAL)) put(2000)
    expect(pool.forecast.refusal(50, NORMAL)?.retryMs).toBeGreaterThan(400)
    await clock.run()
    slower = 1
    for (let i = 0; i < 12; i++) put(1e6) // answered as before
    await clock.run()
    for (let i = 0; i < 12; i++) put(1e6)
    const told = pool.forecast.refusal(100, NORMAL)?.retryMs as number
    expect([told > 40, told < 110]).toEqual([true, true]) // by the mean of a hundred it would be 430
    await clock.run(clock.now() + told)
    expect(pool.forecast.refusal(100, NORMAL)).toBeUndefined()
    await clock.run()
    slower = 300
    for (let i = 0; i < 40; i++) pool.forecast.refusal(7000, NORMAL) ?? put(7000)
    await clock.run(clock.now() + 4 * 3000) // others wait still
    for (let i = 0; i < 40; i++) pool.forecast.refusal(7000, NORMAL) ?? put(7000)
    expect(pool.forecast.refusal(3100, NORMAL)?.retryMs).toBe(7000) // as many as wait would take ten times as long
  })

  it('while queries are refused the queue is to be short; a while after none is it may be long again', async () => {
    const { clock, pool, learn, put } = await known(2)
    await learn()
    for (let i = 0; i < 12; i++) put(1e6)
    for (let i = 0; i < 4; i++) pool.forecast.refusal(50, NORMAL)
    expect(pool.forecast.refusal(200, NORMAL)).toBeDefined() // it was let in before
    const other = { rank: 1, tenant: 'other' } as const
    expect(pool.forecast.refusal(200, other)).toBeUndefined()
    await clock.run(clock.now() + 60)
    expect(pool.isOverloaded).toBe(true)
    await clock.run(clock.now() + 10 * MS)
    expect(pool.isOverloaded).toBe(false)
    for (let i = 0; i < 80; i++) expect(pool.forecast.refusal(200, NORMAL)).toBeUndefined()
    for (let i = 0; i < 12; i++) put(1e6)
    expect(pool.forecast.refusal(200, NORMAL)).toBeUndefined()
  })

  it('of a million callers that are refused the last are remembered', async () => {
    const { pool, learn } = await known(2)
    await learn()
    const turnOf = (caller: string) => ({ rank: 1, tenant: '', caller }) as const
    for (let i = 0; i < 24; i++) pool.submit(row(i, { turn: turnOf(`other ${i % 4}`) }))
    const refusal = (caller: number, ms: number) => pool.forecast.refusal(ms, turnOf(`${caller}`))
    const most = 10_000
    for (let caller = 0; caller <= most; caller++) {
      for (let time = 0; time < 4; time++) expect(refusal(caller, 2 * MS)).toBeDefined()
    }
    expect([refusal(most, 5 * MS)?.code, refusal(0, 5 * MS)]).toEqual(['OVERLOADED', undefined])
  })

  it('callers who have less time than an inference takes have neither others refused nor hedges wait', async () => {
    const { pool, learn, put } = await known(2)
    await learn()
    for (let i = 0; i < 12; i++) put(1e6)
    for (let i = 0; i < 40; i++) expect(pool.forecast.refusal(1 + i / 10, NORMAL)?.code).toBe('OVERLOADED')
    expect(pool.forecast.refusal(200, NORMAL)).toBeUndefined()
    expect(pool.isOverloaded).toBe(false)
  })

  it('who has less time than an inference takes is let in while machines idle: it shows whether it still does', async () => {
    const { clock, pool, learn, put } = await known(2)
    await learn()
    await clock.run(clock.now() + 3000)
    expect(pool.forecast.refusal(5, NORMAL)).toBeUndefined()
    for (let i = 0; i < 400; i++) put(1e6)
    await clock.run(clock.now() + 1995)
    expect([pool.utilisation > 0.9, pool.forecast.refusal(5, NORMAL)?.code, pool.isOverloaded]).toEqual([true, 'OVERLOADED', false]) // biome-ignore format: one line
  })
})

describe('when it leaves the queue', () => {
  it('nobody begins what is too late by then: it fails at once, and its owner is told', async () => {
    const { clock, pool, workers, learn, put } = await known(1)
    await learn()
    const told: Attempt[] = []
    const [, late, later, last] = [put(1e6), put(15), put(25), put(1e6)].map((attempt) => attempt)
    expect(pool.forecast.refusal(1e6, NORMAL)).toBeUndefined()
    const hopeless = put(19, { began() {}, settled: (attempt) => told.push(attempt) })
    const before = workers[0].calls
    await clock.run(clock.now() + 50)
    expect(failureOf(late)).toMatchObject({ error: { code: 'OVERLOADED' }, blame: 'nobody', lost: undefined })
    expect(failureOf(late)?.error.message).toBe('waited 10 ms for workers: it is too late to begin')
    expect(failureOf(late)?.error.retryMs).toBeGreaterThan(10) // three wait
    expect([later.outcome?.kind, last.outcome?.kind]).toEqual(['answered', 'answered'])
    expect(told).toEqual([hopeless])
    expect(workers[0].calls).toBe(before + 2)
    expect(pool.isOverloaded).toBe(true)
  })

  it('what an owner cancels when it is told is begun by nobody', async () => {
    const { clock, pool, workers, learn, put } = await known(1)
    await learn()
    put(1e6)
    put(15, { began() {}, settled: () => pool.cancel(next) })
    const next = put(1e6)
    const before = workers[0].calls
    await clock.run()
    expect([next.outcome?.kind, workers[0].calls]).toEqual(['cancelled', before])
  })

  it('a slow machine begins nothing that only a fast one could answer in time, and leaves it to that', async () => {
    const { clock, pool, workers, learn } = await known(3, 1.8)
    await learn()
    for (let i = 0; i < 6; i++) pool.submit(row(0))
    const attempts = Array.from({ length: 20 }, (_, i) => pool.submit(row(i, { dueAt: clock.now() + 60 })))
    await clock.run()
    const answered = attempts.filter(({ outcome }) => outcome?.kind === 'answered')
    expect(answered.length).toBeGreaterThan(2)
    const inTime = answered.filter(({ queuedAt, startedAt, ranMs }) => startedAt + ranMs <= queuedAt + 60)
    expect(inTime.length).toBe(answered.length)
    expect(answered.some(({ worker }) => worker === workers[0])).toBe(true)
  })
})
