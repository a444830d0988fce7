/** One query of a group: what becomes of it when its attempt is late or lost. */

import { ApproxiferError } from 'approxifer'
import { expect, it, vi } from 'vitest'
import { Agenda } from '../../src/query/agenda'
import { Caller } from '../../src/query/caller'
import { type Coding, PendingReport } from '../../src/query/coding'
import type { Context } from '../../src/query/context'
import { Query } from '../../src/query/query'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandPool } from '../shared/hand-pool'
import { HandWorker, query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

const ages = { giveMs: 15, hedgeMs: 1000, worth: 1 }
const dead = new ApproxiferError('WORKER', 'dead')
const decoding = {
  recoveries: [{ answer: query(2), source: 'code', missing: 1 } as const],
  isMixed: true,
  missing: 1,
}

/** A query of a group that may be decoded, at the first of three workers. */
function grouped(policy: 'recover' | 'auto' | 'retry' = 'recover') {
  const clock = new VirtualClock()
  const pool = new HandPool([0, 1, 2].map((i) => new HandWorker(`w${i}`)))
  const timed: unknown[] = []
  const lateness = { ages, medianMs: 10, tell: (attempt: unknown) => timed.push(attempt), known() {} }
  const counts = { recoveries: 0, done: 0 }
  const context = {
    ...{ clock, pool, lateness, hedged: { sent: 0, won: 0 }, mostLost: 2, mostFailed: 3 },
    ...{ signature: new HandWorker('any').signature, trust: { compare() {}, began() {} } },
    agenda: new Agenda(clock, lateness as never, 100),
    hedges: { has: true, take() {} },
    recoveries: { has: true, take: () => counts.recoveries++ },
    ended() {},
    model: { fingerprint: undefined },
    done: () => counts.done++,
  }
  const coding = {
    ...{ isOnlyWay: false, isDecodable: true, wasAsked: true, report: new PendingReport() },
    ...{ nextRow: () => 0, blocks: () => false, given: () => [], failed() {} },
    ...{ answered() {}, press() {}, graded() {}, left() {}, reconsider() {}, lost() {}, closed() {}, done() {} },
    failure: () => dead,
  }
  const ending: string[] = []
  const answer = ({ status }: { status: string }) => void ending.push(status)
  const fail = ({ code }: { code: string }) => void ending.push(code)
  const caller = new Caller(
    { policy, minConfidence: 0.9, atDeadline: 'fail', onOverload: 'fail' },
    0,
    100,
    answer,
    fail,
  )
  const own = new Query(context as never as Context, payloadOf(query(1)), caller, coding as never as Coding)
  own.start()
  return { clock, pool, query: own, counts, ending, timed }
}

it('a query that lost its attempts is not over while its group may be decoded', () => {
  const { pool, query, counts, ending } = grouped()
  pool.attempts[0].fail(dead)
  expect([ending, counts.done]).toEqual([[], 0])
  query.offer(decoding)
  expect([ending, counts.done]).toEqual([['recovered'], 1])
})

it('a query that was recovered is over when its own answer has come', () => {
  const { clock, pool, query, counts, ending } = grouped()
  clock.spend(20)
  query.offer(decoding)
  expect([ending, counts.done]).toEqual([['recovered'], 0])
  pool.attempts[0].answer(Float32Array.of(2, 2))
  expect(counts.done).toBe(1)
})

it.each([
  ['late', 20, false, 1],
  ['lost', 20, true, 0],
  ['at its deadline', 100, false, 0],
] as const)(
  'of the recoveries that may be given to late queries one is taken where it is %s: %d ms',
  (_, ms, isLost, taken) => {
    const { clock, pool, query, counts, ending } = grouped()
    clock.spend(ms)
    if (isLost) pool.attempts[0].fail(dead)
    query.offer(decoding)
    expect([ending, counts.recoveries]).toEqual([['recovered'], taken])
  },
)

it('when the predictor or its model is no more, workers are told to stop, and what they answer all the same tells nothing', () => {
  const { pool, query, counts, ending } = grouped()
  const cancelled = vi.spyOn(pool, 'cancel')
  query.end(new ApproxiferError('CLOSED', 'closed'))
  expect(cancelled.mock.calls).toEqual([[pool.attempts[0]]])
  expect([ending, counts.done]).toEqual([['CLOSED'], 0])
  pool.attempts[0].answer(Float32Array.of(2, 2))
  expect([query.inquiry.isAnswered, counts.done]).toEqual([false, 1])
})

it('what is late is learned of first attempts, not of those that were asked since one failed or was late', () => {
  const { clock, pool, ending, timed } = grouped('auto')
  const [failed] = pool.attempts
  failed.fail(dead)
  clock.spend(50)
  pool.attempts[1].answer(Float32Array.of(2, 2))
  expect([ending, timed]).toEqual([['exact'], [failed]])
})
