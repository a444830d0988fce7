/** What a query says of its answer. */

import { expect, it } from 'vitest'
import type { Ending } from '../../src/prediction'
import { outcomeOf, recoveredAnswer } from '../../src/query/prediction'

it.each([
  ['a worker began with it', [105], { queuedMs: 5, ranMs: 15 }],
  ['no worker did', [Number.NaN], { queuedMs: 20, ranMs: 0 }],
  ['no worker was asked', [], { queuedMs: 20, ranMs: 0 }],
] as const)('a recovery says how long its query waited, and how long workers were at it: %s', (_, startedAt, times) => {
  const asked = startedAt.map((at) => ({ purpose: 'first', attempt: { startedAt: at } }))
  const query = { asked, caller: { since: 100 }, recovery: { confidence: 0.9 } }
  const workers = [{ name: 'w' }] as never
  const given = recoveredAnswer(query as never, 120, workers)
  expect(given).toEqual({ status: 'recovered', confidence: 0.9, hedged: false, workers, ...times })
})

it.each([
  [['exact', 'recovered', 'checked', 'unverified'], 'decoded'],
  [['ABORTED', 'exact'], 'decoded'],
  [['exact', 'ABORTED'], 'decoded'],
  [['ABORTED', 'ABORTED'], 'ABORTED'],
  [['exact', 'DEADLINE', 'QUORUM'], 'DEADLINE'],
  [['ABORTED', 'QUORUM', 'exact'], 'QUORUM'],
  [[], 'ABORTED'],
] as [Ending[], string][])('a group whose queries ended as %j was %s', (endings, outcome) => {
  expect(outcomeOf(endings)).toBe(outcome)
})
