/** The report of a group, and of a query that was alone. */

import { expect, it } from 'vitest'
import type { Ending } from '../src/base/prediction'
import { groupReport, queryReport, undecided } from '../src/report'
import { Tried } from '../src/service'

it.each([
  [['exact', 'recovered', 'checked', 'unverified'], 'decoded'],
  [['ABORTED', 'exact'], 'decoded'],
  [['exact', 'ABORTED'], 'decoded'],
  [['ABORTED', 'ABORTED'], 'ABORTED'],
  [['exact', 'DEADLINE', 'QUORUM'], 'DEADLINE'],
  [['ABORTED', 'QUORUM', 'exact'], 'QUORUM'],
  [[], 'ABORTED'],
] as [Ending[], string][])('a group whose queries ended as %j was %s', (endings, outcome) => {
  const queries = endings.map((ending) => Object.assign(new Tried(), { ending }))
  const scheme = { workers: 9, quorum: 8 }
  expect(groupReport(queries, [], { ...undecided, core: 'js', scheme }).outcome).toBe(outcome)
})

it.each([
  ['where the first answer will do, whether it was given or not', 1, false, 1],
  ['where workers have to agree if it was given', 2, true, 1],
  ['not where workers have to agree and it was not given: each query is looked up', 2, false, 0],
] as const)('a query that was alone tells its recovery %s', (_, needed, given, count) => {
  const recovery = { query: 0, source: 'memory', missing: 1, given } as const
  const told = queryReport(
    Object.assign(new Tried(), { attempts: [{}], recovery, ending: 'exact' } as never),
    'js',
    needed,
  )
  expect(told).toMatchObject({
    queries: 1,
    quorum: needed,
    outcome: 'decoded',
    recoveries: Array(count).fill(recovery),
  })
})
