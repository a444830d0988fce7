/** Deadlines, over a fake service. */

import { expect, it } from 'vitest'
import { limit } from '../../src/layers/limit'
import { fakeService, listener, queryOf } from '../shared/fake-service'

it('a call expires when it is due', async () => {
  const { clock, asked, service } = fakeService()
  const { log, caller } = listener()
  limit({ clock })(service)(queryOf(), caller)
  asked[0].begin('a')
  await clock.run(999)
  expect(log).toEqual(['began a'])
  await clock.run(1000)
  asked[0].answer(1)
  expect(log).toEqual(['began a', 'DEADLINE', 'ended a', 'done'])
})

it('one that has not settled 30 ms after it was due is settled here, and dropped', async () => {
  const { clock, asked, service } = fakeService()
  const { log, caller } = listener()
  const deaf = limit({ clock })((query, own) => ({ ...service(query, own), expire() {} }))
  deaf(queryOf(), caller)
  asked[0].begin('a')
  await clock.run(1029)
  expect(log).toEqual(['began a'])
  await clock.run(1030)
  expect([log, asked[0].dropped]).toEqual([['began a', 'DEADLINE'], 'teach'])
})

it('one that was answered or dropped has no timer left', async () => {
  const { clock, asked, service } = fakeService()
  const [answered, dropped] = [listener(), listener()]
  limit({ clock })(service)(queryOf(), answered.caller)
  const call = limit({ clock })(service)(queryOf(), dropped.caller)
  asked[0].begin('a').answer(1)
  call.drop('left')
  await clock.run()
  expect(clock.now()).toBe(0)
  expect(answered.log).toEqual(['began a', 'ended a', 'exact 1', 'done'])
  expect(dropped.log).toEqual(['ended undefined', 'done'])
})

it('one without a deadline waits for ever', async () => {
  const { clock, service } = fakeService()
  limit({ clock })(service)(queryOf({ dueAt: Number.POSITIVE_INFINITY }), listener().caller)
  await clock.run()
  expect(clock.now()).toBe(0)
})
