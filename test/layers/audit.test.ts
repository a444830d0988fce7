/** Which answers are held against those of others, over a fake service. */

import { expect, it } from 'vitest'
import { audit } from '../../src/layers/audit'
import type { Service } from '../../src/service'
import { fakeService, listener, queryOf } from '../shared/fake-service'

function audited() {
  const { asked, service } = fakeService()
  const compared: string[][] = []
  const compare = (_: unknown, answered: readonly { identity?: string | undefined }[]) =>
    void compared.push(answered.map(({ identity }) => identity as string))
  const ask: Service = audit({ trust: { compare } })(service)
  return { asked, ask, compared, ...listener() }
}

it('an answer is compared once its caller has it, and so is a late one', () => {
  const { asked, ask, compared, log, caller } = audited()
  const query = queryOf()
  ask(query, { ...caller, settled: (outcome) => [caller.settled(outcome), expect(compared).toEqual([])] })
  asked[0].begin('a').answer(1)
  expect([compared, log]).toEqual([[['a']], ['began a', 'ended a', 'exact 1', 'done']])
})

it('one that comes when nobody waits any more is compared, unless the model was replaced meanwhile', () => {
  for (const why of ['left', 'teach', 'void'] as const) {
    const { asked, ask, compared, log, caller } = audited()
    const call = ask(queryOf(), caller)
    asked[0].begin('a')
    call.drop(why)
    asked[0].answer(1)
    expect([asked[0].dropped, compared]).toEqual([why, why === 'void' ? [] : [['a']]])
    expect(log).toEqual(['began a', 'ended a', 'done'])
  }
})

it('where two answered both are compared; failures are not', () => {
  const { asked, ask, compared, caller } = audited()
  const query = queryOf()
  const call = ask(query, caller)
  asked[0].begin('a')
  call.expire()
  expect(compared).toEqual([])
  asked[0].fail()
  expect(compared).toEqual([])
  const other = audited()
  other.ask(query, other.caller)
  other.asked[0].begin('b').answer(1)
  expect(other.compared).toEqual([['b']])
})
