/** Attempts that wait for a worker. */

import { expect, it } from 'vitest'
import type { Payload } from '../../src/base/payload'
import type { Priority } from '../../src/pool/attempt'
import { PooledAttempt } from '../../src/pool/batch'
import { Queue } from '../../src/pool/queue'
import { row } from '../shared/batch-worker'

it('what is found behind others has so many before it, not counting those that left', () => {
  const queue = new Queue()
  const put = (priority: Priority) => {
    const attempt = new PooledAttempt(row(0, { priority }), 0)
    queue.push(attempt)
    return attempt
  }
  const [first, leaves, last] = [put('high'), put('high'), put('high')]
  const normal = [put('normal'), put('normal')]
  put('low')
  queue.remove(leaves)
  const found = [0, 1, 2, 3, 4].map((skip) => queue.find(skip, () => true))
  expect(found).toEqual([first, last, ...normal, undefined])
  expect(queue.find(0, (attempt) => attempt === normal[1])).toBe(normal[1])
})

function waiting(...all: [tenant: string, rank?: 0 | 1 | 2, weight?: number][]) {
  const queue = new Queue()
  for (const [i, [tenant, rank = 1, weight]] of all.entries()) {
    queue.push(new PooledAttempt(row(i, { turn: { rank, tenant, weight } }), 0))
  }
  return queue
}

/** In which order workers get them, as their numbers. */
function served(queue: Queue): number[] {
  const order: number[] = []
  for (let next = queue.find(0, () => true); next; next = queue.find(0, () => true)) {
    queue.remove(next, [next])
    order.push((next.payload as Payload).vector[0])
  }
  return order
}

it('tenants take turns, and of one the first come is the first served; a higher rank goes first', () => {
  const queue = waiting(['a'], ['a'], ['a'], ['b'], ['c'], ['b'], ['c', 2], ['b', 0])
  expect(queue.needed).toBe(8)
  expect(queue.first?.turn).toEqual({ rank: 0, tenant: 'b' })
  expect(served(queue)).toEqual([7, 0, 3, 4, 1, 5, 2, 6])
  expect([queue.needed, queue.first, queue.all]).toEqual([0, undefined, []])
})

it('a tenant of weight 3 has three turns for one of another, and so many fewer before it; what goes together is one turn', () => {
  const flood = (): [string, 1, number][] => Array.from({ length: 16 }, (_, i) => (i % 2 ? ['a', 1, 1] : ['b', 1, 3]))
  const order = served(waiting(...flood())).map((i) => (i % 2 ? 'a' : 'b'))
  expect(order.join('')).toBe('bbbabbbabbaaaaaa')
  const queue = waiting(...flood(), ...flood())
  expect(queue.before({ rank: 1, tenant: 'a' })).toBe(32)
  expect(queue.before({ rank: 1, tenant: 'b' })).toBeCloseTo((17 * 4) / 3)
  expect(queue.before({ rank: 1, tenant: 'c', weight: 2 })).toBe(2)
  let turns = ''
  for (let i = 0; i < 8; i++) {
    const { turn } = queue.first as PooledAttempt
    const batch = queue.all.filter((each) => each.turn.tenant === turn.tenant).slice(0, 2)
    for (const each of batch) queue.remove(each, batch)
    turns += turn.tenant
  }
  expect(turns).toBe('bbbabbba')
  expect(served(queue).length).toBe(16)
  expect(queue.before({ rank: 1, tenant: 'a' })).toBe(0)
})

it('who is cancelled costs its tenant no turn', () => {
  const queue = waiting(['a'], ['a'], ['b'])
  queue.remove(queue.first as PooledAttempt)
  expect(served(queue)).toEqual([1, 2])
})

it('whoever has turns left and something queued keeps it where another’s goes first, as past a worker that may take nothing else', () => {
  const queue = waiting(['a', 1, 3], ['a', 1, 3], ['a', 1, 3], ['b', 1, 1], ['b', 1, 1])
  const take = (tenant: string) => {
    const attempt = queue.find(0, ({ turn }) => turn.tenant === tenant) as PooledAttempt
    queue.remove(attempt, [attempt])
  }
  take('a')
  take('b')
  expect(served(queue).length).toBe(3)
})

it('a tenant that had nothing queued for the rest of its turns gives up its weight with them', () => {
  const queue = waiting(['a', 1, 3], ...Array.from({ length: 9 }, () => ['b', 1, 1] as [string, 1, number]))
  for (const tenant of ['a', 'b']) {
    const attempt = queue.first as PooledAttempt
    expect(attempt.turn.tenant).toBe(tenant)
    queue.remove(attempt, [attempt])
  }
  expect(queue.before({ rank: 1, tenant: 'c' })).toBe(1) // one of b's, whose weight is 1, as c's
})

it('how many go before one that comes now: of its own tenant all, of another as many at most as itself', () => {
  const queue = waiting(...Array.from({ length: 9 }, () => ['flood'] as [string]), ['b'], ['c', 0], ['c', 2])
  expect(queue.before({ rank: 1, tenant: 'flood' })).toBe(11) // all of rank 1, and the one above
  expect(queue.before({ rank: 1, tenant: 'new' })).toBe(3)
  expect(queue.before({ rank: 1, tenant: 'b' })).toBe(5)
  expect(queue.before({ rank: 0, tenant: 'b' })).toBe(1)
  expect(queue.before({ rank: 2, tenant: 'd' })).toBe(12)
  queue.push(new PooledAttempt(row(0, { priority: 'high' }), 0))
  queue.push(new PooledAttempt(row(0, { priority: 'low' }), 0))
  expect(queue.before({ rank: 0, tenant: 'b' })).toBe(2)
})

it('what is found behind others has so many of any tenant before it', () => {
  const queue = waiting(['a'], ['b'], ['a'], ['b'])
  const found = [0, 1, 2, 3, 4].map((skip) => (queue.find(skip, () => true)?.payload as Payload)?.vector[0])
  expect([found[0], found[4]]).toEqual([0, undefined])
  expect(found.slice(1, 4).every((x) => x > 0)).toBe(true)
})
