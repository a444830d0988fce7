/** From which budget a query is looked up. */

import { expect, it } from 'vitest'
import type { Policy } from '../../src/choices'
import type { Context } from '../../src/query/context'
import { lookUp } from '../../src/query/lookup'
import type { Query } from '../../src/query/query'
import { QueryRecovery } from '../../src/query/recovery'
import { query } from '../shared/house'

const NOW = 100

/** Whether a query is looked up from what is kept for those that would get an error. */
function isLast({ policy, isLive, dueAt }: { policy: Policy; isLive: boolean; dueAt: number }) {
  const looks: boolean[] = []
  const learning = { experience: { memory: 'warm' }, look: (_: unknown, due: boolean) => looks.push(due) }
  const asked = isLive ? [{ attempt: { phase: 'running' } }] : []
  const caller = { dueAt, choices: { policy, minConfidence: 0.9 } }
  const recovery = new QueryRecovery(0, undefined)
  lookUp({ recovery, caller, asked, payload: query(1) } as never as Query, { learning } as never as Context, NOW, () => {}) // biome-ignore format: one line
  return looks
}

it.each([
  ['late: it may be answered yet', { policy: 'recover', isLive: true, dueAt: 200 }, false],
  [
    'lost, where another worker is asked if nothing is remembered',
    { policy: 'auto', isLive: false, dueAt: 200 },
    false,
  ],
  ['lost, where no other worker is asked', { policy: 'recover', isLive: false, dueAt: 200 }, true],
  ['at its deadline', { policy: 'auto', isLive: true, dueAt: NOW }, true],
] as const)('looks for late queries leave none of theirs to those that would get an error: %s', (_, query, last) => {
  expect(isLast(query)).toEqual([last])
})

it('a lookup of a late query that was confident enough to be given was worth its time', () => {
  const judgements: boolean[] = []
  const look = (...all: unknown[]) => (all.at(-1) as (said: unknown) => void)({ answer: query(2), source: 'memory' })
  const best = ([recovery]: unknown[]) => ({ recovery, confidence: 0.95 })
  const experience = { memory: 'warm', confidence: { best } }
  const learning = { experience, look, judge: (isSure: boolean) => judgements.push(isSure) }
  const caller = { dueAt: 200, choices: { policy: 'auto', minConfidence: 0.9 } }
  const recovery = new QueryRecovery(0, experience as never)
  const own = { recovery, caller, asked: [], payload: query(1) }
  lookUp(own as never as Query, { learning } as never as Context, NOW, () => {})
  expect([judgements, recovery.confidence]).toEqual([[true], 0.95])
})

it('a query waits for the lookups of others until 20 ms after its deadline, and no longer', () => {
  let now = NOW
  let isWanted = (): boolean => false
  const look = (_: unknown, __: boolean, wanted: () => boolean) => {
    isWanted = wanted
  }
  const caller = { dueAt: NOW, isOpen: true, choices: { policy: 'auto', minConfidence: 0.9 } }
  const own = { recovery: new QueryRecovery(0, undefined), caller, asked: [], payload: query(1) }
  const context = { learning: { experience: { memory: 'warm' }, look }, clock: { now: () => now } }
  lookUp(own as never as Query, context as never as Context, NOW, () => {})
  const wanted = [0, 20, 21].map((ms) => {
    now = NOW + ms
    return isWanted()
  })
  expect(wanted).toEqual([true, true, false])
  now = NOW
  caller.isOpen = false
  expect(isWanted()).toBe(false)
})

it('what a query was told of before an identity’s answers were forgotten is not given: it may follow from these', () => {
  const best = ([recovery]: unknown[]) => ({ recovery, confidence: 1 })
  const recovery = new QueryRecovery(0, { confidence: { best } } as never)
  const decoded = { source: 'code', answer: Float32Array.of(1, 2), missing: 1 }
  recovery.remembered({ source: 'memory', answer: Float32Array.of(9, 9), error: 1 } as never)
  recovery.forget(false)
  expect([recovery.answer, recovery.lookup(0), recovery.lookup(1)]).toEqual([undefined, 'done', 'none'])
  recovery.decoded({ recoveries: [decoded as never], isMixed: true, missing: 1 })
  recovery.forget(false)
  expect(recovery.answer).toBe(decoded.answer)
  recovery.forget(true) // the group had its answer
  expect(recovery.answer).toBe(undefined)
})
