/** Attempts that it is too late to begin. */

import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import type { Payload } from '../../src/base/payload'
import type { Attempt } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, row, signature } from '../shared/batch-worker'
import { TickingClock } from '../shared/ticking-clock'

const MS = 10
const TICK_MS = 0.02
const answer = (data: Float32Array) => data.slice()

/** Two workers that take about 10 ms, as was learned from sixty rows. */
async function known(clock: VirtualClock) {
  let calls = 0
  const law = () => MS + (calls++ % 5) / 10
  const workers = [0, 1].map((i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }))
  const pool = new Pool<Payload>(workers, { clock, hangMs: 30_000, accept })
  for (let i = 0; i < 60; i++) clock.after(i * MS, () => pool.submit(row(i)))
  await clock.run()
  return { pool, workers }
}

it('nothing is refused before its owner has it, though time passes while it is submitted', async () => {
  const clock = new TickingClock(TICK_MS)
  const { pool } = await known(clock)
  const submitted: Attempt[] = []
  const early: Attempt[] = []
  const owner = { began() {}, settled: (attempt: Attempt) => void (submitted.includes(attempt) || early.push(attempt)) }
  for (let i = 0; i < 200; i++) {
    submitted.push(pool.submit(row(i, { owner, dueAt: clock.now() + i * (MS / 180) })))
    await clock.run()
  }
  expect(early.length).toBe(0)
})

it('queries with hardly any time do not bring a predictor to a standstill', async () => {
  const clock = new TickingClock(TICK_MS)
  const law = () => MS
  const workers = Array.from(
    { length: 4 },
    (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }),
  )
  const predictor = await createPredictor({ workers, testing: { clock }, onWarning() {} })
  const codes: Record<string, number> = {}
  const ask = (deadlineMs: number) => {
    const count = (code: string) => {
      codes[code] = (codes[code] ?? 0) + 1
    }
    predictor.predict(Float32Array.of(1, 2), { deadlineMs }).then(
      ({ status }) => count(status),
      ({ code }) => count(code),
    )
  }
  for (let i = 0; i < 300; i++) clock.after(i * MS, () => ask(i % 2 ? (i % 45) / 4 : 1000))
  await clock.run()
  expect(codes.WORKER).toBeUndefined()
  expect(codes.exact).toBeGreaterThanOrEqual(150)
  await predictor.close()
})

it('an owner that throws does not keep others from being sent', async () => {
  const clock = new VirtualClock()
  const { pool, workers } = await known(clock)
  const fault = new Error('a fault of the owner')
  const owner = {
    began() {},
    settled() {
      throw fault
    },
  }
  const [{ name }] = workers
  pool.eject(name)
  const busy = pool.submit(row(0))
  pool.submit(row(1, { owner, dueAt: clock.now() + MS + 0.5 })) // in time if it began now
  clock.spend(1)
  expect(() => pool.readmit(name)).toThrow(fault)
  const next = pool.submit(row(2))
  await clock.run()
  expect([busy.outcome?.kind, next.outcome?.kind]).toEqual(['answered', 'answered'])
})
