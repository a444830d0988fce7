/** What the policy is told of a query's attempts. */

import { expect, it } from 'vitest'
import { newAsked, type Purpose } from '../../src/query/asked'
import type { Context } from '../../src/query/context'
import { factsOf, recoveryOf } from '../../src/query/facts'
import type { Query } from '../../src/query/query'
import { QueryRecovery } from '../../src/query/recovery'

const ages = { giveMs: 15, hedgeMs: 20 }

/** Of attempts that began at these times; NaN: it is queued. */
function facts(now: number, ...all: [startedAt: number, purpose?: Purpose][]) {
  return factsWith({}, now, ...all)
}

/** @param available  workers that may yet be asked @param hasBudget  for hedges */
function factsWith(
  { available = 1, hasBudget = true, isOverloaded = false },
  now: number,
  ...all: [startedAt: number, purpose?: Purpose][]
) {
  const asked = all.map(([startedAt, purpose = 'first'], row) => {
    const phase = Number.isNaN(startedAt) ? 'queued' : 'running'
    return newAsked({ phase, startedAt, factor: 1 } as never, purpose, row)
  })
  const query = {
    asked,
    caller: { dueAt: 1000, choices: { policy: 'auto', minConfidence: 0.9, atDeadline: 'fail' } },
    recovery: new QueryRecovery(0, undefined),
    inquiry: { available },
  }
  const context = {
    lateness: { ages, medianMs: 10 },
    recoveries: { has: true },
    hedges: { has: hasBudget },
    pool: { isOverloaded },
    mostLost: 2,
  }
  return factsOf(query as never as Query, context as never as Context, now)
}

const NEVER = Number.POSITIVE_INFINITY

it.each([
  ['the next of them, while both may answer yet', 10, 20],
  ['the second, when the first is overdue', 25, 50],
  ['the second, at the moment at which the first is overdue', 20, 50],
  ['never, when both are', 50, NEVER],
] as const)('when an attempt will be overdue next, of one that began at 0 and one at 30: %s', (_, now, slowAt) => {
  expect(facts(now, [0], [30, 'proof']).slowAt).toBe(slowAt)
})

it('a recovery may be given when the first attempt is late, another worker asked when the last is, unless one is queued', () => {
  expect(facts(40, [0], [30, 'hedge'])).toMatchObject({ giveAt: 15, hedgeAt: 50, live: 2 })
  expect(facts(40, [0], [Number.NaN, 'hedge'])).toMatchObject({ giveAt: 15, hedgeAt: NEVER, live: 2 })
  expect(facts(40, [0], [30, 'trial'])).toMatchObject({ hedgeAt: 20, live: 1 }) // nobody waits for it
})

it('a worker more is asked for a late one while the budget lasts and there is one, three times at most', () => {
  const hedge = [10, 'hedge'] as [number, Purpose]
  const others: [number, Purpose][] = [[10, 'trial'], [10, 'retry'], [10, 'proof']] // biome-ignore format: one line
  expect(facts(40, [0], hedge, hedge, ...others).mayHedge).toBe(true)
  expect(facts(40, [0], hedge, hedge, hedge).mayHedge).toBe(false)
  expect(factsWith({ available: 0 }, 40, [0]).mayHedge).toBe(false)
  expect(factsWith({ hasBudget: false }, 40, [0]).mayHedge).toBe(false)
  expect(factsWith({ isOverloaded: true }, 40, [0]).mayHedge).toBe(false)
})

it('there is a recovery once there is an answer in it', () => {
  expect(facts(40, [0]).recovery).toBeUndefined()
  const recovery = new QueryRecovery(0, undefined)
  const query = { recovery, asked: [] }
  expect(recoveryOf(query as never as Query)).toBeUndefined()
  const answer = Float32Array.of(1)
  recovery.decoded({ recoveries: [{ answer, source: 'code', missing: 1 }], isMixed: true, missing: 1 })
  expect(recoveryOf(query as never as Query)).toBe(recovery)
})
