/** Who is believed in a fleet that anybody may join, and which quizzes that takes. */

import type { ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { ApproxiferError } from '../../src/base/errors'
import type { Payload } from '../../src/base/payload'
import { seeded } from '../../src/base/random'
import type { Attempt } from '../../src/pool/attempt'
import { Evidence } from '../../src/trust/evidence'
import { OpenReputation } from '../../src/trust/open-reputation'
import type { ReputationOptions, Verdict } from '../../src/trust/reputation'
import { type HandAttempt, HandPool } from '../shared/hand-pool'
import { HandWorker } from '../shared/hand-predictor'
import { payloadOf } from '../shared/vectors'

const right = (n: number) => Float32Array.of(2 * n, n)
const wrong = (n: number) => Float32Array.of(n, 2 * n)

/** A trusted worker and strangers; `coins.value` near 1: no query of who is believed is checked, and of equal ones the last is examined; 0: each is, and the first; undefined: as it comes. */
function fleet(
  names: string[],
  { origins = {}, integrity = 0.9 }: { origins?: Record<string, string>; integrity?: number } = {},
) {
  // biome-ignore format: one line
  const own = Object.assign(new HandWorker('own'), { trusted: true })
  const strangers = names.map((name) => Object.assign(new HandWorker(name), { origin: origins[name] }))
  const pool = new HandPool([own, ...strangers])
  const coins: { value: number | undefined } = { value: 1 - 1e-9 }
  const random = seeded(1)
  const verdicts: string[] = []
  const warnings: string[] = []
  const evidence = new Evidence()
  const options: ReputationOptions = {
    ...{ pool, evidence, integrity, liars: 0, audit: 0, rounding: 0.001, seed: 1, ejects: true },
    criterion: criterionOf(own.signature.outputs, 'label'),
    signature: own.signature,
    coin: () => coins.value ?? random.next(),
    warn: (text) => warnings.push(text),
    judged: ({ worker, kind }: Verdict) => verdicts.push(`${worker} ${kind}`),
    recall() {},
  }
  const trust = new OpenReputation(options)
  trust.resume()
  let asked = 0
  /** A query's attempt, answered or failed. */
  const attempt = (worker: ModelWorker, answer: Float32Array | undefined): Attempt<Payload, Payload> => {
    const outcome = answer ? { kind: 'answered', answer: payloadOf(answer) } : { kind: 'failed', error: new ApproxiferError('WORKER', 'died'), blame: 'worker', lost: undefined } // biome-ignore format: one line
    return { worker, identity: worker.name, phase: 'settled', outcome } as unknown as Attempt<Payload, Payload>
  }
  /** The trusted worker answers queries, each of which may become a quiz. */
  const own_ = (count = 1) => {
    for (let i = 0; i < count; i++) {
      const n = ++asked
      trust.began(own)
      trust.answered(own)
      trust.keep({ payload: payloadOf(Float32Array.of(n, 1)), answer: payloadOf(right(n)) })
    }
  }
  /** A stranger's attempt, beside what a trusted worker answered. @returns whether it is a lie */
  const measure = (worker: ModelWorker, answer: Float32Array | undefined, own: Float32Array, isChecked = false) =>
    trust.measure(attempt(worker, answer), payloadOf(own), isChecked)
  /** Quizzes under way. */
  const quizzes = () => (pool.attempts as HandAttempt[]).filter(({ phase }) => phase === 'running')
  const numberOf = ({ payload }: HandAttempt) => payload.tensors[0].data[0] as number
  /** A stranger has so many right answers. */
  const earn = (name: string, count: number) => {
    for (let [earned, asked] = [0, 0]; earned < count; ) {
      if (++asked > 10_000) throw new Error(`${name} is not examined`)
      own_()
      for (const quiz of quizzes()) {
        if (quiz.worker?.name === name) earned++
        if (quiz.worker?.name === name) quiz.answer(right(numberOf(quiz)))
        else quiz.fail(new ApproxiferError('WORKER', 'busy'))
      }
    }
  }
  const of = (name: string) => evidence.of(name)
  return { own, strangers, pool, coins, verdicts, warnings, evidence, trust, measure, answers: own_, quizzes, numberOf, earn, of } // biome-ignore format: one line
}

describe('a newcomer', () => {
  it('gets nothing but quizzes, each once, until it has answered enough of them', () => {
    const { earn, pool, trust, strangers, of } = fleet(['a'])
    expect([...pool.ejected]).toEqual(['a'])
    earn('a', 9)
    expect([trust.isTrusted(strangers[0]), trust.credibility(strangers[0])]).toEqual([false, 1 - 1 / 9])
    earn('a', 1)
    expect([trust.isTrusted(strangers[0]), pool.ejected.size, of('a').proven]).toEqual([true, 0, 10])
    const seen = pool.attempts.map(({ payload }) => payload.tensors[0].data[0])
    expect(new Set(seen).size).toBe(seen.length)
  })

  it('begins anew where it lies, behind all others, and nobody hears of it', () => {
    const { earn, quizzes, numberOf, answers, of, verdicts } = fleet(['a'])
    earn('a', 9)
    answers(20)
    const [quiz] = quizzes()
    quiz.answer(wrong(numberOf(quiz)))
    expect(of('a')).toMatchObject({ proven: 0, lies: 1, rightAnswersLeft: 10 })
    expect(verdicts).toEqual([])
  })

  it('that stays silent loses its place to others', () => {
    const { earn, quizzes, answers, evidence, coins } = fleet(['b', 'a'], { integrity: 0.99 })
    earn('a', 50)
    coins.value = undefined
    for (let i = 0; i < 400; i++) {
      answers()
      for (const quiz of quizzes()) {
        if (quiz.worker?.name === 'b') quiz.answer(right(quiz.payload.tensors[0].data[0] as number))
        else quiz.fail(new ApproxiferError('WORKER', 'busy'))
      }
    }
    expect(evidence.of('b').proven).toBeGreaterThan(80)
  })

  it('waits while another one of its origin is examined', () => {
    const { answers, quizzes } = fleet(['a', 'b', 'c'], { origins: { a: '203.0.113.1', b: '203.0.113.2', c: '198.51.100.1' } }) // biome-ignore format: one line
    answers(40)
    const origins = quizzes().map(({ worker }) => worker?.origin?.split('.')[0])
    expect(origins.toSorted()).toEqual(['198', '203'])
  })

  it('is not examined while a better one of its origin is there, believed or not', () => {
    const { answers, quizzes, earn, trust, strangers, pool, numberOf } = fleet(['a', 'b'], { origins: { a: '203.0.113.1', b: '203.0.113.2' } }) // biome-ignore format: one line
    earn('a', 10)
    answers(40)
    expect([trust.isTrusted(strangers[0]), quizzes()]).toEqual([true, []])
    pool.identities.remove(strangers[0])
    trust.left(strangers[0])
    answers(1)
    const [quiz] = quizzes()
    expect(quiz.worker?.name).toBe('b')
    quiz.answer(right(numberOf(quiz)))
  })

  it('that is silent gives way to another one of its origin', () => {
    const { answers, quizzes } = fleet(['a', 'b'], { origins: { a: '203.0.113.1', b: '203.0.113.2' } })
    answers(40)
    quizzes()[0].fail(new ApproxiferError('WORKER', 'busy'))
    answers(1)
    expect(quizzes().map(({ worker }) => worker?.name)).toEqual(['b'])
  })

  it('that takes the name of a trusted worker gets nothing', () => {
    const { trust, pool } = fleet(['a'])
    expect(trust.joined(Object.assign(new HandWorker('another'), { identity: 'own' }))).toBe(false)
    expect(pool.ejected.has('own')).toBe(false)
  })
})

describe('a stranger that is believed', () => {
  function believed() {
    const all = fleet(['b', 'a'])
    all.earn('a', 10)
    return { ...all, a: all.strangers[1] }
  }

  it('has its answers checked by a coin that is thrown when they have come', () => {
    const { trust, coins, pool, a, own } = believed()
    expect([pool.ejected.has('a'), trust.checks(a)]).toEqual([false, false])
    coins.value = 0
    expect([trust.checks(a), trust.checks(own)]).toEqual([true, false])
    expect(pool.ejected.has('a')).toBe(false)
  })

  it('is credited with a checked answer that is right, not with one that is not checked; one that does not come costs', () => {
    const { measure, a, of } = believed()
    expect([measure(a, right(1), right(1), true), of('a').proven]).toEqual([false, 11])
    measure(a, right(2), right(2))
    expect(of('a').proven).toBe(11)
    measure(a, undefined, right(3), true)
    expect(of('a').proven).toBe(10)
  })

  it('gets queries as fast as trusted workers get round to checks, whatever the coin says', () => {
    for (const value of [0, 1 - 1e-9]) {
      const { trust, coins, pool, a, own, answers } = believed()
      coins.value = value
      let queries = 0
      for (; !pool.ejected.has('a'); queries++) trust.began(a)
      expect(queries).toBe(7) // four checks are expected of them, at 1.1 * 11 / 21 each
      trust.began(own)
      expect(pool.ejected.has('a')).toBe(true) // it may fail
      answers()
      expect(pool.ejected.has('a')).toBe(false)
    }
  })

  it('is credited with what it has given', () => {
    const { trust, a, of } = believed()
    trust.given(a)
    expect(of('a').proven).toBe(11)
  })

  it('has its next answer checked where a check came to nothing, once', () => {
    const { trust, a } = believed()
    trust.owe('a')
    expect([trust.checks(a), trust.checks(a)]).toEqual([true, false])
  })

  it('has its next answer checked also where it has left meanwhile, and comes back', () => {
    const { trust, a, pool } = believed()
    for (const isEarly of [true, false]) {
      if (isEarly) trust.owe('a')
      pool.identities.remove(a)
      trust.left(a)
      if (!isEarly) trust.owe('a')
      pool.identities.add(a)
      trust.joined(a)
      expect([trust.checks(a), trust.checks(a)]).toEqual([true, false])
    }
  })

  it('is convicted also where it has left before the trusted worker answered, and comes back', () => {
    const { trust, measure, a, of, pool, verdicts } = believed()
    pool.identities.remove(a)
    trust.left(a)
    measure(a, wrong(1), right(1), true)
    expect([of('a'), verdicts]).toMatchObject([{ proven: 0, lies: 1 }, ['a ejected']])
    expect([trust.joined(a), trust.isTrusted(a)]).toEqual([false, false])
  })

  it('is convicted by a trusted worker’s answer, then believed no more, and needs twice as many right answers', () => {
    const { trust, measure, a, of, verdicts, pool } = believed()
    expect(measure(a, wrong(5), right(5))).toBe(true)
    expect([verdicts, trust.isTrusted(a), trust.doubts(a), pool.ejected.has('a')]).toEqual([['a ejected'], false, true, true]) // biome-ignore format: one line
    expect(of('a')).toMatchObject({ proven: 0, rightAnswersLeft: 20 })
  })

  it('loses a share where it fails on what a trusted worker answers', () => {
    const { trust, measure, a, of, pool } = believed()
    measure(a, undefined, right(7))
    expect([of('a').proven, trust.isTrusted(a), pool.ejected.has('a')]).toEqual([9, false, true])
  })

  it('neither wins nor loses by a worker of the user’s own that another one contradicts', () => {
    const { measure, own, of, verdicts } = believed()
    const before = { ...of('own') }
    expect([measure(own, wrong(5), right(5)), measure(own, undefined, right(5))]).toEqual([false, false])
    expect([of('own'), verdicts]).toEqual([before, []])
  })

  // Between rounding (a thousandth here) and thirty times as much nothing is proven, but the answer would have been given.
  const off = (n: number, share: number) => Float32Array.of(2 * n * (1 + share), n)

  it('loses all that it has earned where it is a little off what a trusted worker answers, and is told of no lie', () => {
    const { trust, measure, a, of, pool, verdicts } = believed()
    expect(measure(a, off(7, 0.01), right(7))).toBe(false)
    expect([of('a').proven, trust.isTrusted(a), pool.ejected.has('a'), verdicts]).toEqual([
      0,
      false,
      true,
      ['a deviant'],
    ])
  })

  it('loses all that it has earned where its answer has another length, as a detector’s may', () => {
    const { measure, a, of, verdicts } = believed()
    measure(a, Float32Array.of(14), right(7))
    expect([of('a').proven, verdicts]).toEqual([0, ['a deviant']])
  })

  it('loses nothing where it rounds in its own way, checked or not', () => {
    const { trust, measure, a, of } = believed()
    measure(a, off(7, 0.0005), right(7))
    measure(a, off(7, 0.0005), right(7), true)
    expect([of('a').proven, trust.isTrusted(a)]).toEqual([11, true])
  })

  it('neither earns nor loses where its rounding tips a label', () => {
    const { trust, measure, a, of, pool } = believed()
    const [tie, tipped] = [Float32Array.of(1, 1.0002), Float32Array.of(1.0002, 1)]
    measure(a, tipped, tie)
    measure(a, tipped, tie, true)
    expect([of('a').proven, trust.isTrusted(a), pool.ejected.has('a')]).toEqual([10, true, false])
  })

  it('goes on where it left off when it comes back; others leave nothing behind', () => {
    const { trust, pool, a, strangers, evidence } = believed()
    for (const worker of strangers) {
      pool.identities.remove(worker)
      trust.left(worker)
    }
    expect(evidence.workers.toSorted()).toEqual(['a', 'own'])
    expect([trust.joined(a), trust.isTrusted(a)]).toEqual([true, true])
  })
})

describe('what is kept of strangers', () => {
  it('is nothing of those without a right answer, and of 1,000 others, those with most', () => {
    const evidence = new Evidence()
    for (let i = 0; i < 5000; i++) {
      const name = `sybil ${i}`
      evidence.meet(name, 1000)
      if (i % 2) evidence.proven(name)
      if (i === 1001) for (let n = 0; n < 1500; n++) evidence.proven(name)
      evidence.leave(name, true)
    }
    expect(evidence.workers.length).toBe(1000)
    expect(evidence.of('sybil 1001').proven).toBe(1501)
  })

  it('can be saved, whatever is needed', () => {
    const evidence = new Evidence()
    evidence.meet('a', 2 ** 40)
    evidence.proven('a')
    const other = new Evidence()
    other.load(structuredClone(evidence.save()))
    expect(other.of('a').proven).toBe(1)
  })

  it('are quizzes of no model but the one that they have', () => {
    const { answers, quizzes, numberOf, evidence } = fleet(['a'])
    answers(10)
    const [quiz] = quizzes()
    quiz.answer(right(numberOf(quiz)))
    evidence.renew()
    answers(3)
    expect(quizzes().map(numberOf)).toEqual([11])
  })
})
