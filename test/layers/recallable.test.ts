/** Ids of answers that may be recalled, over a fake service. */

import { expect, it } from 'vitest'
import { recallable } from '../../src/layers/recallable'
import { type Answer, type Service, stack } from '../../src/service'
import { failure, fakeService, listener, payload, queryOf } from '../shared/fake-service'

/** Each answer is given for what the test says, with an id of its own. */
function recalling(over: Partial<Answer>) {
  const { asked, service } = fakeService()
  const given: string[][] = []
  const give = (workers: readonly { name: string }[], tenant: string) => {
    if (!workers.length) return undefined
    const place = given.push([...workers.map(({ name }) => name), tenant]) - 1
    return { id: 100 + place, place }
  }
  const saying: Service = (query, caller) =>
    service(query, {
      began: (attempt) => caller.began?.(attempt),
      ended: (attempt) => caller.ended?.(attempt),
      settled: (outcome) => caller.settled(outcome.kind === 'answer' ? { ...outcome, ...over } : outcome),
      done: () => caller.done?.(),
    })
  return { asked, given, ask: stack(saying, recallable({ given: { give } })) }
}

it('are of what nothing proves, whose tenant is known, and where it is kept; all else is passed on', () => {
  const { asked, given, ask } = recalling({ status: 'audited', confidence: 0.4 })
  const { log, outcomes, caller } = listener()
  const query = queryOf({ turn: { rank: 1, tenant: 'mine' } })
  ask(query, caller)
  asked[0].begin('a').answer(5, 6)
  expect(outcomes).toEqual([{ kind: 'answer', answer: payload(5, 6), status: 'audited', confidence: 0.4, by: [asked[0]], id: 100 }]) // biome-ignore format: one line
  expect([given, query.tried.place]).toEqual([[['a', 'mine']], 0])
  expect(log).toEqual(['began a', 'ended a', 'audited 5,6', 'done'])
})

it('are of what was decoded from several workers’ answers, not of what a memory says', () => {
  const both = ['a', 'b'].map((name) => ({ worker: { name } }) as never)
  const decoded = recalling({ status: 'recovered', by: both })
  const { outcomes, caller } = listener()
  decoded.ask(queryOf(), caller)
  decoded.asked[0].begin('c').answer(5)
  expect([outcomes, decoded.given]).toMatchObject([[{ id: 100, by: both }], [['a', 'b', '']]])
  const recalled = recalling({ status: 'recovered', by: [] })
  const other = listener()
  const query = queryOf()
  recalled.ask(query, other.caller)
  recalled.asked[0].begin('c').answer(5)
  expect([other.outcomes, query.tried.place]).toMatchObject([[{ id: undefined }], undefined])
})

it('are of no exact answer, nor of a failure', () => {
  const { asked, given, ask } = recalling({ status: 'exact' })
  const [first, second] = [listener(), listener()]
  ask(queryOf(), first.caller)
  ask(queryOf(), second.caller)
  asked[0].begin('a').answer(5)
  asked[1].begin('a').fail()
  expect([first.outcomes, second.outcomes, given]).toMatchObject([[{ status: 'exact' }], [failure('WORKER', 'worker')], []]) // biome-ignore format: one line
  expect(first.outcomes[0]).not.toHaveProperty('id')
})

it('are the calls of the service beneath: it is dropped, and expires', () => {
  const { asked, ask } = recalling({})
  const { log, caller } = listener()
  ask(queryOf(), caller).drop('left')
  expect([asked[0].dropped, log]).toEqual(['left', ['ended undefined', 'done']])
  const other = listener()
  ask(queryOf(), other.caller).expire()
  expect(other.log[0]).toBe('DEADLINE')
})
