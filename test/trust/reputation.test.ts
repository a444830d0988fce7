/** What is believed of workers, and what becomes of one that lies. */

import type { ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { Evidence } from '../../src/trust/evidence'
import { Reputation, type ReputationOptions, type Verdict } from '../../src/trust/reputation'
import { HandPool } from '../shared/hand-pool'
import { HandWorker, query } from '../shared/hand-predictor'
import { payloadOf } from '../shared/vectors'

/** Workers, and what is believed of them; what was judged is kept. */
function reputed(count: number, options: Partial<ReputationOptions> = {}) {
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  const pool = new HandPool(workers)
  const kinds: Verdict['kind'][] = []
  const suspected: string[] = []
  pool.suspect = ({ name }) => suspected.push(name)
  const reputation = new Reputation({
    pool,
    criterion: criterionOf(workers[0].signature.outputs),
    signature: workers[0].signature,
    evidence: new Evidence(),
    coin: () => 0.5,
    warn() {},
    ...{ liars: 1, integrity: 1, audit: 0, rounding: 0.001, seed: 1, ejects: true },
    judged: ({ kind }) => kinds.push(kind),
    recall() {},
    ...options,
  })
  return { workers, pool, kinds, suspected, reputation }
}

/** Answers well until it is believed again. @returns how often it had to */
function redeem(reputation: Reputation, worker: ModelWorker): number {
  let answers = 0
  for (; !reputation.isTrusted(worker); answers++) reputation.proven(worker)
  return answers
}

describe('a worker that lies', () => {
  it('is kept where half of the pool, or no more than it takes to outvote the liars, are left', () => {
    for (const [count, liars, ejected] of [
      [6, 1, 3],
      [7, 1, 3],
      [5, 2, 2],
      [4, 3, 0],
    ]) {
      const { reputation, workers, kinds, pool } = reputed(count, { liars })
      for (const worker of workers) reputation.lied(worker)
      expect(kinds.filter((kind) => kind === 'ejected').length).toBe(ejected)
      expect(kinds.filter((kind) => kind === 'kept').length).toBe(count - ejected)
      expect(pool.ejected.size).toBe(ejected)
    }
  })

  it('is restarted the first time only: its memory may be corrupt, which is likelier than malice', () => {
    const { reputation, workers, kinds } = reputed(6)
    for (let times = 0; times < 2; times++) {
      reputation.lied(workers[0])
      redeem(reputation, workers[0])
    }
    expect(kinds).toEqual(['ejected', 'readmitted', 'ejected', 'readmitted'])
    expect(workers[0].restarts).toEqual(['gave an answer that was proven wrong'])
  })

  it('gets nothing but trials until it has answered well for a while, each time twice as long', () => {
    const { reputation, workers, pool } = reputed(6)
    const lengths: number[] = []
    for (let times = 0; times < 3; times++) {
      reputation.lied(workers[0])
      expect([...pool.ejected]).toEqual(['w0'])
      lengths.push(redeem(reputation, workers[0]))
      expect(pool.ejected.size).toBe(0)
    }
    expect(lengths).toEqual([20, 40, 80])
  })

  it('and lies again while it is ejected begins anew, and is judged once', () => {
    const { reputation, workers, kinds, suspected } = reputed(6)
    reputation.lied(workers[0])
    for (let i = 0; i < 19; i++) reputation.proven(workers[0])
    reputation.lied(workers[0])
    expect(redeem(reputation, workers[0])).toBe(20)
    expect([kinds, suspected]).toEqual([
      ['ejected', 'readmitted'],
      ['w0', 'w0'],
    ])
  })

  it('is not taken from a group whose rows all need a worker: the paper’s scheme', () => {
    const { reputation, workers, kinds, pool } = reputed(6, { ejects: false })
    reputation.lied(workers[0])
    expect([pool.ejected.size, kinds, reputation.isTrusted(workers[0])]).toEqual([0, ['ejected'], false])
    expect(reputation.joined(workers[0])).toBe(true)
    redeem(reputation, workers[0])
    expect([pool.ejected.size, kinds.at(-1)]).toEqual([0, 'readmitted'])
  })

  it('is ejected still when it comes back, or when what is known is taken up again', () => {
    const { reputation, workers } = reputed(6)
    reputation.lied(workers[0])
    reputation.left(workers[0])
    expect([0, 1].map((i) => reputation.joined(workers[i]))).toEqual([false, true])
    const evidence = new Evidence()
    evidence.load(reputation.evidence.save())
    const again = reputed(6, { evidence })
    expect(again.pool.ejected.size).toBe(0)
    again.reputation.resume()
    expect([...again.pool.ejected]).toEqual(['w0'])
  })
})

describe('audits', () => {
  const asked = (count: number, options: Partial<ReputationOptions>) => {
    const { reputation, workers } = reputed(count, options)
    let audits = 0
    for (let i = 0; i < 1000; i++) audits += Number(reputation.audits(workers[0]))
    return audits
  }

  it('are of the share that was asked for, where a third could tell who of two lies', () => {
    expect(asked(6, { audit: 0 })).toBe(0)
    expect(asked(6, { audit: 1 })).toBe(1000)
    expect(asked(6, { audit: 0.1 })).toBeGreaterThan(70)
    expect(asked(6, { audit: 0.1 })).toBeLessThan(130)
    expect(asked(2, { audit: 1, liars: 0 })).toBe(0)
    expect(asked(3, { audit: 1, liars: 0 })).toBe(1000)
    expect(asked(3, { audit: 1, liars: 2 })).toBe(0)
  })

  it('look more closely at a suspect', () => {
    const { reputation, workers } = reputed(6, { audit: 0.01 })
    for (let i = 0; i < 100; i++) reputation.checked(workers[1 + (i % 5)], true, 1 + (i % 7) / 7)
    expect(workers.map((worker) => reputation.isSuspected(worker))).toEqual(new Array(6).fill(false))
    for (let i = 0; i < 10; i++) reputation.checked(workers[0], true, 1000)
    expect(workers.map((worker) => reputation.isSuspected(worker))).toEqual([true, ...new Array(5).fill(false)])
    let audits = [0, 0]
    for (let i = 0; i < 1000; i++) audits = audits.map((count, at) => count + Number(reputation.audits(workers[at])))
    expect(audits[0]).toBeGreaterThan(400)
    expect(audits[1]).toBeLessThan(30)
  })

  it.each([
    ['one answer, drawn', 1, 1, 1],
    ['one answer, never drawn', 1e-9, 1, 0],
    ['two answers differ: who lies is found out', 1e-9, 2, 1],
    ['two answers, where workers must not be asked twice', 0, 2, 0],
    ['three: it was compared when the second came', 1, 3, 0],
  ])('%s', (_, audit, count, more) => {
    const { reputation, workers, pool } = reputed(6, { audit, liars: 0 })
    const answered = workers.slice(0, count).map((_, i) => {
      const attempt = pool.submit({
        payload: payloadOf(query(1)),
        owner: nobody,
        apart: [taken(i)],
        priority: 'normal',
      })
      attempt.answer(Float32Array.of(10 * i, 1))
      return attempt
    })
    reputation.compare(payloadOf(query(1)), answered)
    expect(pool.attempts.length - count).toBe(more)
    expect(pool.attempts.slice(count).every(({ priority }) => priority === 'low')).toBe(true)
  })
})

it('audits are left out where nearly all machines are at work: the more of them, the more often', () => {
  const audits = (utilisation: number) => {
    const { reputation, workers, pool } = reputed(6, { audit: 1, liars: 0 })
    pool.utilisation = utilisation
    const attempt = pool.submit({ payload: payloadOf(query(1)), owner: nobody, apart: [], priority: 'normal' })
    attempt.answer(Float32Array.of(1, 1))
    expect(attempt.worker).toBe(workers[0])
    for (let i = 0; i < 1000; i++) reputation.compare(payloadOf(query(1)), [attempt])
    return pool.attempts.length - 1
  }
  expect([0, 0.9, 1].map(audits)).toEqual([1000, 1000, 0])
  expect(audits(0.95)).toBeGreaterThan(400)
  expect(audits(0.95)).toBeLessThan(600)
})

const nobody = { began() {}, settled() {} }
/** All workers before this one are busy. */
const taken = (from: number) => ({ blocks: (identity: string) => Number(identity.slice(1)) < from })

it('three answers far from what the memory says make a suspect, once fifty have shown how far is usual', () => {
  for (const [usual, suspected] of [
    [49, false],
    [50, true],
  ] as const) {
    const evidence = new Evidence()
    for (let i = 0; i < usual; i++) evidence.checked('honest', true, 1 + (i % 7) / 7)
    for (let i = 0; i < 3; i++) evidence.checked('odd', true, 10)
    expect([evidence.isSuspect('honest'), evidence.isSuspect('odd')]).toEqual([false, suspected])
  }
})

it('what is held against a worker that has left is kept; of others nothing is', () => {
  const evidence = new Evidence()
  const known = (...names: string[]) => names.filter((name) => evidence.workers.includes(name))
  for (let i = 0; i < 50; i++) evidence.checked('honest', true, 1 + (i % 7) / 7)
  for (let i = 0; i < 3; i++) evidence.checked('odd', true, 1000)
  evidence.lied('liar')
  for (const name of ['honest', 'odd', 'liar']) evidence.leave(name)
  expect(known('honest', 'odd', 'liar')).toEqual(['odd', 'liar'])
  evidence.join('liar')
  for (let i = 0; i < 1000; i++) {
    evidence.lied(`l${i}`)
    evidence.leave(`l${i}`)
  }
  expect(known('odd', 'liar', 'l0', 'l999')).toEqual(['liar', 'l0', 'l999']) // of a thousand, the last that left
})

it('however often a worker lied, it is believed again after 20,480 right answers', () => {
  const evidence = new Evidence()
  const state = evidence.save()
  evidence.lied('a')
  const record = { ...evidence.of('a'), ejections: 30, rightAnswersLeft: 0 }
  evidence.load({ ...state, workers: { a: record } })
  evidence.lied('a')
  expect(evidence.of('a').rightAnswersLeft).toBe(20 * 1024)
  const more = { ...record, rightAnswersLeft: 20 * 1024 + 1 }
  expect(() => evidence.load({ ...state, workers: { a: more } })).toThrow('rightAnswersLeft')
})

it('evidence that no worker can have is refused', () => {
  const evidence = new Evidence()
  evidence.lied('a')
  const state = evidence.save()
  for (const [edit, message] of [
    [{ workers: { a: { ...state.workers.a, lies: -1 } } }, 'evidence.workers.a.lies: expected a'],
    [{ workers: { a: { ...state.workers.a, odd: 1 } } }, 'evidence.workers.a: expected only'],
    [{ distance: { ...state.distance, variance: Number.NaN } }, 'evidence.distance.variance: expected'],
    [{ workers: [] }, 'evidence.workers: expected an object'],
  ] as const) {
    expect(() => evidence.load({ ...state, ...edit })).toThrow(`state: ${message}`)
  }
  expect(evidence.save()).toEqual(state) // nothing was taken of them
  const again = new Evidence()
  again.load(JSON.parse(JSON.stringify(state)))
  expect(again.workers.filter((name) => !again.isTrusted(name))).toEqual(['a'])
  expect(again.isTrusted('b')).toBe(true)
})

it('who has answered well for long enough is no suspect any more', () => {
  const evidence = new Evidence()
  for (let i = 0; i < 50; i++) evidence.checked('honest', true, 1 + (i % 7) / 7)
  for (let i = 0; i < 3; i++) evidence.checked('odd', true, 1000)
  evidence.lied('odd')
  const suspicions = Array.from({ length: 20 }, () => [evidence.proven('odd'), evidence.isSuspect('odd')])
  expect(suspicions.slice(-2)).toEqual([
    [false, true],
    [true, false],
  ])
})

it('who had left before a state was taken up is no longer counted among those that have', () => {
  const evidence = new Evidence()
  evidence.lied('x')
  const state = evidence.save()
  evidence.leave('x')
  evidence.load(state) // in which it had not
  for (let i = 0; i < 1000; i++) {
    evidence.lied(`l${i}`)
    evidence.leave(`l${i}`)
  }
  expect(['x', 'l0', 'l999'].map((name) => evidence.workers.includes(name))).toEqual([true, true, true])
})
