/** Attempts that only slow workers may take. */

import { expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/simulated'
import type { Payload } from '../../src/payload'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, row, signature } from '../shared/batch-worker'

it('what no faster worker may take does not wait for one: a slow one that is idle gets it at once', async () => {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 3 }, (_, i) => {
    const law = () => (i === 0 ? 50 : 2000)
    return new SimulatedWorker(i, { clock, law, answer: (data) => data.slice(), signature })
  })
  const pool = new Pool<Payload>(workers, { clock, hangMs: 30_000, accept })
  for (let i = 0; i < 20; i++) clock.after(i * 500, () => pool.submit(row(i)))
  await clock.run()
  const asked = workers[0].name
  const apart = { blocks: (identity: string) => identity === asked }
  const attempt = pool.submit(row(0, { apart: [apart] }))
  expect(attempt.worker?.name).not.toBe(asked)
  expect(attempt.phase).toBe('running')
  const other = pool.submit(row(1))
  expect(other.worker?.name).toBe(asked)
  await clock.run()
})

it.each([1, 2, 3])(
  'a retry does not wait while slow workers that it may not go to are idle, but for one: worker %i',
  async (spared) => {
    const clock = new VirtualClock()
    const workers = Array.from({ length: 4 }, (_, i) => {
      const law = () => (i === 0 ? 50 : 2000)
      return new SimulatedWorker(i, { clock, law, answer: (data) => data.slice(), signature })
    })
    const pool = new Pool<Payload>(workers, { clock, hangMs: 30_000, accept })
    for (let i = 0; i < 20; i++) clock.after(i * 500, () => pool.submit(row(i)))
    await clock.run()
    const failed = workers.flatMap(({ name }, i) => (i === spared ? [] : name))
    const attempt = pool.submit(row(0, { apart: [{ blocks: (identity: string) => failed.includes(identity) }] }))
    expect([attempt.phase, attempt.worker?.name]).toEqual(['running', workers[spared].name])
    await clock.run()
  },
)

it('a parity goes to a slow worker where the only fast one hangs, once it has waited for as long as that takes', async () => {
  const clock = new VirtualClock()
  let hangs = false
  const workers = Array.from({ length: 4 }, (_, i) => {
    const law = () => (i ? 50 : hangs ? 1e5 : 2)
    return new SimulatedWorker(i, { clock, law, answer: (data) => data.slice(), signature })
  })
  const pool = new Pool<Payload>(workers, { clock, hangMs: 1e6, accept })
  for (let i = 0; i < 20; i++) clock.after(i * 100, () => pool.submit(row(i)))
  await clock.run(3000)
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
