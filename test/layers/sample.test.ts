/** Answers that are given as they come, of which some are audited, over a fake service. */

import { describe, expect, it } from 'vitest'
import type { Status } from '../../src/base/prediction'
import { sample } from '../../src/layers/sample'
import type { Attempt } from '../../src/pool/attempt'
import type { Drop } from '../../src/service'
import { fakeService, listener, queryOf } from '../shared/fake-service'

/** `anchor` is the user's own; each answer that may be audited is written down. */
function sampling() {
  const { asked, service } = fakeService()
  const drawn: string[] = []
  const own = { hasRoom: true }
  const worth = ({ name }: { name: string }): Status => {
    if (name === 'anchor') return 'exact'
    return own.hasRoom ? 'audited' : 'unverified'
  }
  const memory = { learn() {} }
  const layer = sample({
    sampling: {
      worth: worth as never,
      isExact: ({ name }) => name === 'anchor',
      came: ({ name }, query, answer, place, learns) =>
        drawn.push(`${name}: ${query.vector} ${answer.vector} ${place} ${learns === memory}`),
    },
    memoryOf: ({ turn }) => (turn.tenant ? undefined : memory),
  })
  return { asked, drawn, own, ask: layer(service) }
}

describe('an answer', () => {
  it('is given for what its worker is worth: an anchor’s is exact, and passed on as it is', () => {
    const { asked, drawn, own, ask } = sampling()
    const all = ['a', 'b', 'anchor'].map((identity, i) => {
      own.hasRoom = i !== 1
      const heard = listener()
      ask(queryOf(), heard.caller)
      asked[i].begin(identity).answer(5, 6)
      return heard
    })
    expect(all.map(({ outcomes }) => outcomes[0])).toMatchObject([
      { status: 'audited', confidence: undefined, by: [asked[0]] },
      { status: 'unverified', confidence: undefined },
      { status: 'exact', confidence: 1 },
    ])
    expect(drawn).toEqual(['a: 1 5,6 undefined true']) // nothing is said to be audited where one more would not be
    expect(all[2].log).toEqual(['began anchor', 'ended anchor', 'exact 5,6', 'done'])
  })

  it('that nothing proves teaches nobody: that it ended is kept back, a failure is not', () => {
    const { asked, ask } = sampling()
    const [first, second] = [listener(), listener()]
    ask(queryOf(), first.caller)
    asked[0].begin('a').answer(5)
    ask(queryOf(), second.caller)
    asked[1].begin('a').fail()
    expect([first.log, second.log]).toEqual([
      ['began a', 'audited 5', 'done'],
      ['began a', 'ended a', 'WORKER', 'done'],
    ])
  })

  it('is drawn for once it is given, and where: the audit may prove what was given', () => {
    const { asked, drawn, ask } = sampling()
    const query = queryOf()
    ask(query, {
      settled() {
        expect(drawn).toEqual([])
        query.tried.place = 7
      },
    })
    asked[0].begin('a').answer(5)
    expect(drawn).toEqual(['a: 1 5 7 true'])
  })

  it('teaches, by the anchor, the memory of the query’s tenant', () => {
    const { asked, drawn, ask } = sampling()
    ask(queryOf({ turn: { rank: 1, tenant: 'other' } }), listener().caller)
    asked[0].begin('a').answer(5)
    expect(drawn).toEqual(['a: 1 5 undefined false'])
  })
})

describe('a late answer', () => {
  it.each<[Drop, string[]]>([
    ['teach', ['a: 1 5 undefined true']],
    ['over', ['a: 1 5 undefined true']],
    ['left', ['a: 1 5 undefined true']],
    ['void', []], // another model's
  ])('of a call that was dropped (%s) is drawn for, as none that was given', (why, expected) => {
    const { asked, drawn, ask } = sampling()
    const { log, caller } = listener()
    const query = queryOf()
    const call = ask(query, caller)
    asked[0].begin('a')
    query.tried.place = 7 // of what was given in its place
    call.drop(why)
    asked[0].answer(5)
    expect([drawn, log]).toEqual([expected, ['began a', 'done']])
  })

  it('is drawn for where the deadline has come before, and not given', () => {
    const { asked, drawn, ask } = sampling()
    const { log, caller } = listener()
    const call = ask(queryOf(), caller)
    asked[0].begin('a')
    call.expire()
    asked[0].answer(5)
    expect([log, drawn]).toEqual([['began a', 'DEADLINE', 'done'], ['a: 1 5 undefined true']])
  })

  it('behind another one is not drawn for: the query is audited once', () => {
    for (const first of ['a', 'anchor']) {
      const { asked, drawn, ask } = sampling()
      const { caller } = listener()
      ask(queryOf(), caller)
      asked[0].begin(first).answer(5)
      const before = drawn.length
      const late = { outcome: { kind: 'answered', answer: asked[0].query.payload }, worker: { name: 'b' } }
      asked[0].caller.ended?.(late as unknown as Attempt)
      expect([before, drawn.length]).toEqual(first === 'a' ? [1, 1] : [0, 0])
    }
  })

  it('of an anchor still teaches', () => {
    const { asked, ask } = sampling()
    const { log, caller } = listener()
    const call = ask(queryOf(), caller)
    asked[0].begin('anchor')
    call.drop('teach')
    asked[0].answer(5)
    expect(log).toEqual(['began anchor', 'ended anchor', 'done'])
  })
})

it('beneath a group’s parities draws, and teaches nothing', () => {
  const { asked, service } = fakeService()
  const drawn: unknown[] = []
  const came = (...[, , , place, memory]: unknown[]) => drawn.push([place, memory])
  const ask = sample({ sampling: { worth: () => 'audited', isExact: () => false, came } })(service)
  const { outcomes, caller } = listener()
  ask(queryOf({ priority: 'low' }), caller)
  asked[0].begin('a').answer(5)
  expect([outcomes, drawn]).toMatchObject([[{ status: 'audited' }], [[undefined, undefined]]])
})
