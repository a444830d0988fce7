/** Attempts that wait for a worker. */

import { expect, it } from 'vitest'
import type { Priority } from '../../src/pool/attempt'
import { PooledAttempt } from '../../src/pool/pooled-attempt'
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
