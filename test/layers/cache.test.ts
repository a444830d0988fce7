/** The model's own answers are given again: which are kept, which repeats are asked all the same, and that an audit ends by nothing but an answer. */

import { describe, expect, it } from 'vitest'
import { type CacheOptions, cache } from '../../src/layers/cache'
import type { Draw } from '../../src/layers/error-budget'
import { ExactCache } from '../../src/layers/exact-cache'
import { Savings } from '../../src/layers/savings'
import { fakeService, listener, payload, queryOf } from '../shared/fake-service'

const equality = { criterion: { kind: 'tolerance' as const }, outputs: [{}], rounding: 1e-3, scales: [1] }

/** @param draws  what the error budget says of each repeat; none: there is none, and the coin decides */
function caching(draws?: Draw['is'][]) {
  const { clock, asked, service } = fakeService()
  const [kept, counts, savings, coin] = [new ExactCache({ bytes: 10_000 }), { reused: 0 }, new Savings(), { value: 1 }]
  const told: [Draw['is'], boolean][] = []
  const compared: [number, number][] = []
  const repeatability = {
    isOff: false,
    believes: (identity: string) => identity !== 'liar',
    compare: ((_, { answer: kept }, { vector: [own] }, __, tell) => {
      const [before] = kept.vector
      compared.push([before, own])
      tell?.(before === own)
    }) as CacheOptions['repeatability']['compare'],
  }
  const draw = (): Draw => {
    const is = draws?.shift() ?? 'remember'
    return { is, grade: (isRight) => told.push([is, isRight]) }
  }
  const layer = cache({
    ...{ clock, cache: kept, repeatability, counts, savings, equality: () => equality },
    tenantOf: () => (draws ? { errors: { drawRepeat: draw } } : {}),
    inferenceMs: () => 5,
    coin: () => coin.value,
  })(service)
  const ask = (over: Parameters<typeof queryOf>[0] = {}) => {
    const one = listener()
    return { ...one, call: layer(queryOf(over), one.caller) }
  }
  /** Asks, and has it answered. */
  const answered = (value: number, identity = 'a', over = {}) => {
    const one = ask(over)
    asked.at(-1)?.begin(identity).answer(value)
    return one
  }
  return { clock, asked, kept, counts, savings, coin, told, compared, repeatability, ask, answered }
}

const soon = () => Promise.resolve()

describe('an answer that was given', () => {
  it('is given again, in a moment, to an equal query of its tenant, and by whom it was', async () => {
    const { ask, answered, asked, counts, savings } = caching()
    answered(3)
    const { log, outcomes } = ask()
    expect(log).toEqual([])
    await soon()
    expect(log).toEqual(['exact 3', 'done'])
    expect(outcomes[0]).toMatchObject({ reused: true, by: [{ worker: { name: 'a' }, identity: 'a' }] })
    expect([asked.length, counts.reused, savings.saved, savings.savedMs]).toEqual([1, 1, 1, 5])
    ask({ turn: { rank: 1, tenant: 'b' } })
    ask({ payload: payload(2) })
    expect(asked.length).toBe(3)
  })

  it('is not given to one that left', async () => {
    const { ask, answered } = caching()
    answered(3)
    const { log, call } = ask()
    call.drop('left')
    await soon()
    expect(log).toEqual(['done'])
  })

  it.each([
    ['it is no worker’s own', { status: 'recovered' as const }, 'a'],
    ['it is another caller’s', { reused: true as const }, 'a'],
    ['its machine is not believed', {}, 'liar'],
  ])('is not kept where %s', (_, over, identity) => {
    const { ask, asked } = caching()
    ask()
    asked[0].begin(identity)
    const answer = { kind: 'answer', answer: payload(3), status: 'exact', confidence: 1, by: [asked[0].own] } as const
    asked[0].caller.settled({ ...answer, ...over })
    ask()
    expect(asked.length).toBe(2)
  })

  it.each([
    ['tenant was', { tenant: '' }, 2],
    ['worker, or another one, was', { identity: 'a' }, 2],
    ['model was', undefined, 2],
    ['tenant was not', { tenant: 'b' }, 1],
  ])('is kept unless what it is of was forgotten meanwhile: its %s', (_, which, calls) => {
    const { ask, asked, kept } = caching()
    ask()
    if (which) kept.forget(which)
    else kept.clear()
    asked[0].begin('a').answer(3)
    ask()
    expect(asked.length).toBe(calls)
  })

  it('is not kept in the place of another one: which of them is right is not known yet', async () => {
    const { ask, answered, coin } = caching()
    answered(3)
    coin.value = 0
    answered(4)
    coin.value = 1
    const { log } = ask()
    await soon()
    expect(log[0]).toBe('exact 3')
  })
})

describe('a repeat that is asked all the same', () => {
  it('one in a hundred, without an error budget: it is compared', () => {
    const { ask, answered, coin, compared } = caching()
    answered(3)
    coin.value = 0.009
    expect(answered(4).log.at(-2)).toBe('exact 4')
    coin.value = 0.011
    ask()
    expect(compared).toEqual([[3, 4]])
  })

  it('all of them while the model does not answer the same twice', () => {
    const { answered, asked, repeatability } = caching(['remember'])
    answered(3)
    repeatability.isOff = true
    answered(3)
    expect(asked.length).toBe(2)
  })

  it('no layer beneath answers in the model’s place', () => {
    const { ask, answered, asked } = caching(['ask', 'audit'])
    answered(3)
    ask()
    ask()
    expect(
      asked
        .slice(1)
        .map(({ query: { said, refusal, turn, choices } }) => [said.ask, refusal, turn.rank, choices.policy]),
    ).toEqual([
      [true, undefined, 1, 'auto'],
      [true, false, 0, 'retry'],
    ])
  })
})

describe('an audit', () => {
  const audited = () => {
    const at = caching(['audit'])
    at.answered(3)
    return { ...at, audit: at.ask() }
  }

  it.each([
    [3, true],
    [4, false],
  ])(
    'has its caller get the model’s answer, and the error budget learn whether the kept one was right: %i',
    (value, isRight) => {
      const { asked, audit, told } = audited()
      asked[1].begin('b').answer(value)
      expect(audit.log).toEqual(['began b', 'ended b', `exact ${value}`, 'done'])
      expect(told).toEqual([['audit', isRight]])
    },
  )

  it('goes on when its caller leaves, and is done when it is', () => {
    const { asked, audit, told } = audited()
    asked[1].begin('b')
    audit.call.drop('left')
    expect([asked[1].dropped, told]).toEqual([undefined, []])
    asked[1].answer(4)
    expect([audit.log, told]).toEqual([['began b', 'ended b', 'done'], [['audit', false]]])
  })

  it('goes on at its caller’s deadline; after a minute it counts as an error', async () => {
    const { clock, asked, audit, told } = audited()
    asked[1].begin('b')
    audit.call.expire()
    expect([audit.log, asked[1].dropped, told]).toEqual([['began b', 'DEADLINE'], undefined, []])
    await clock.run(59_000)
    expect(told).toEqual([])
    await clock.run(61_000)
    expect([asked[1].dropped, told]).toEqual(['over', [['audit', false]]])
  })

  it('ends with its model, and counts as an error once', () => {
    const { asked, audit, told, clock } = audited()
    asked[1].begin('b')
    audit.call.drop('left')
    audit.call.drop('void')
    expect([asked[1].dropped, told, clock.pending]).toEqual(['void', [['audit', false]], 0])
    asked[1].answer(3)
    expect([audit.log.at(-1), told.length]).toEqual(['done', 1])
  })

  it('has one outcome, whatever becomes of its call then', () => {
    const { asked, audit, told } = audited()
    asked[1].begin('b').answer(3)
    audit.call.drop('void')
    expect(told.length).toBe(1)
  })

  it('that fails counts as an error, and its caller has the failure', () => {
    const { asked, audit, told } = audited()
    asked[1].begin('b').fail()
    expect([audit.log.at(-2), told]).toEqual(['WORKER', [['audit', false]]])
  })
})
