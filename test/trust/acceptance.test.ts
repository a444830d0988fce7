import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import { agreement } from '../../src/trust/acceptance'
import type { Equality } from '../../src/trust/equality'
import { payloadOf } from '../shared/vectors'

/** Numbers without labels, of a size of about 1: what is within .001 is the same, what is more than .3 off is no rounding. */
const numbers: Equality = {
  criterion: criterionOf([{ name: 'y', shape: [1] }]),
  outputs: [{}],
  rounding: 0.001,
  scales: [10],
}
const answers = (...values: number[]) => values.map((y) => payloadOf(Float32Array.of(y)))

describe('where E may lie E + 1 have to agree', () => {
  it.each([
    [1, [], { agreeing: [], isProven: false, lies: [], lacking: 2 }],
    [1, [5], { agreeing: [0], isProven: false, lies: [], lacking: 1 }],
    [1, [5, 5], { agreeing: [0, 1], isProven: true, lies: [], lacking: 0 }],
    [1, [5, 9], { agreeing: [0], isProven: false, lies: [], lacking: 1 }],
    [1, [9, 5, 5], { agreeing: [1, 2], isProven: true, lies: [0], lacking: 0 }],
    [1, [5, 9, 5, 7], { agreeing: [0, 2], isProven: true, lies: [1, 3], lacking: 0 }],
    [2, [5, 5], { agreeing: [0, 1], isProven: false, lies: [], lacking: 1 }],
    [2, [9, 9, 5, 5, 5], { agreeing: [2, 3, 4], isProven: true, lies: [0, 1], lacking: 0 }],
    [2, [9, 9, 5, 5], { agreeing: [0, 1], isProven: false, lies: [], lacking: 1 }], // who of two lies nobody can say
    [3, [5, 5, 5, 5, 5], { agreeing: [0, 1, 2, 3, 4], isProven: true, lies: [], lacking: 0 }],
  ])('E = %d, answers %j', (liars, values, judgement) => {
    expect(agreement(liars).needed).toBe(liars + 1)
    expect(agreement(liars).judge(answers(...values), numbers)).toEqual(judgement)
  })

  it('all who agree have to do so with one another, not each with the next', () => {
    const { agreeing, isProven } = agreement(2).judge(answers(0, 0.0008, 0.0016), numbers)
    expect([agreeing, isProven]).toEqual([[0, 1], false])
    expect(agreement(2).judge(answers(0.0008, 0, 0.0016), numbers).agreeing).toEqual([0, 1]) // nor each with the first
  })

  it('the largest set counts, wherever it begins', () => {
    expect(agreement(1).judge(answers(1, 2, 3, 3), numbers).agreeing).toEqual([2, 3])
    expect(agreement(1).judge(answers(1, 1, 3, 3), numbers).agreeing).toEqual([0, 1])
  })

  it('an answer that only one of those who agree is far from is no lie, also where no liar is expected', () => {
    const lies = (...values: number[]) => agreement(0).judge(answers(...values), numbers).lies
    expect([lies(0, 0.0009, 0.3005), lies(0, 0.0009, 0.3015)]).toEqual([[], [2]])
  })

  it('what is a little off is neither right nor a lie', () => {
    const { agreeing, lies } = agreement(1).judge(answers(0, 0, 0.02), numbers)
    expect([agreeing, lies]).toEqual([[0, 1], []])
  })
})
