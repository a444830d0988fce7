import { describe, expect, it } from 'vitest'
import { Deque } from '../../src/deque'
import { Budget, Extras, TimeBudget } from '../../src/query/budget'
import { type Lack, type Standing, standing, verdict } from '../../src/query/decision'
import { Lateness, LateWatch } from '../../src/query/lateness'
import { seeded } from '../../src/random'
import { VirtualClock } from '../../src/testing/virtual-clock'

describe('a group', () => {
  const at = (given: Partial<Standing>) =>
    standing({ rule: 'fastest', answers: 3, outstanding: 2, quorum: 4, unmade: 0, ...given })

  it.each([
    [{}, 'wait'],
    [{ answers: 4 }, 'decode'],
    [{ answers: 4, rule: 'deadline' as const }, 'wait'],
    [{ answers: 4, rule: 'deadline' as const, outstanding: 0 }, 'decode'],
    [{ unmade: 1 }, 'decode'],
    [{ outstanding: 1 }, 'wait'],
    [{ outstanding: 0 }, 'hopeless'],
    [{ answers: 0, outstanding: 0, unmade: 5 }, 'decode'],
  ])('%o: %s', (given, expected) => expect(at(given)).toBe(expected))
})

describe('a query without an answer of its own', () => {
  const sure = { confidence: 0.95 }
  const unsure = { confidence: 0.5 }
  const unknown = { confidence: undefined }
  const of = (lack: Partial<Lack>) =>
    verdict({
      policy: 'auto',
      minConfidence: 0.9,
      moment: 'decoded',
      recovery: undefined,
      asked: true,
      decodable: false,
      mayAsk: true,
      atDeadline: 'fail',
      ...lack,
    })

  it.each([
    [{ recovery: sure }, 'give'],
    [{ recovery: unsure }, 'wait'],
    [{ recovery: unknown }, 'wait'],
    [{ recovery: unsure, policy: 'recover' as const }, 'give'],
    [{ recovery: sure, policy: 'retry' as const }, 'wait'],
    [{ recovery: unsure, asked: false }, 'ask'],
    [{ policy: 'recover' as const, asked: false }, 'fail'],
    [{ policy: 'recover' as const, asked: false, decodable: true }, 'wait'],
    [{ moment: 'late' as const }, 'ask'],
    [{ moment: 'late' as const, mayAsk: false }, 'wait'],
    [{ moment: 'late' as const, recovery: sure }, 'wait'],
    [{ moment: 'late' as const, recovery: unsure }, 'ask'],
    [{ moment: 'late' as const, policy: 'recover' as const, recovery: unsure }, 'wait'],
    [{ moment: 'late' as const, policy: 'retry' as const, recovery: sure }, 'ask'],
    [{ moment: 'overdue' as const, recovery: sure }, 'give'],
    [{ moment: 'overdue' as const, policy: 'recover' as const, recovery: unsure }, 'give'],
    [{ moment: 'overdue' as const, recovery: unsure }, 'ask'],
    [{ moment: 'overdue' as const, recovery: unsure, mayAsk: false }, 'wait'],
    [{ moment: 'lost' as const, asked: false }, 'ask'],
    [{ moment: 'lost' as const, asked: false, decodable: true }, 'ask'],
    [{ moment: 'lost' as const, asked: false, mayAsk: false }, 'fail'],
    [{ moment: 'lost' as const, asked: false, mayAsk: false, recovery: sure }, 'give'],
    [{ moment: 'due' as const }, 'fail'],
    [{ moment: 'due' as const, recovery: sure }, 'give'],
    [{ moment: 'due' as const, recovery: unsure }, 'fail'],
    [{ moment: 'due' as const, recovery: unknown }, 'fail'],
    [{ moment: 'due' as const, recovery: unknown, atDeadline: 'give' as const }, 'give'],
    [{ moment: 'due' as const, recovery: unknown, policy: 'recover' as const }, 'give'],
    [{ moment: 'due' as const, recovery: sure, policy: 'retry' as const }, 'fail'],
  ])('%o: %s', (lack, expected) => expect(of(lack)).toBe(expected))
})

it('lateness: the quantiles of the last 500 times, as sorting would give them; of less than 50 three medians, of less than 10 none', () => {
  const random = seeded(1)
  const lateness = new Lateness(0.95)
  const times: number[] = []
  for (let i = 0; i < 2000; i++) {
    const ms = i % 7 ? Math.floor(20 * random.next()) : 100 * random.next() // some are equal
    times.push(ms)
    lateness.see(ms)
    const last = times.slice(-500).sort((a, b) => a - b)
    const at = (share: number) => last[Math.floor(share * (last.length - 1))]
    const late = last.length < 10 ? undefined : last.length < 50 ? 3 * at(0.5) : at(0.95)
    expect([lateness.lateMs, lateness.medianMs]).toEqual([late, last.length < 10 ? undefined : at(0.5)])
  }
})

it('only those are told late that still wait, in the order in which they came, also where what is late is known later', async () => {
  const clock = new VirtualClock()
  const lateness = new Lateness(0.95)
  const told: number[] = []
  const watch = new LateWatch<{ since: number }>(clock, lateness, ({ since }) => told.push(since))
  const places = [0, 1, 2, 3, 4].map((since) => watch.add({ since }))
  watch.remove(places[0])
  watch.remove(places[3])
  for (let i = 0; i < 10; i++) lateness.see(10) // what takes 30 ms is late
  await clock.run(31)
  expect(told).toEqual([1])
  watch.remove(places[1]) // answered after it was late
  await clock.run()
  expect(told).toEqual([1, 2, 4])
})

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

it('a deque: first come, first served, whoever leaves in the middle or comes back', () => {
  const random = seeded(2)
  const line = new Deque<number>()
  let model: { item: number; place: number }[] = []
  for (let step = 0; step < 5000; step++) {
    const what = random.next()
    if (what < 0.4 || !model.length) model.push({ item: step, place: line.push(step) })
    else if (what < 0.5)
      model.unshift({ item: step, place: line.unshift(step) }) // one that was taken back
    else if (what < 0.8) {
      line.remove(model[0].place)
      model = model.slice(1)
    } else {
      const at = random.below(model.length)
      line.remove(model[at].place)
      line.remove(model[at].place) // twice harms nothing
      model.splice(at, 1)
    }
    expect([line.size, line.first]).toEqual([model.length, model[0]?.item])
  }
  expect([...line]).toEqual(model.map(({ item }) => item))
  expect(line.find(0, 1e6, (item) => item === model.at(-1)?.item)).toBe(model.at(-1)?.item)
  while (line.size) line.shift()
  expect(line.first).toBeUndefined()
})
