/** What a query that was alone tells of its recovery. */

import { expect, it } from 'vitest'
import { queryReport } from '../../src/query/prediction'

it.each([
  ['where the first answer will do, whether it was given or not', false, false, 1],
  ['where workers have to agree if it was given', true, true, 1],
  ['not where workers have to agree and one was enough: each query is looked up', true, false, 0],
] as const)('a recovery is told %s', (_, isProven, given, count) => {
  const report = { query: 0, source: 'memory', given }
  const query = { vote: isProven ? {} : undefined, asked: [], caller: { ending: 'exact' }, recovery: { report } }
  const told = queryReport(query as never, { acceptance: { needed: 2 }, core: 'js' } as never)
  expect(told).toMatchObject({ queries: 1, quorum: 2, outcome: 'decoded', recoveries: Array(count).fill(report) })
})
