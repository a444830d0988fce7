/** The report of a group. */

import { expect, it } from 'vitest'
import type { Ending } from '../src/prediction'
import { groupReport, undecided } from '../src/report'
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
