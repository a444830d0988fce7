/** What a query that was alone tells of its recovery. */

import { expect, it } from 'vitest'
import { queryReport } from '../../src/report'
import { Tried } from '../../src/service'

it.each([
  ['where the first answer will do, whether it was given or not', 1, false, 1],
  ['where workers have to agree if it was given', 2, true, 1],
  ['not where workers have to agree and it was not given: each query is looked up', 2, false, 0],
] as const)('a recovery is told %s', (_, needed, given, count) => {
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
