/** What a group sends beside its queries. */

import { expect, it } from 'vitest'
import { type CodingContext, toMix } from '../../src/group/redundancy'
import { Scheme } from '../../src/scheme'
import { query } from '../shared/house'
import { payloadOf } from '../shared/vectors'

/** Of three queries, of which two have no answer yet: which are mixed. */
function mixed({ policy = 'auto', utilisation = 0, memory = 'cold', missing = [0, 2], stragglers = 1 }) {
  const members = [1, 2, 3].map((x) => ({ payload: payloadOf(query(x)), caller: { choices: { policy } } }))
  const codec = { schemeFor: (queries: number) => new Scheme({ queries, stragglers }) }
  const context = { pool: { utilisation }, codec, learning: { experience: { memory } } }
  return toMix(members as never, missing, context as never as CodingContext)
}

it('parities are of all that have no answer, where machines are free', () => {
  expect(mixed({})).toEqual([0, 2])
  expect(mixed({ utilisation: 0.85 })).toEqual([0, 2])
  expect(mixed({ utilisation: 0.86 })).toEqual([])
  expect(mixed({ missing: [] })).toEqual([])
  expect(mixed({ stragglers: 0 })).toEqual([])
})

it('none is sent where a warm memory recovers more, nor where each would be a copy of a query', () => {
  expect(mixed({ memory: 'warm' })).toEqual([])
  expect(mixed({ memory: 'none' })).toEqual([0, 2])
  expect(mixed({ stragglers: 2 })).toEqual([])
  expect(mixed({ missing: [1] })).toEqual([])
})

it('callers that only recover were promised an answer: they have them however busy machines are, and whatever is remembered', () => {
  expect(mixed({ policy: 'recover', utilisation: 1 })).toEqual([0, 2])
  expect(mixed({ policy: 'recover', memory: 'warm', missing: [1] })).toEqual([1])
  expect(mixed({ policy: 'recover', missing: [] })).toEqual([])
  expect(mixed({ policy: 'recover', stragglers: 0 })).toEqual([])
})
