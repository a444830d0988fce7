/** Other machines are asked where an answer differs from what was kept: until the predictor is closed, and only where one machine's word counts. */

import { expect, it } from 'vitest'
import type { Payload } from '../../src/base/payload'
import type { ExactCache, Kept } from '../../src/layers/exact-cache'
import { Repeatability } from '../../src/layers/repeatability'
import { SecondOpinion } from '../../src/layers/second-opinion'
import type { Attempt, Submission } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, BatchWorker, died, row } from '../shared/batch-worker'
import { payloadOf } from '../shared/vectors'

/** @param isProven  whether several machines prove each answer */
function opinionOf(isProven = false) {
  const clock = new VirtualClock()
  const submitted: Submission[] = []
  const pool = {
    identities: { all: () => ['a', 'b', 'c'], isUsable: () => true, workersOf: () => new Set() },
    submit(row: Submission) {
      submitted.push(row)
      return { phase: 'queued', payload: row.payload } as Attempt<Payload, Payload>
    },
    cancel() {},
    tell() {},
  }
  return { clock, submitted, opinion: new SecondOpinion({ clock, pool: pool as never, trust: {} as never, isProven }) }
}

it('once it is closed nobody is asked again, and no timer holds the process for a minute', () => {
  const { clock, submitted, opinion } = opinionOf()
  const told: unknown[] = []
  opinion.ask(payloadOf(Float32Array.of(1)), ['a'], (answer) => told.push(answer))
  expect([submitted.length, clock.pending]).toEqual([1, 1])
  opinion.close()
  expect([clock.pending, told]).toEqual([0, []])
  opinion.ask(payloadOf(Float32Array.of(1)), ['a'], (answer) => told.push(answer))
  expect([submitted.length, clock.pending, told]).toEqual([1, 0, [undefined]])
})

it('where answers are proven no single machine is asked whether the model was replaced', () => {
  const one = {
    key: 'k',
    kept: { query: payloadOf(Float32Array.of(1)), by: { identity: 'a' } } as never as Kept,
  }
  const asked = [false, true].map((isProven) => {
    const { submitted, opinion } = opinionOf(isProven)
    const kept = { another: () => one } as never as ExactCache
    const nothing = () => {}
    new Repeatability({
      kept,
      opinion,
      equality: nothing as never,
      warn: nothing,
      replaced: nothing,
      mended: nothing,
    }).suspect()
    return submitted.length
  })
  expect(asked).toEqual([1, 0])
})

it('is waited for while the worker that would give it is restarting', async () => {
  const clock = new VirtualClock()
  const workers = ['a', 'b'].map((name) => Object.assign(new BatchWorker(name), { maxBatch: 1, gone: false }))
  const pool = new Pool<Payload, Payload>(workers, { clock, hangMs: 30_000, accept })
  const opinion = new SecondOpinion({ clock, pool, trust: { equality: {} as never }, isProven: false })
  const [, b] = workers
  pool.submit(row(0, { apart: [{ blocks: (identity) => identity === 'a' }] }))
  const told: unknown[] = []
  opinion.ask(payloadOf(Float32Array.of(1, 1)), ['a'], (answer) => told.push(answer))
  Object.assign(b, { gone: true, capacity: 0 })
  b.runs[0].fail(died)
  await clock.run(10)
  expect(told).toEqual([])
  Object.assign(b, { gone: false, capacity: 1 })
  b.onFree?.()
  await clock.run(20)
  b.runs[0].answer()
  await clock.run(30)
  expect([told.length, told[0] !== undefined]).toEqual([1, true])
})
