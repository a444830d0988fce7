import { expect, it } from 'vitest'
import { Budget } from '../../src/layers/query-share'
import { TimeBudget } from '../../src/memory/time-budget'
import { VirtualClock } from '../../src/testing/virtual-clock'

it('a budget: a share of the queries, and no more than its burst is saved up', () => {
  const budget = new Budget(0.25, 2)
  const taken = (queries: number) => {
    let count = 0
    for (let i = 0; i < queries; i++) {
      budget.earn()
      if (!budget.has) continue
      budget.take()
      count++
    }
    return count
  }
  expect(taken(400)).toBe(2 + 100 - 1) // the first query finds the burst full already
  for (let i = 0; i < 1000; i++) budget.earn()
  expect(taken(4)).toBe(2)
  expect(new Budget(0, 10).has).toBe(false)
})

it('a budget saves up its share of the queries that are under way together, for as long as they are', () => {
  const budget = new Budget(0.25, 2)
  const left = () => {
    let count = 0
    for (; budget.has; count++) budget.take()
    return count
  }
  for (let i = 0; i < 1000; i++) budget.earn(100)
  expect(left()).toBe(25)
  for (let i = 0; i < 1000; i++) budget.earn(100)
  budget.earn(1)
  expect(left()).toBe(2)
})

it('a time budget: a share of all time, and no more than its burst is saved up', () => {
  const clock = new VirtualClock()
  const budget = new TimeBudget(clock, () => 0.1, 20)
  budget.take(25)
  expect([budget.has, budget.waitMs]).toEqual([false, 50])
  clock.spend(51)
  expect(budget.has).toBe(true)
  clock.spend(1e6)
  expect(budget.has).toBe(true)
  budget.take(20)
  expect(budget.has).toBe(false)
})
