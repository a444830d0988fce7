/** How many rows of a group are answered, and how many it takes. */

import { expect, it } from 'vitest'
import { Standing } from '../../src/group/standing'
import { Scheme } from '../../src/scheme'

/** Three queries, two parities. */
const scheme = new Scheme({ queries: 3, stragglers: 2 })

it('a row counts once, however often it was answered', () => {
  const standing = new Standing()
  standing.made(5)
  expect([0, 1, 1, 0, 1].map((row) => standing.answer(row))).toEqual([true, true, false, false, false])
  expect(standing.isEnough(scheme)).toBe(false)
  expect([standing.answer(4), standing.isEnough(scheme)]).toEqual([true, true])
})

it('rows that were never made need no answer', () => {
  const standing = new Standing()
  standing.made(4)
  standing.answer(0)
  expect(standing.isEnough(scheme)).toBe(false)
  standing.answer(3)
  expect(standing.isEnough(scheme)).toBe(true)
})

it('it is hopeless where fewer may come than it takes; a query counts once, whoever is asked', () => {
  const live = (row: number) => ({ row, attempt: { phase: 'running' } })
  const member = (...rows: number[]) => ({ asked: rows.map(live), inquiry: { isLost: !rows.length } })
  const isHopeless = (members: ReturnType<typeof member>[], parities: number[], answered: number[] = []) => {
    const standing = new Standing()
    standing.made(5)
    for (const row of answered) standing.answer(row)
    return standing.isHopeless(scheme, members as never, parities.map(live) as never)
  }
  expect(isHopeless([member(0), member(1), member(2)], [])).toBe(false)
  expect(isHopeless([member(0), member(1), member()], [])).toBe(true)
  expect(isHopeless([member(0), member(), member()], [3, 4])).toBe(false)
  expect(isHopeless([member(0), member(), member()], [4], [3])).toBe(false)
  expect(isHopeless([member(0, 7, 8), member(), member()], [4])).toBe(true) // hedges are no rows of the code
  expect(isHopeless([member(), member(), member()], [], [0, 1, 3])).toBe(false)
})
