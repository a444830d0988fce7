import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { systemClock } from '../src/serving/clock'
import { Grouping } from '../src/serving/grouping'

let sent: number[][]
let ready: boolean
let grouping: Grouping<number>

beforeEach(() => {
  vi.useFakeTimers()
  sent = []
  ready = true
  grouping = new Grouping({ clock: systemClock, size: 3, ready: () => ready, send: (items) => sent.push(items) })
})

afterEach(() => {
  vi.useRealTimers()
})

it('sends a full group at once', () => {
  for (const item of [1, 2, 3, 4]) grouping.add(item, 10)
  expect(sent).toEqual([[1, 2, 3]])
})

it('sends a short group when its oldest query has waited maxWaitMs, not before', () => {
  grouping.add(1, 10)
  vi.advanceTimersByTime(6)
  grouping.add(2, 10)
  vi.advanceTimersByTime(3)
  expect(sent).toEqual([])
  vi.advanceTimersByTime(1)
  expect(sent).toEqual([[1, 2]])
  grouping.add(3, 10)
  vi.advanceTimersByTime(10)
  expect(sent).toEqual([[1, 2], [3]])
})

it('a hurried query takes the others along', () => {
  grouping.add(1, 10)
  grouping.add(2, 2)
  vi.advanceTimersByTime(2)
  expect(sent).toEqual([[1, 2]])
})

it('holds everything back while workers are not ready, in order, and looks again by itself', () => {
  ready = false
  for (const item of [1, 2, 3, 4]) grouping.add(item, 10)
  vi.advanceTimersByTime(100)
  expect(sent).toEqual([])
  ready = true
  grouping.pump()
  expect(sent).toEqual([[1, 2, 3], [4]])
  ready = false
  grouping.add(5, 10)
  vi.advanceTimersByTime(50)
  ready = true
  vi.advanceTimersByTime(10)
  expect(sent.at(-1)).toEqual([5])
})

it('forgets what is removed, and leaves no timer behind', () => {
  grouping.add(1, 10)
  grouping.add(2, 10)
  expect([grouping.remove(1), grouping.remove(1)]).toEqual([true, false])
  expect(grouping.clear()).toEqual([2])
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(100)
  expect(sent).toEqual([])
})

it('in a pool: the most urgent query and whom it chooses, when the pool is full or it is due', () => {
  const even = (items: readonly number[]) =>
    [...items.keys()].filter((at) => items[at] % 2 === items[0] % 2).slice(0, 3)
  grouping = new Grouping({
    clock: systemClock,
    size: 3,
    ready: () => ready,
    send: (items) => sent.push(items),
    pool: { size: 6, choose: even },
  })
  for (const item of [1, 2, 4, 6, 3]) grouping.add(item, 10)
  expect(sent).toEqual([])
  vi.advanceTimersByTime(5)
  grouping.add(5, 10)
  expect(sent).toEqual([[1, 3, 5]])
  grouping.add(7, 1) // the most urgent one
  vi.advanceTimersByTime(1)
  expect(sent.at(-1)).toEqual([7])
  vi.advanceTimersByTime(4)
  expect(sent.at(-1)).toEqual([2, 4, 6])
  expect(vi.getTimerCount()).toBe(0)
})
