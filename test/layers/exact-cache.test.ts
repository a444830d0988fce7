/** Which answers are kept where there is no room for all. */

import { expect, it } from 'vitest'
import { Payload } from '../../src/base/payload'
import { ExactCache, keyOf } from '../../src/layers/exact-cache'

const ROOM = 100
const payload = (value: number) => new Payload([{ type: 'float32', shape: [1], data: Float32Array.of(value) }])
const by = { worker: { name: 'a' }, identity: 'a', startedAt: 0, ranMs: 1 }

function store() {
  const kept = new ExactCache({ bytes: ROOM * 1008 })
  const keep = (value: number) => {
    const query = payload(value)
    kept.keep(keyOf('', query), { tenant: '', query, answer: payload(-value), by })
  }
  const has = (value: number) => kept.find(keyOf('', payload(value)), payload(value)) !== undefined
  return { kept, keep, has }
}

it('the oldest go, those that were kept once more last, however many came and went', () => {
  const { kept, keep, has } = store()
  for (let i = 0; i < 10_000; i++) {
    keep(i)
    if (i % 10 === 0) keep(-1) // again and again
  }
  const found = Array.from({ length: 10_000 }, (_, i) => i).filter(has)
  expect([found[0], found.length, has(-1)]).toEqual([10_000 - (ROOM - 1), ROOM - 1, true])
  kept.clear()
  expect(has(9999)).toBe(false)
  for (let i = 0; i < 2 * ROOM; i++) keep(i)
  expect([has(ROOM - 1), has(ROOM), has(2 * ROOM - 1)]).toEqual([false, true, true])
})

it('one that is larger than the room for all is not kept, and none hangs', () => {
  const { kept, keep, has } = store()
  const query = new Payload([{ type: 'float32', shape: [ROOM * 1000], data: new Float32Array(ROOM * 1000) }])
  kept.keep('large', { tenant: '', query, answer: payload(0), by })
  expect(kept.find('large', query)).toBeUndefined()
  keep(1)
  expect(has(1)).toBe(true)
})

it('of a worker that lied its answers go, and those of other workers stay', () => {
  const { kept, keep, has } = store()
  keep(1)
  const query = payload(2)
  const other = { worker: { name: 'b' }, identity: 'b', startedAt: 0, ranMs: 1 }
  kept.keep(keyOf('', query), { tenant: '', query, answer: payload(-2), by: other })
  kept.forget({ identity: 'a' })
  expect([has(1), has(2)]).toEqual([false, true])
})
