import { expect, it } from 'vitest'
import { Budget, Extras, TimeBudget } from '../../src/query/budget'
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

it('extras that save nobody are sent by one group in fifty only; when they save again, by all', () => {
  const extras = new Extras()
  const groups = (count: number, saves: boolean) => {
    let sent = 0
    for (let i = 0; i < count; i++) {
      if (!extras.worthIt) continue
      extras.send()
      if (saves) extras.save()
      sent++
    }
    return sent
  }
  expect(groups(20, false)).toBe(20) // nothing is known yet
  groups(30, false)
  expect(groups(1000, false)).toBe(20)
  groups(400, true)
  expect(groups(100, true)).toBe(100)
})

it.each([
  ['one in eight', 8, 400],
  ['one in fifteen: by one group in fifty', 15, 8],
] as const)('extras that save %s are sent by as many groups as that is worth', (_, every, sent) => {
  const extras = new Extras()
  let [all, last] = [0, 0]
  for (let i = 0; i < 2000; i++) {
    if (!extras.worthIt) continue
    extras.send()
    if (++all % every === 0) extras.save()
    if (i >= 1600) last++
  }
  expect(last).toBe(sent)
})
