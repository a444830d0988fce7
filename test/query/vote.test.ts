/** Where a memory checks the answer of a single worker: when that will do, and what it tells of the worker. */

import { expect, it } from 'vitest'
import type { Recollection } from '../../src/memory/memory'
import { agreement } from '../../src/query/acceptance'
import { Agenda } from '../../src/query/agenda'
import { newAsked } from '../../src/query/asked'
import { Budget } from '../../src/query/budget'
import { Caller } from '../../src/query/caller'
import type { Context } from '../../src/query/context'
import { Lateness } from '../../src/query/lateness'
import { Query } from '../../src/query/query'
import { QueryRecovery } from '../../src/query/recovery'
import { Vote } from '../../src/query/vote'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandPool } from '../shared/hand-pool'
import { HandWorker, query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

/** One worker's answer to a query of which something is remembered. @returns what was given, and what was told of the worker */
function checked({ answer = [0, 1], error = 0.5, confidence = 0.95 }) {
  const worker = new HandWorker('w0')
  const told: unknown[] = []
  const given: unknown[] = []
  const agrees = (a: Float32Array, b: Float32Array) => a[0] < a[1] === b[0] < b[1]
  const best = ([recovery]: unknown[]) => ({ recovery, confidence })
  const experience = { memory: 'warm', confidence: { best, agrees, rehearse() {} } }
  const trust = {
    integrity: 0.9,
    equality: { rounding: 0.1 },
    audits: () => false,
    isTrusted: () => true,
    checked: (_: unknown, ...all: unknown[]) => told.push(all),
  }
  const recovery = new QueryRecovery(0, experience as never)
  const vote = new Vote({ learning: { experience }, trust, acceptance: agreement(1) } as never as Context, recovery)
  expect([vote.begin(), vote.needed]).toEqual([true, 1])
  recovery.remembered({ answer: Float32Array.of(0, 3), error, source: 'memory' } as never as Recollection)
  const pool = new HandPool([worker])
  const attempt = pool.submit({
    payload: payloadOf(query(1)),
    owner: { began() {}, settled() {} },
    apart: [],
    priority: 'normal',
  })
  attempt.answer(Float32Array.from(answer))
  vote.judge(payloadOf(query(1)), [newAsked(attempt, 'first', 0)], true, ({ status }) => given.push(status))
  return { given, told, needed: vote.needed }
}

it('how far an answer is from what the memory says counts by the error that the memory expects', () => {
  const apart = Math.SQRT2 // the root of the mean square of 0 and 2
  expect(checked({}).told[0]).toEqual([true, expect.closeTo(apart / 0.5)])
  expect(checked({ error: 4 }).told[0]).toEqual([true, expect.closeTo(apart / 4)])
  const least = 0.1 * Math.SQRT1_2 // of an answer of this size no difference counts that is rounding
  expect(checked({ error: 1e-3 }).told[0]).toEqual([true, expect.closeTo(apart / least)])
})

it('an answer is checked by a memory that is confident, and given where the label is the same; else workers have to agree', () => {
  expect(checked({})).toMatchObject({ given: ['checked'], told: [[true, expect.any(Number)]] })
  expect(checked({ answer: [3, 1] })).toMatchObject({ given: [], told: [[false, expect.any(Number)]], needed: 2 })
  expect(checked({ confidence: 0.89 })).toEqual({ given: [], told: [], needed: 2 })
  expect(checked({ confidence: 0.9 })).toMatchObject({ given: ['checked'] })
})

it.each([
  ['one worker, where it is trusted', false, 1],
  ['another one at once, where the first is under suspicion', true, 2],
] as const)('a query that a memory may check is asked of %s', (_, isSuspected, attempts) => {
  const clock = new VirtualClock()
  const pool = new HandPool([0, 1, 2].map((i) => new HandWorker(`w${i}`)))
  const lateness = new Lateness(() => 0)
  const budgets = { hedges: new Budget(0, 0), recoveries: new Budget(1, 1), extras: {} }
  const trust = { integrity: 0.9, audits: (worker?: unknown) => worker !== undefined, isSuspected: () => isSuspected }
  const learning = { experience: { memory: 'warm' }, see() {}, looksFirst: () => false }
  const agenda = new Agenda(clock, lateness, 1000)
  const context = { clock, pool, agenda, lateness, ...budgets, acceptance: agreement(1), trust, learning, mostLost: 2, mostFailed: 3 } // biome-ignore format: one line
  const caller = new Caller({ policy: 'recover', minConfidence: 0.9, atDeadline: 'fail' }, 0, 1000, () => {}, () => {}) // biome-ignore format: one line
  new Query(context as never as Context, payloadOf(query(1)), caller).start()
  expect(pool.attempts.length).toBe(attempts)
})
