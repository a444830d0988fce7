/** A fleet that anybody may join: what is given, checked and told of strangers, over a fake service. */

import { describe, expect, it } from 'vitest'
import type { Payload } from '../../src/base/payload'
import { hedge } from '../../src/layers/hedge'
import { type VouchOptions, vouch } from '../../src/layers/vouch'
import type { Identity } from '../../src/pool/attempt'
import { type Query, stack } from '../../src/service'
import { type FakeAttempt, fakeService, listener, payload, queryOf } from '../shared/fake-service'

/** `own` and `other` are trusted; all others are strangers. What the layer tells of them is written down. */
function open(over: Partial<VouchOptions['trust']> = {}) {
  const { clock, asked, service } = fakeService()
  const told: string[] = []
  const doubted = new Set<string>()
  const coins = { isChecked: false }
  const isOwn = (name: string | undefined) => name === 'own' || name === 'other'
  const usable = ['own', 'other', 'a', 'b']
  const trust = {
    has: (identity: Identity) => !isOwn(identity),
    doubts: ({ name }: { name: string }) => doubted.has(name),
    worth: ({ name }: { name: string }) => (isOwn(name) ? 'exact' : 'audited'),
    credibility: () => 0.7,
    checks: ({ name }: { name: string }) => !isOwn(name) && coins.isChecked,
    among: (strangers: readonly Identity[], blocked: readonly Identity[]) =>
      ['own', 'other', ...strangers].filter((each) => !blocked.includes(each)).length,
    began: ({ name }: { name: string }) => told.push(`began ${name}`),
    missed: ({ identity, outcome }: FakeAttempt['own']) =>
      outcome?.kind === 'failed' && told.push(`missed ${identity}`),
    given: ({ name }: { name: string }) => told.push(`given ${name}`),
    answered: ({ name }: { name: string }) => told.push(`answered ${name}`),
    measure: ({ identity, outcome }: FakeAttempt['own'], right: { vector: Float32Array }, isChecked: boolean) => {
      told.push(`measured ${identity} by ${right.vector}${isChecked ? ', checked' : ''}`)
      return outcome?.kind === 'answered' && (outcome.answer as { vector: Float32Array }).vector[0] === -1
    },
    keep: (quiz: { answer: { vector: Float32Array } }) => told.push(`quiz ${quiz.answer.vector}`),
    owe: (identity: Identity) => told.push(`owed ${identity}`),
    ...over,
  } as unknown as VouchOptions['trust']
  const pool = { available: (blocked: Iterable<Identity>) => usable.filter((each) => ![...blocked].includes(each)).length } // biome-ignore format: one line
  const layer = vouch({ trust, pool })
  /** A stranger begins with it. */
  const sent = (attempt: FakeAttempt, identity: Identity, interruptible = false) => {
    attempt.seenBy = [...attempt.seenBy, identity]
    attempt.begin(identity)
    Object.assign(attempt.worker as object, { interruptible })
    return attempt
  }
  return { clock, asked, service, told, doubted, coins, pool, layer, ask: layer(service), sent }
}

const blocks = ({ apart }: Query, identity: Identity) => apart.some((each) => each.blocks(identity))

describe('an answer', () => {
  it('of a trusted worker is exact, and makes a quiz', () => {
    const { asked, told, ask } = open()
    const { log, caller } = listener()
    ask(queryOf(), caller)
    asked[0].begin('own').answer(5, 6)
    expect(log).toEqual(['began own', 'ended own', 'exact 5,6', 'done'])
    expect(told).toEqual(['began own', 'answered own', 'quiz 5,6'])
  })

  it('of a stranger is given with his credibility, and then counts for him', () => {
    const { asked, told, ask, sent } = open()
    const { outcomes, caller } = listener()
    ask(queryOf(), { ...caller, settled: (outcome) => (caller.settled(outcome), told.push('settled')) })
    sent(asked[0], 'a').answer(5, 6)
    expect(outcomes).toEqual([{ kind: 'answer', answer: payload(5, 6), status: 'audited', confidence: 0.7, by: [asked[0]] }]) // biome-ignore format: one line
    expect(told).toEqual(['began a', 'settled', 'given a'])
  })

  it('of a stranger that is not believed any more is none, and nothing is made of it', () => {
    const { asked, told, doubted, ask, sent } = open()
    const { outcomes, caller } = listener()
    ask(queryOf(), caller)
    sent(asked[0], 'a')
    doubted.add('a')
    asked[0].answer(5, 6)
    expect([outcomes, told]).toMatchObject([[{ kind: 'failure', blame: 'nobody' }], ['began a']])
  })
})

describe('a query', () => {
  it('goes to one stranger at most, be it that he refused it: to him again, or to a trusted worker', () => {
    const { asked, told, ask, sent } = open()
    const query = queryOf()
    ask(query, listener().caller)
    const sees = () => ['a', 'b', 'own'].map((identity) => blocks(asked[0].query, identity))
    expect([sees(), query.tried.left({ available: () => 99 })]).toEqual([[false, false, false], 3]) // of four, and one is queued
    asked[0].seenBy = ['a']
    expect([sees(), query.tried.left({ available: () => 99 })]).toEqual([[false, true, false], 2]) // own, other, or a
    sent(asked[0], 'a')
    expect(told).toEqual([]) // it was told of him when he was sent it first
  })

  it('is told of once for each worker that begins', () => {
    const { asked, told, ask, sent } = open()
    ask(queryOf(), listener().caller)
    sent(asked[0], 'a')
    sent(Object.assign(asked[0], { identity: undefined }), 'a') // refused, and asked again
    asked[0].seenBy = ['a']
    Object.assign(asked[0], { identity: undefined })
    asked[0].begin('own')
    expect(told).toEqual(['began a', 'began own'])
  })
})

describe('an answer that is checked', () => {
  function checked() {
    const all = open()
    const heard = listener()
    all.coins.isChecked = true
    const query = queryOf()
    const call = all.ask(query, heard.caller)
    all.sent(all.asked[0], 'a')
    return { ...all, ...heard, query, call }
  }

  it('is not given: a trusted worker is asked before others, whose answer is given, and measures it', () => {
    const { asked, told, log, outcomes } = checked()
    asked[0].answer(7, 7)
    expect([outcomes, asked[1].query.priority, asked[1].query.payload]).toEqual([[], 'high', asked[0].query.payload])
    expect(['a', 'b', 'own'].map((each) => blocks(asked[1].query, each))).toEqual([true, true, false])
    asked[1].begin('own').answer(5, 6)
    expect(log).toEqual(['began a', 'ended a', 'began own', 'ended own', 'exact 5,6', 'done'])
    expect(told).toEqual(['began a', 'began own', 'answered own', 'measured a by 5,6, checked'])
  })

  it('is owed a check where no trusted worker answers; and not where one does', () => {
    const { asked, told, outcomes } = checked()
    asked[0].answer(7, 7)
    asked[1].begin('own').fail()
    expect([outcomes, told.slice(2)]).toMatchObject([[{ kind: 'failure', blame: 'worker' }], ['missed own', 'owed a']])
  })

  it('is measured by a trusted worker that answers when nobody waits any more', () => {
    const { asked, told, call, log } = checked()
    asked[0].answer(7, 7)
    asked[1].begin('own')
    call.drop('over')
    asked[1].answer(5, 6)
    expect([told.slice(2), log.at(-1)]).toEqual([['answered own', 'measured a by 5,6, checked'], 'done'])
  })

  it('expires with the trusted worker', () => {
    const { asked, call, log } = checked()
    asked[0].answer(7, 7)
    call.expire()
    expect(log.slice(2)).toEqual(['DEADLINE', 'ended undefined', 'done'])
    expect(asked.length).toBe(2)
  })

  it('is not given where nobody is left to be asked', () => {
    const { asked, told, outcomes, query } = checked()
    for (const name of ['own', 'other']) query.tried.add({ identity: name, outcome: { kind: 'answered' }, phase: 'settled', seenBy: [] } as never) // biome-ignore format: one line
    asked[0].answer(7, 7)
    expect([outcomes, asked.length, told.at(-1)]).toMatchObject([[{ kind: 'failure', blame: 'nobody' }], 1, 'owed a'])
  })
})

describe('late', () => {
  it('a stranger’s answer counts for nothing, nor does a failure, before a trusted worker’s; it is measured behind one', () => {
    const { asked, told, ask, sent } = open()
    const query = queryOf()
    const [first, second] = [ask(query, listener().caller), ask(query, listener().caller)]
    sent(asked[0], 'a')
    asked[1].begin('own')
    first.drop('over')
    asked[0].answer(7, 7)
    expect(told).toEqual(['began a', 'began own'])
    asked[1].answer(5, 6)
    expect(told.slice(2)).toEqual(['answered own', 'measured a by 5,6']) // and no quiz: he has seen it
    second.drop('over')
  })

  it('nothing is made of the answer of a stranger that is not believed any more', () => {
    const { asked, told, doubted, ask, sent } = open()
    const query = queryOf()
    const first = ask(query, listener().caller)
    ask(query, listener().caller)
    sent(asked[0], 'a')
    asked[1].begin('own').answer(5, 6)
    first.drop('over')
    doubted.add('a')
    asked[0].answer(7, 7)
    expect(told).toEqual(['began a', 'began own', 'answered own'])
  })

  it.each([
    [false, 1],
    [true, 0],
  ])(
    'a stranger that fails behind a trusted worker’s answer is measured, unless it was told to stop (%s)',
    (interruptible, times) => {
      const { asked, told, ask, sent } = open()
      const query = queryOf()
      const first = ask(query, listener().caller)
      ask(query, listener().caller)
      sent(asked[0], 'a', interruptible)
      asked[1].begin('own').answer(5, 6)
      first.drop('over')
      asked[0].fail()
      expect(told.filter((each) => each.startsWith('measured')).length).toBe(times)
    },
  )

  it('a trusted worker’s second answer tells nothing more', () => {
    const { asked, told, ask } = open()
    const query = queryOf()
    ask(query, listener().caller)
    const second = ask(query, listener().caller)
    asked[1].begin('other')
    asked[0].begin('own').answer(5, 6)
    second.drop('over')
    asked[1].answer(5, 6)
    expect(told.filter((each) => !each.startsWith('began'))).toEqual(['answered own', 'quiz 5,6'])
  })

  it('nothing is made of what another model answers', () => {
    const { asked, told, ask } = open()
    const call = ask(queryOf(), listener().caller)
    asked[0].begin('own')
    call.drop('void')
    asked[0].answer(5, 6)
    expect(told).toEqual(['began own'])
  })
})

describe('beneath hedge', () => {
  function hedged() {
    const all = open()
    const pool = { isOverloaded: false, nobody: 'nobody', size: 4, usable: 4, free: 4, waiting: 0, tooLate: () => undefined, ...all.pool } // biome-ignore format: one line
    const options = { clock: all.clock, lateness: { ages: { giveMs: 20, hedgeMs: 30, worth: 1 }, tell() {} }, pool, budget: { earn() {}, has: true, take() {} }, counts: { sent: 0, won: 0 } } // biome-ignore format: one line
    return { ...all, pool, ask: stack(all.service, hedge(options), all.layer), ...listener() }
  }

  it('another worker is asked at once for an answer that is none', () => {
    const { asked, ask, sent, doubted, caller, log } = hedged()
    ask(queryOf(), caller)
    sent(asked[0], 'a')
    doubted.add('a')
    asked[0].answer(7, 7)
    expect([asked.length, asked[1].query.priority, blocks(asked[1].query, 'b')]).toEqual([2, 'high', true])
    asked[1].begin('own').answer(5, 6)
    expect(log.filter((each) => /exact|done|audited/.test(each))).toEqual(['exact 5,6', 'done'])
  })

  it('a check waits for the trusted worker that is at it, and asks none beside', async () => {
    const { clock, asked, ask, sent, coins, caller, log, told } = hedged()
    coins.isChecked = true
    ask(queryOf(), caller)
    sent(asked[0], 'a')
    await clock.run(30)
    asked[1].begin('own')
    asked[0].answer(7, 7)
    expect([asked.length, asked[1].dropped]).toEqual([2, undefined])
    asked[1].answer(5, 6)
    expect(log.filter((each) => /exact|done|audited/.test(each))).toEqual(['exact 5,6', 'done'])
    expect(told.at(-1)).toBe('measured a by 5,6, checked')
  })

  it('a trusted worker is asked for a check though the pool refuses what would be too late; no hedge is sent while it is awaited', async () => {
    const { clock, asked, ask, sent, coins, caller, pool, log } = hedged()
    coins.isChecked = true
    pool.isOverloaded = true
    Object.assign(pool, { tooLate: () => new Error('too late') })
    ask(queryOf(), caller)
    sent(asked[0], 'a').answer(7, 7)
    expect([asked.length, asked[1].query.priority]).toEqual([2, 'high'])
    pool.isOverloaded = false
    await clock.run(500)
    expect(asked.length).toBe(2)
    asked[1].begin('own').answer(5, 6)
    expect(log.at(-1)).toBe('done')
  })
})

it('a quiz has a copy of the answer: who is given it may write to it', () => {
  const quizzes: Payload[] = []
  const { asked, ask } = open({ keep: ({ answer }) => quizzes.push(answer) as never })
  ask(queryOf(), listener().caller)
  asked[0].begin('own').answer(5, 6)
  asked[0].outcome?.answer?.vector.fill(0)
  expect(quizzes).toEqual([payload(5, 6)])
})
