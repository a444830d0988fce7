import { describe, expect, it } from 'vitest'
import { seeded } from '../src/random'
import { Budget } from '../src/serving/budget'
import { type Lack, type Standing, standing, verdict } from '../src/serving/decision'
import { Lateness } from '../src/serving/lateness'
import { Line } from '../src/serving/line'

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
    [{ moment: 'late' as const, recovery: sure }, 'give'],
    [{ moment: 'late' as const, recovery: unsure }, 'ask'],
    [{ moment: 'lost' as const, asked: false }, 'ask'],
    [{ moment: 'lost' as const, asked: false, mayAsk: false }, 'fail'],
    [{ moment: 'lost' as const, asked: false, mayAsk: false, recovery: sure }, 'give'],
    [{ moment: 'due' as const }, 'fail'],
    [{ moment: 'due' as const, recovery: unknown }, 'give'],
    [{ moment: 'due' as const, recovery: sure, policy: 'retry' as const }, 'fail'],
  ])('%o: %s', (lack, expected) => expect(of(lack)).toBe(expected))
})

it('lateness: the quantiles of the last 500 times, as sorting would give them', () => {
  const random = seeded(1)
  const lateness = new Lateness(0.95)
  const times: number[] = []
  for (let i = 0; i < 2000; i++) {
    const ms = i % 7 ? Math.floor(20 * random.next()) : 100 * random.next() // some are equal
    times.push(ms)
    lateness.see(ms)
    const last = times.slice(-500).sort((a, b) => a - b)
    const at = (share: number) => (last.length < 50 ? undefined : last[Math.floor(share * (last.length - 1))])
    expect([lateness.lateMs, lateness.medianMs]).toEqual([at(0.95), at(0.5)])
  }
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

it('a line: first come, first served, whoever leaves in the middle', () => {
  const random = seeded(2)
  const line = new Line<number>()
  let model: { item: number; place: number }[] = []
  for (let step = 0; step < 5000; step++) {
    const what = random.next()
    if (what < 0.5 || !model.length) model.push({ item: step, place: line.push(step) })
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
