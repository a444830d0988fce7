/** Attempts that only slow workers may take. */

import { expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import type { Payload } from '../../src/base/payload'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, row, signature } from '../shared/batch-worker'

const often = { everyMs: 500, hangMs: 30_000, untilMs: Number.POSITIVE_INFINITY }

/** Workers, and what each takes known by twenty rows. */
async function known(count: number, law: (worker: number) => number, { everyMs, hangMs, untilMs } = often) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => {
    return new SimulatedWorker(i, { clock, serviceMs: () => law(i), answer: (data) => data.slice(), signature })
  })
  const pool = new Pool<Payload>(workers, { clock, hangMs, accept })
  for (let i = 0; i < 20; i++) clock.after(i * everyMs, () => pool.submit(row(i)))
  await clock.run(untilMs)
  return { clock, workers, pool }
}

it('what no faster worker may take does not wait for one: a slow one that is idle gets it at once', async () => {
  const { clock, workers, pool } = await known(3, (i) => (i === 0 ? 50 : 2000))
  const asked = workers[0].name
  const apart = { blocks: (identity: string) => identity === asked }
  const attempt = pool.submit(row(0, { apart: [apart] }))
  expect(attempt.worker?.name).not.toBe(asked)
  expect(attempt.phase).toBe('running')
  const other = pool.submit(row(1))
  expect(other.worker?.name).toBe(asked)
  await clock.run()
})

it('nor for one that was said to be slower, when others seemed typical', async () => {
  const clock = new VirtualClock()
  const law = (i: number) => [0.1, 100, 300, 200][i]
  const workers = [0, 1, 2, 3].map((i) => new SimulatedWorker(i, { clock, serviceMs: law, answer: (data) => data.slice(), signature })) // biome-ignore format: one line
  const pool = new Pool<Payload>(workers, { clock, hangMs: 1e6, accept })
  const only = (...places: number[]) => ({ apart: [{ blocks: (identity: string) => places.every((i) => workers[i].name !== identity) }] }) // biome-ignore format: one line
  for (const i of [0, 1, 2]) pool.submit(row(i, only(i)))
  clock.after(150, () => pool.submit(row(3, only(3))))
  await clock.run()
  const attempt = pool.submit(row(4, only(1, 2)))
  expect(attempt.phase).toBe('running')
  await clock.run()
})

it.each([1, 2, 3])(
  'a retry does not wait while slow workers that it may not go to are idle, but for one: worker %i',
  async (spared) => {
    const { clock, workers, pool } = await known(4, (i) => (i === 0 ? 50 : 2000))
    const failed = workers.flatMap(({ name }, i) => (i === spared ? [] : name))
    const attempt = pool.submit(row(0, { apart: [{ blocks: (identity: string) => failed.includes(identity) }] }))
    expect([attempt.phase, attempt.worker?.name]).toEqual(['running', workers[spared].name])
    await clock.run()
  },
)

it('a parity goes to a slow worker where the only fast one hangs, once it has waited for as long as that takes', async () => {
  let hangs = false
  const law = (i: number) => (i ? 50 : hangs ? 1e5 : 2)
  const { clock, workers, pool } = await known(4, law, { everyMs: 100, hangMs: 1e6, untilMs: 3000 })
  hangs = true
  const hung = pool.submit(row(0))
  expect([hung.worker?.name, hung.phase]).toEqual([workers[0].name, 'running'])
  const parity = pool.submit(row(1, { priority: 'low' }))
  expect(parity.phase).toBe('queued')
  await clock.run(clock.now() + 60)
  expect(parity.phase).toBe('running')
  await clock.run(clock.now() + 60)
  expect(parity.outcome?.kind).toBe('answered')
})
