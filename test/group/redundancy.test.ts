/** What a group sends beside its queries. */

import { expect, it } from 'vitest'
import { type CodingContext, toMix } from '../../src/group/redundancy'
import { Scheme } from '../../src/scheme'
import { query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

/** Of three queries, of which two have no answer yet: which are mixed. */
function mixed({ policy = 'auto', utilisation = 0, isWorth = true, missing = [0, 2], stragglers = 2 }) {
  const members = [1, 2, 3].map((x) => ({ payload: payloadOf(query(x)), caller: { choices: { policy } } }))
  const codec = { schemeFor: (queries: number) => new Scheme({ queries, stragglers }) }
  const context = { pool: { utilisation }, copies: { worthIt: isWorth }, codec, lateness: {} }
  return toMix(members as never, missing, context as never as CodingContext)
}

it('parities are of all that have no answer, where machines are free and parities pay', () => {
  expect(mixed({})).toEqual([0, 2])
  expect(mixed({ utilisation: 0.85 })).toEqual([0, 2])
  expect(mixed({ utilisation: 0.86 })).toEqual([])
  expect(mixed({ isWorth: false })).toEqual([])
  expect(mixed({ missing: [] })).toEqual([])
  expect(mixed({ stragglers: 0 })).toEqual([])
})

it('callers that only recover were promised an answer: they have them however busy machines are', () => {
  expect(mixed({ policy: 'recover', utilisation: 1, isWorth: false })).toEqual([0, 2])
  expect(mixed({ policy: 'recover', missing: [] })).toEqual([])
})
