/** What is known of answers that were given, for the day on which a worker is convicted. */

import { expect, it } from 'vitest'
import { GivenAnswers } from '../../src/trust/given-answers'

it('is of the last ones, the first first, each once', () => {
  const given = new GivenAnswers(undefined, undefined, 3)
  const places = [11, 12, 13, 14].map((id, i) => given.add(i % 2 ? 'b' : 'a', id, ''))
  given.prove(places[0]) // is forgotten: no other is taken for it
  const recall = (identity: string) => given.recall(identity).get('')?.ids ?? []
  expect([recall('a'), recall('a'), recall('b'), given.recalled]).toEqual([[13], [], [12, 14], 3])
})

it('is told by tenant, with when each was given', () => {
  let now = 1e12
  const given = new GivenAnswers(undefined, () => now++)
  for (const [id, tenant] of ['x', 'y', 'x', ''].entries()) given.add('a', id, tenant)
  expect([...given.recall('a')]).toEqual([
    ['x', { ids: [0, 2], times: [1e12, 1e12 + 2] }],
    ['y', { ids: [1], times: [1e12 + 1] }],
    ['', { ids: [3], times: [1e12 + 3] }],
  ])
})

it('takes some 32 bytes an answer, of a thousand workers and a million answers', () => {
  const given = new GivenAnswers()
  const names = Array.from({ length: 1000 }, (_, i) => `worker ${i}`)
  const before = process.memoryUsage()
  for (let i = 0; i < 1.5e6; i++) given.add(names[i % 1000], i, i % 2 ? 'x' : 'y')
  const after = process.memoryUsage()
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  expect(bytes).toBeLessThan(90e6) // and what growing arrays have left behind
  expect(given.recall('worker 7').get('x')?.ids.length).toBe(1000)
})
