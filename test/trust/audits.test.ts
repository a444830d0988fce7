/** Where no liar is expected, or one worker is enough: others are asked now and then, and tell who lies. */

import { createPredictor } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Audit } from '../../src/trust/audit'
import { type HandAttempt, HandPool } from '../shared/hand-pool'
import { HandWorker, query, turn } from '../shared/hand-predictor'
import { type Lie, lies } from '../shared/lying-answers'
import { answers, ejected, stream } from '../shared/lying-workers'
import { payloadOf } from '../shared/vectors'

describe('audits', () => {
  it('a service that expects no liar finds one by its audits, and forgets what it taught', async () => {
    const options = { scheme: { queries: 4, stragglers: 1 }, verify: { audit: 0.1 }, hedge: { budget: 0.1 } }
    const ended = await stream(4, { liars: 1, count: 9, queries: 450, lie: lies.flip, ...options })
    const honest = await stream(4, { liars: 0, count: 9, queries: 450, ...options })
    expect([ejected(ended), ejected(honest)]).toEqual([['w0'], []])
    expect(ended.wrong.exact).toBeLessThan(30) // until then; a ninth of 450 without
    expect(ended.wrong.exact).toBeGreaterThan(0)
  })

  it('audits need a third worker to tell who of two lies, and are off where none may be asked twice', async () => {
    for (const options of [{ count: 2 }, { count: 9, hedge: false as const }]) {
      const ended = await stream(5, { liars: 1, queries: 300, lie: lies.flip, scheme: { queries: 2 }, ...options })
      expect(ejected(ended)).toEqual([])
      if (options.hedge === false) expect(answers(ended)).toBeLessThan(1.1 * 300) // copies for slow workers
    }
  })

  it('the same query again and again makes no roundings into lies', async () => {
    const ended = await stream(10, { liars: 0, count: 5, queries: 600, same: true, verify: { audit: 0.5 } })
    expect([ejected(ended), ended.wrong]).toEqual([[], {}])
  })

  it('where the model answers otherwise every time, half of the workers stay', async () => {
    const lots: Lie = (own, random) => own.map((value) => value + random.gauss())
    const options = { scheme: { queries: 2 }, verify: { audit: 1 }, memory: false as const }
    const ended = await stream(11, { liars: 8, count: 8, queries: 600, lie: lots, ...options })
    expect(ejected(ended).length).toBeLessThanOrEqual(4)
    expect(ended.stats.failed).toEqual({})
  })

  it('who was wrong for a while is back where no liar is expected, too', async () => {
    const options = {
      liars: 1,
      count: 6,
      queries: 1500,
      scheme: { queries: 2 },
      verify: { audit: 0.3 },
      memory: false as const,
    }
    const ended = await stream(12, { ...options, lie: lies.flip }, (clock, workers) => {
      clock.after(800, () => {
        workers[0].lie = undefined
      })
    })
    expect(ended.stats.workers[0]).toMatchObject({ ejections: 1, rightAnswersLeft: 0 })
  })
})

it('audits that no worker has time for do not pile up: each keeps its row', async () => {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 3 }, (_, i) => new HandWorker(`w${i}`))
  const predictor = await createPredictor({ workers, testing: { clock }, verify: { audit: 1 }, hedge: false })
  const answers: Promise<unknown>[] = []
  const serve = async () => {
    for (const { calls } of workers) calls[0]?.answer()
    await turn()
  }
  for (let i = 0; i < 900; i++) answers.push(predictor.predict(query(i)))
  let isOpen = true
  const all = Promise.all(answers).finally(() => {
    isOpen = false
  })
  while (isOpen) await serve()
  await all
  let left = 0
  for (; workers.some(({ calls }) => calls.length); await serve()) left++
  expect(left).toBeLessThan(10)
  await predictor.close()
})

describe('an audit', () => {
  const [right, lie] = [Float32Array.of(2, 2), Float32Array.of(9, -9)]

  /** An answer to one query, and who else can be asked; w9 was ejected. */
  function begun(answer: Float32Array, { liars = 0, others = 4, ejected = true } = {}) {
    const names = [...Array.from({ length: 1 + others }, (_, i) => `w${i}`), ...(ejected ? ['w9'] : [])]
    const workers = names.map((name) => new HandWorker(name))
    const pool = new HandPool(workers)
    const first = pool.submit({
      payload: payloadOf(query(1)),
      owner: { began() {}, settled() {} },
      apart: [],
      priority: 'normal',
    })
    if (ejected) pool.eject('w9')
    first.answer(answer)
    const told: string[] = []
    const counted: (string | undefined)[] = []
    const { outputs } = workers[0].signature
    const reputation = {
      evidence: { renewals: 0 },
      liars,
      equality: { criterion: criterionOf(outputs), outputs, rounding: 1e-4, scales: [1] },
      proven: ({ name }: HandWorker) => told.push(`${name} is right`),
      lied: ({ name }: HandWorker) => told.push(`${name} lied`),
      deviated: ({ name }: HandWorker) => told.push(`${name} deviates`),
      trials: { blocks: () => false },
    }
    pool.record = ({ attempt }) => counted.push(attempt.worker?.name)
    const asked = [first]
    new Audit(pool, reputation as never, payloadOf(query(1)), asked).proceed()
    const of = (name: string) => pool.attempts.find(({ worker }) => worker?.name === name) as HandAttempt
    return { pool, told, counted, of, asked: () => pool.attempts.map(({ worker }) => worker?.name) }
  }

  it('what a worker that is ejected says is only compared, and proves nothing', () => {
    const { told, of, asked, counted } = begun(lie)
    expect(asked()).toEqual(['w0', 'w9', 'w1'])
    of('w9').answer(lie)
    expect([told, asked().length]).toEqual([[], 3])
    of('w1').answer(right)
    of('w2').answer(right)
    expect(told).toEqual(['w1 is right', 'w2 is right', 'w0 lied', 'w9 lied'])
    expect(counted).toEqual(['w9', 'w1', 'w2'])
  })

  it('an answer that is no lie, but unlike all that agree, is held against its worker', () => {
    const off = (share: number) => right.map((value) => value * (1 + share))
    const { told, of } = begun(off(1e-3))
    of('w9').answer(off(1.5e-3))
    of('w1').answer(right)
    of('w2').answer(right)
    expect(told).toEqual(['w1 is right', 'w2 is right', 'w0 deviates', 'w9 deviates'])
  })

  it('an ejected worker that answers last is compared with what was proven', () => {
    const { told, of } = begun(right)
    of('w1').answer(right)
    expect(told).toEqual(['w0 is right', 'w1 is right'])
    of('w9').answer(right)
    expect(told.at(-1)).toBe('w9 is right')
  })

  it('asks one after the other, as many as it takes, and nobody twice', () => {
    const { told, of, asked } = begun(right, { liars: 2, ejected: false })
    expect(asked()).toEqual(['w0', 'w1'])
    of('w1').answer(right)
    expect([told, asked()]).toEqual([[], ['w0', 'w1', 'w2']])
    of('w2').answer(right)
    expect([told.length, asked().length]).toEqual([3, 3])
  })

  it('gives up where nobody agrees with anybody: the model draws lots', () => {
    const { told, pool, asked } = begun(right, { others: 9, ejected: false })
    for (let i = 1; pool.attempts[i]; i++) pool.attempts[i].answer(Float32Array.of(10 * i, -i))
    expect([told, asked().length]).toEqual([[], 5])
  })

  it('ends where nobody else can be asked', () => {
    const { told, of, asked } = begun(lie, { others: 1, ejected: false })
    of('w1').answer(right)
    expect([told, asked()]).toEqual([[], ['w0', 'w1']])
  })

  it('asks nobody where no worker has time, unless answers differ', () => {
    const { pool, of, asked } = begun(right, { liars: 2, ejected: false })
    pool.hasSpare = false
    of('w1').answer(right)
    expect(asked().length).toBe(2)
    const other = begun(right, { liars: 2, ejected: false })
    other.pool.hasSpare = false
    other.of('w1').answer(lie)
    expect(other.asked().length).toBe(3)
  })
})
