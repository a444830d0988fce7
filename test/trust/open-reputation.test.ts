/** Who is believed in a fleet that anybody may join, and which quizzes that takes. */

import type { ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/criterion'
import { ApproxiferError } from '../../src/errors'
import { type Asked, newAsked } from '../../src/query/asked'
import { seeded } from '../../src/random'
import { Evidence } from '../../src/trust/evidence'
import { OpenReputation } from '../../src/trust/open-reputation'
import type { ReputationOptions, Verdict } from '../../src/trust/reputation'
import { type HandAttempt, HandPool } from '../shared/hand-pool'
import { HandWorker } from '../shared/house'
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
  const attempt = (worker: ModelWorker, answer: Float32Array | undefined): Asked => {
    const outcome = answer ? { kind: 'answered', answer: payloadOf(answer) } : { kind: 'failed', error: new ApproxiferError('WORKER', 'died'), blame: 'worker', lost: undefined } // biome-ignore format: one line
    const row = {
      worker,
      phase: 'settled',
      outcome,
      seenBy: worker === own ? [] : [worker.name],
    } as unknown as Asked['attempt']
    return { ...newAsked(row, 'first', 0), onTime: true }
  }
  /** The trusted worker answers queries, each of which may become a quiz. */
  const own_ = (count = 1) => {
    for (let i = 0; i < count; i++) {
      const n = ++asked
      trust.began(own)
      const answered = [attempt(own, right(n))]
      trust.compared(payloadOf(Float32Array.of(n, 1)), answered, answered)
    }
  }
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
  return { own, strangers, pool, coins, verdicts, warnings, evidence, trust, attempt, answers: own_, quizzes, numberOf, earn, of } // biome-ignore format: one line
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

  it('is not asked what a stranger has seen, though he refused it and a trusted worker answered', () => {
    const { own, trust, attempt, quizzes, answers } = fleet(['a'])
    const answered = attempt(own, right(1))
    const refused = { ...answered, attempt: { ...answered.attempt, seenBy: ['b'] } }
    trust.compared(payloadOf(Float32Array.of(1, 1)), [refused], [refused])
    trust.began(own)
    expect(quizzes()).toEqual([])
    answers(2)
    expect(quizzes()).toHaveLength(1)
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

  /** A query that it was asked, and a trusted worker by the coin. */
  const checked = ({ attempt, a }: ReturnType<typeof believed>, answer: Float32Array) => ({ ...attempt(a, answer), isChecked: true }) // biome-ignore format: one line

  it('has its answers checked by a coin that is thrown when they have come', () => {
    const { trust, coins, pool, a, own } = believed()
    expect([pool.ejected.has('a'), trust.checks(a)]).toEqual([false, false])
    coins.value = 0
    expect([trust.checks(a), trust.checks(own)]).toEqual([true, false])
    expect(pool.ejected.has('a')).toBe(false)
  })

  it('is credited with a checked answer that is right, in time or late, once', () => {
    const all = believed()
    const { trust, attempt, own, of } = all
    const both = [checked(all, right(1)), attempt(own, right(1))]
    trust.compared(payloadOf(right(1)), both, both)
    trust.compared(payloadOf(right(1)), both, both)
    expect(of('a').proven).toBe(11)
    const late = attempt(own, right(2))
    trust.compared(payloadOf(right(2)), [late], [{ ...attempt(all.a, undefined), isChecked: true }, late])
    expect(of('a').proven).toBeLessThan(11)
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

  it('is credited with what it has given, and not with what nobody waited for', () => {
    const { trust, attempt, a, of } = believed()
    const before = of('a').proven
    const given = [attempt(a, right(1))]
    trust.compared(payloadOf(right(1)), given, given)
    const late = [{ ...attempt(a, right(2)), onTime: false }]
    trust.compared(payloadOf(right(2)), late, late)
    expect(of('a').proven).toBe(before + 1)
  })

  it('has its next answer checked where no trusted worker answered, once', () => {
    const all = believed()
    const { trust, attempt, a, own } = all
    trust.ended([checked(all, wrong(1)), attempt(own, undefined)])
    expect([trust.checks(a), trust.checks(a)]).toEqual([true, false])
    trust.ended([attempt(a, wrong(1))])
    expect(trust.checks(a)).toBe(false)
  })

  it('has its next answer checked also where it has left meanwhile, and comes back', () => {
    const all = believed()
    const { trust, attempt, a, own, pool } = all
    for (const isEarly of [true, false]) {
      if (isEarly) trust.ended([checked(all, wrong(1)), attempt(own, undefined)])
      pool.identities.remove(a)
      trust.left(a)
      if (!isEarly) trust.ended([checked(all, wrong(1)), attempt(own, undefined)])
      pool.identities.add(a)
      trust.joined(a)
      expect([trust.checks(a), trust.checks(a)]).toEqual([true, false])
    }
  })

  it('is convicted also where it has left before the trusted worker answered, and comes back', () => {
    const all = believed()
    const { trust, attempt, a, own, of, pool, verdicts } = all
    pool.identities.remove(a)
    trust.left(a)
    const both = [checked(all, wrong(1)), attempt(own, right(1))]
    trust.compared(payloadOf(right(1)), both, both)
    expect([of('a'), verdicts]).toMatchObject([{ proven: 0, lies: 1 }, ['a ejected']])
    expect([trust.joined(a), trust.isTrusted(a)]).toEqual([false, false])
  })

  it('is convicted by a trusted worker’s answer alone, and then believed no more', () => {
    const { trust, attempt, own, a, verdicts, pool } = believed()
    const lie = attempt(a, wrong(5))
    trust.compared(payloadOf(right(5)), [lie], [lie])
    expect(verdicts).toEqual([])
    const answered = [lie, attempt(own, right(5))]
    trust.compared(payloadOf(right(5)), answered, answered)
    expect([verdicts, trust.isTrusted(a), trust.doubts(a), pool.ejected.has('a')]).toEqual([['a ejected'], false, true, true]) // biome-ignore format: one line
    expect(lie.verdict).toBe('lie')
  })

  it('and needs twice as many right answers after that', () => {
    const { trust, attempt, own, a, of } = believed()
    const answered = [attempt(a, wrong(5)), attempt(own, right(5))]
    trust.compared(payloadOf(right(5)), answered, answered)
    expect(of('a')).toMatchObject({ proven: 0, rightAnswersLeft: 20 })
  })

  it('loses a share where it fails on what a trusted worker answers', () => {
    const { trust, attempt, own, a, of, pool } = believed()
    const failed = attempt(a, undefined)
    const answered = attempt(own, right(7))
    trust.compared(payloadOf(right(7)), [answered], [failed, answered])
    expect([of('a').proven, trust.isTrusted(a), pool.ejected.has('a')]).toEqual([9, false, true])
  })

  it('that fails once a trusted worker has answered loses as much, unless it was told to stop', () => {
    for (const [interruptible, left] of [
      [false, 9],
      [true, 10],
    ] as const) {
      const { trust, attempt, own, a, of } = believed()
      Object.assign(a, { interruptible })
      const answered = attempt(own, right(7))
      const late = attempt(a, undefined)
      const { outcome } = late.attempt
      Object.assign(late.attempt, { outcome: undefined }) // it is at work
      trust.compared(payloadOf(right(7)), [answered], [late, answered])
      expect(of('a').proven).toBe(10)
      Object.assign(late.attempt, { outcome })
      for (let i = 0; i < 2; i++) trust.ended([late, answered])
      expect(of('a').proven).toBe(left)
    }
  })

  // Between rounding (a thousandth here) and thirty times as much nothing is proven, but the answer would have been given.
  const off = (n: number, share: number) => Float32Array.of(2 * n * (1 + share), n)

  it('loses all that it has earned where it is a little off what a trusted worker answers', () => {
    const { trust, attempt, own, a, of, pool, verdicts } = believed()
    const answered = [attempt(a, off(7, 0.01)), attempt(own, right(7))]
    trust.compared(payloadOf(right(7)), answered, answered)
    expect([of('a').proven, trust.isTrusted(a), pool.ejected.has('a'), verdicts]).toEqual([
      0,
      false,
      true,
      ['a deviant'],
    ])
  })

  it('loses all that it has earned where its answer has another length, as a detector’s may', () => {
    const { trust, attempt, own, a, of, verdicts } = believed()
    const answered = [attempt(a, Float32Array.of(14)), attempt(own, right(7))]
    trust.compared(payloadOf(right(7)), answered, answered)
    expect([of('a').proven, verdicts]).toEqual([0, ['a deviant']])
  })

  it('loses nothing where it rounds in its own way, checked or not', () => {
    const all = believed()
    const { trust, attempt, own, a, of } = all
    for (const each of [attempt(a, off(7, 0.0005)), checked(all, off(7, 0.0005))]) {
      const answered = [each, attempt(own, right(7))]
      trust.compared(payloadOf(right(7)), answered, answered)
    }
    expect([of('a').proven, trust.isTrusted(a)]).toEqual([11, true])
  })

  it('neither earns nor loses where its rounding tips a label', () => {
    const all = believed()
    const { trust, attempt, own, a, of, pool } = all
    const [tie, tipped] = [Float32Array.of(1, 1.0002), Float32Array.of(1.0002, 1)]
    for (const each of [attempt(a, tipped), checked(all, tipped)]) {
      const answered = [each, attempt(own, tie)]
      trust.compared(payloadOf(tie), answered, answered)
    }
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
