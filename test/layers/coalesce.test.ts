/** Equal queries under way share one call: who hears of it, who is asked again, and what ends it. */

import { describe, expect, it } from 'vitest'
import { coalesce } from '../../src/layers/coalesce'
import type { Query } from '../../src/service'
import { failure, fakeService, listener, payload, queryOf } from '../shared/fake-service'

function sharing() {
  const { clock, asked, service } = fakeService()
  const counts = { reused: 0 }
  const state = { isOff: false }
  const layer = coalesce({ clock, counts, isOff: () => state.isOff })(service)
  const ask = (over: Parameters<typeof queryOf>[0] = {}) => {
    const one = listener()
    const query = queryOf(over)
    return { ...one, query, call: layer(query, one.caller) }
  }
  return { clock, asked, counts, state, ask }
}

describe('equal queries', () => {
  it('share one attempt: the first hears of it, the others of its answer alone, each is done', () => {
    const { asked, ask, counts } = sharing()
    const [first, second] = [ask(), ask()]
    asked[0].begin('a').answer(3)
    expect(asked.length).toBe(1)
    expect(first.log).toEqual(['began a', 'ended a', 'exact 3', 'done'])
    expect(second.log).toEqual(['exact 3', 'done'])
    expect([first, second].map(({ outcomes: [own] }) => own.kind === 'answer' && own.reused)).toEqual([undefined, true])
    expect(counts.reused).toBe(1)
    ask()
    expect(asked.length).toBe(2) // it has landed
  })

  it.each<[string, Parameters<typeof queryOf>[0]]>([
    ['of another tenant', { turn: { rank: 1, tenant: 'b' } }],
    ['with other values', { payload: payload(2) }],
    ['whose caller chose a policy', { said: { policy: 'retry' } }],
    ['whose caller chose a confidence', { said: { minConfidence: 0.5 } }],
    ['whose caller chose what it gets at its deadline', { said: { atDeadline: 'give' } }],
  ])('%s are asked by themselves', (_, over) => {
    const { asked, ask } = sharing()
    ask()
    ask(over)
    expect(asked.length).toBe(2)
  })

  it('are asked by themselves while the model does not answer the same twice', () => {
    const { asked, ask, state } = sharing()
    state.isOff = true
    ask()
    ask()
    expect(asked.length).toBe(2)
  })

  it('with more time are asked again where it was too late to begin with the deadline of the first', () => {
    const { asked, ask } = sharing()
    const [first, second] = [ask({ dueAt: 15 }), ask({ dueAt: 10_000 })]
    asked[0].fail('load', { code: 'OVERLOADED' })
    expect([first.log.at(-1), second.log, asked.length]).toEqual(['done', [], 2])
    asked[1].begin('a').answer(3)
    expect(second.log).toEqual(['began a', 'ended a', 'exact 3', 'done'])
  })

  it('that are refused may join others, and others never join them', () => {
    const refusal = failure('OVERLOADED', 'load').error
    const { asked, ask } = sharing()
    ask({ refusal })
    ask()
    ask({ refusal })
    expect(asked.length).toBe(2)
  })

  it('whose digests are equal and whose values are not are asked by themselves', () => {
    const { asked, ask } = sharing()
    ask()
    const other = payload(9)
    Object.defineProperty(other, 'digest', { value: payload(1).digest })
    ask({ payload: other })
    expect(asked.length).toBe(2)
  })
})

describe('a caller that leaves', () => {
  it('ends it for nobody else; the last one takes the query back', () => {
    const { asked, ask } = sharing()
    const [first, second, third] = [ask(), ask(), ask()]
    asked[0].begin('a')
    first.call.drop('left')
    second.call.drop('left')
    expect([asked[0].dropped, second.log]).toEqual([undefined, ['done']])
    third.call.drop('teach')
    expect([asked[0].dropped, third.log]).toEqual(['teach', ['done']])
    ask()
    expect(asked.length).toBe(2)
    asked[0].answer(3)
    expect(first.log).toEqual(['began a', 'ended a', 'done'])
  })

  it('since another was answered hears of nothing', () => {
    const { asked, ask } = sharing()
    const [first, second, third] = [ask(), ask(), ask()]
    const { settled } = first.caller
    first.caller.settled = (outcome) => {
      settled(outcome)
      second.call.drop('left')
    }
    asked[0].begin('a').answer(3)
    expect([second.log, third.log]).toEqual([['done'], ['exact 3', 'done']])
    const [one, two] = [ask(), ask()]
    one.caller.settled = () => two.call.drop('left')
    asked[1].begin('a').fail()
    expect(two.log).toEqual(['done'])
  })

  it('leaves the first of the others with an answer of its own, which may be kept', () => {
    const { asked, ask } = sharing()
    const [first, second, third] = [ask(), ask(), ask()]
    first.call.drop('left')
    asked[0].begin('a').answer(3)
    const reused = [second, third].map(({ outcomes: [own] }) => own.kind === 'answer' && own.reused)
    expect(reused).toEqual([undefined, true])
  })

  it('since the model was replaced has late answers tell nothing, also where it had left before', () => {
    const { asked, ask } = sharing()
    const first = ask()
    asked[0].begin('a')
    first.call.drop('teach')
    const drops: string[] = []
    asked[0].drop = (why) => void drops.push(why)
    first.call.drop('void')
    expect(drops).toEqual(['void'])
  })
})

describe('a deadline', () => {
  it('of one that is not the first is its own', () => {
    const { asked, ask } = sharing()
    const [first, second] = [ask(), ask({ dueAt: 50 })]
    asked[0].begin('a')
    second.call.expire()
    expect(second.log).toEqual(['DEADLINE', 'done'])
    asked[0].answer(3)
    expect(first.log.at(-2)).toBe('exact 3')
  })

  it('leaves the others as many as they are: the last one still takes the query back', () => {
    const { asked, ask } = sharing()
    const [first, second] = [ask(), ask()]
    asked[0].begin('a')
    second.call.expire()
    first.call.drop('left')
    expect(asked[0].dropped).toBe('left')
  })

  it('once it is that of the call nobody joins it, though it settles a little later', () => {
    const { asked, ask } = sharing()
    const first = ask()
    asked[0].expire = () => {}
    first.call.expire()
    ask()
    expect(asked.length).toBe(2)
  })

  it('of the first lets layers beneath give it something; others that have time are asked again', () => {
    const { asked, ask } = sharing()
    const [first, second, due] = [ask(), ask({ dueAt: 2000 }), ask()]
    due.call.expire()
    first.call.expire()
    expect([asked[0].dropped, first.log[0], due.log[0]]).toEqual(['over', 'DEADLINE', 'DEADLINE'])
    expect(asked.length).toBe(2)
    asked[1].begin('a').answer(4)
    expect(second.log).toEqual(['began a', 'ended a', 'exact 4', 'done'])
  })

  it('of the first is its own where nothing but an answer may be given', () => {
    const { asked, ask } = sharing()
    const choices = { policy: 'retry' as const }
    const [first, second] = [ask({ choices } as Partial<Query>), ask({ choices } as Partial<Query>)]
    asked[0].begin('a')
    first.call.expire()
    expect([first.log, asked[0].dropped]).toEqual([['began a', 'DEADLINE'], undefined])
    asked[0].answer(3)
    expect([first.log.at(-1), second.log]).toEqual(['done', ['exact 3', 'done']])
  })

  it('of the last ends the call, and nobody joins it any more', () => {
    const { asked, ask } = sharing()
    const [first, second] = [ask(), ask()]
    first.call.drop('left')
    second.call.expire()
    expect([asked[0].dropped, second.log]).toEqual(['over', ['DEADLINE', 'done']])
  })
})

describe('what is not the model’s answer', () => {
  it('a recovery is one caller’s: the others are asked again', () => {
    const { asked, ask, counts } = sharing()
    const [first, second, third] = [ask(), ask(), ask()]
    const [one] = asked
    one.caller.settled({ kind: 'answer', answer: payload(5), status: 'recovered', confidence: 1, by: [] })
    expect([first.log, second.log, asked.length, counts.reused]).toEqual([['recovered 5'], [], 2, 0])
    asked[1].begin('a').answer(6)
    expect([second.log.at(-2), third.log]).toEqual(['exact 6', ['exact 6', 'done']])
  })

  it('a failure is everybody’s', () => {
    const { asked, ask } = sharing()
    const [first, second] = [ask(), ask()]
    asked[0].begin('a').fail()
    expect([first.log.at(-2), second.log]).toEqual(['WORKER', ['WORKER', 'done']])
  })

  it('a failure for want of time, once the first caller’s is up, is not that of those that have more', async () => {
    const { clock, asked, ask } = sharing()
    const [first, second] = [ask({ dueAt: 100 }), ask({ dueAt: 300 })]
    first.call.drop('left')
    await clock.run(150)
    asked[0].caller.settled(failure('OVERLOADED', 'load'))
    expect([asked.length, second.log]).toEqual([2, []])
  })

  it('a caller that is asked again and cannot be fails, and the others are', () => {
    const { clock, service } = fakeService()
    let isBroken = false
    const layer = coalesce({ clock, counts: { reused: 0 }, isOff: () => false })((query, caller) => {
      if (isBroken) throw new Error('no room for its tenant')
      return service(query, caller)
    })
    const [first, second, third] = [listener(), listener(), listener()]
    const call = layer(queryOf(), first.caller)
    for (const { caller } of [second, third]) layer(queryOf({ dueAt: 2000 }), caller)
    isBroken = true
    call.expire()
    expect([second.log, third.log]).toEqual([
      ['WORKER', 'done'],
      ['WORKER', 'done'],
    ])
  })
})
