/** Where a memory checks the answer of a single worker: when that will do, and what it tells of the worker. */

import { expect, it } from 'vitest'
import { criterionOf } from '../../src/criterion'
import { Budget } from '../../src/layers/budget'
import { Lateness } from '../../src/layers/lateness'
import type { Recollection } from '../../src/memory/memory'
import { Agenda } from '../../src/query/agenda'
import { type Asked, newAsked } from '../../src/query/asked'
import { Caller } from '../../src/query/caller'
import type { Context } from '../../src/query/context'
import { Query } from '../../src/query/query'
import { QueryRecovery } from '../../src/query/recovery'
import { Vote } from '../../src/query/vote'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { agreement } from '../../src/trust/acceptance'
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
    equality: { criterion: { kind: 'tolerance' }, rounding: 0.1 },
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
  ['confident memories may, and it is warm', {}, true],
  ['only proof counts', { integrity: 1 }, false],
  ['it is audited', { isAudited: true }, false],
  ['it is cold yet', { memory: 'cold' }, false],
] as const)(
  'whether a memory may check an answer: %s',
  (_, {
    integrity = 0.99,
    isAudited = false,
    memory = 'warm',
  }: { integrity?: number; isAudited?: boolean; memory?: string }, may) => {
    const trust = { integrity, audits: () => isAudited }
    const context = { learning: { experience: { memory } }, trust, acceptance: agreement(2) }
    const vote = new Vote(context as never as Context, new QueryRecovery(0, {} as never))
    expect([vote.begin(), vote.needed]).toEqual([may, may ? 1 : 3])
  },
)

it.each([
  ['one worker, where it is trusted', false, 1],
  ['another one at once, where the first is under suspicion', true, 2],
] as const)('a query that a memory may check is asked of %s', (_, isSuspected, attempts) => {
  const clock = new VirtualClock()
  const pool = new HandPool([0, 1, 2].map((i) => new HandWorker(`w${i}`)))
  const lateness = new Lateness(() => pool)
  const budgets = { hedges: new Budget(0, 0), recoveries: new Budget(1, 1), hedged: { sent: 0, won: 0 } }
  const trust = {
    integrity: 0.9,
    audits: (worker?: unknown) => worker !== undefined,
    isSuspected: () => isSuspected,
    began() {},
  }
  const learning = { experience: { memory: 'warm' }, see() {}, looksFirst: () => false }
  const agenda = new Agenda(clock, lateness, 1000)
  const context = { clock, pool, agenda, lateness, ...budgets, acceptance: agreement(1), Vote, trust, learning, mostLost: 2, mostFailed: 3 } // biome-ignore format: one line
  const caller = new Caller({ policy: 'recover', minConfidence: 0.9, atDeadline: 'fail', onOverload: 'fail' }, 0, 1000, () => {}, () => {}) // biome-ignore format: one line
  new Query(context as never as Context, payloadOf(query(1)), caller).start()
  expect(pool.attempts.length).toBe(attempts)
})

/** Answers of w0, w1, ... to one query, judged one after the other. */
function voting({
  liars = 1,
  distrusted = [] as string[],
  recovery = new QueryRecovery(0, undefined),
  learning = undefined as unknown,
} = {}) {
  const workers = [0, 1, 2, 3].map((i) => new HandWorker(`w${i}`))
  const pool = new HandPool(workers)
  const told: string[] = []
  const given: string[] = []
  const trust = {
    equality: {
      criterion: criterionOf(workers[0].signature.outputs),
      outputs: [{}],
      rounding: 1e-3,
      scales: [1],
    },
    isTrusted: ({ name }: HandWorker) => !distrusted.includes(name),
    proven: ({ name }: HandWorker) => told.push(`${name} is right`),
    lied: ({ name }: HandWorker) => told.push(`${name} lied`),
  }
  const vote = new Vote({ learning, trust, acceptance: agreement(liars) } as never as Context, recovery)
  const all: Asked[] = []
  const hear = (answer: Float32Array) => {
    const apart = [{ blocks: (identity: string) => all.some(({ attempt }) => attempt.worker?.name === identity) }]
    const attempt = pool.submit({ payload: payloadOf(query(1)), owner: { began() {}, settled() {} }, apart, priority: 'normal' }) // biome-ignore format: one line
    all.push(newAsked(attempt, 'proof', all.length))
    attempt.answer(answer)
    vote.judge(payloadOf(query(1)), all, true, ({ status, asked }) => given.push(`${status} of ${asked.attempt.worker?.name}`)) // biome-ignore format: one line
  }
  return { vote, hear, told, given, all }
}

const [right, lie] = [Float32Array.of(2, 2), Float32Array.of(9, -9)]

it('what an ejected worker answers proves nothing, and is compared with what is proven', () => {
  const { hear, told, given } = voting({ distrusted: ['w0', 'w3'] })
  for (const answer of [lie, lie]) hear(answer)
  expect([given, told]).toEqual([[], []])
  for (const answer of [right, lie]) hear(answer)
  expect([given, told]).toEqual([[], []]) // of those that are believed, no two agree
  const honest = voting({ distrusted: ['w0'] })
  for (const answer of [lie, right, right]) honest.hear(answer)
  expect([honest.given, honest.told]).toEqual([['exact of w1'], ['w1 is right', 'w2 is right', 'w0 lied']])
})

it('an answer that comes late is compared with what was proven, once', () => {
  const { hear, told, given, all } = voting()
  for (const answer of [right, right, lie, right]) hear(answer)
  expect(given).toEqual(['exact of w0'])
  expect(told).toEqual(['w0 is right', 'w1 is right', 'w2 lied', 'w3 is right'])
  expect(all.map(({ verdict }) => verdict)).toEqual(['compared', 'compared', 'lie', 'compared'])
})

it.each([
  ['was given', true, 1],
  ['was not given', false, 0],
] as const)('what was recovered is graded by what is proven where it %s', (_, isGiven, graded) => {
  const grades: unknown[] = []
  const best = ([recovery]: unknown[]) => ({ recovery, confidence: 0.99 })
  const grade = (...all: unknown[]) => grades.push(all)
  const recovery = new QueryRecovery(0, { confidence: { best, grade } } as never)
  recovery.remembered({ answer: Float32Array.of(0, 3), error: 1, source: 'memory' } as never as Recollection)
  if (recovery.report) recovery.report.given = isGiven
  const { hear } = voting({ recovery })
  for (const answer of [right, right]) hear(answer)
  expect(grades).toEqual(Array(graded).fill([expect.objectContaining({ source: 'memory' }), right, undefined]))
})

it.each([
  ['no time to remember it', false, true, 1],
  ['time to remember it, which tells it as well', true, true, 0],
  ['nothing that was remembered', false, false, 0],
] as const)('what a lookup said is told by what is proven, where there is %s', (_, isLearned, isRemembered, count) => {
  const rehearsed: unknown[] = []
  const confidence = { best: ([recovery]: unknown[]) => ({ recovery, confidence: 0.99 }), rehearse: (...all: unknown[]) => rehearsed.push(all) } // biome-ignore format: one line
  const recovery = new QueryRecovery(0, { confidence } as never)
  const memory = { answer: Float32Array.of(0, 3), error: 1, source: 'memory' }
  if (isRemembered) recovery.remembered(memory as never as Recollection)
  const { hear } = voting({ recovery, learning: { experience: { confidence }, remember: () => isLearned } })
  for (const answer of [right, right]) hear(answer)
  expect(rehearsed).toEqual(Array(count).fill([{ ...memory, missing: 1 }, right]))
})
