/** Log odds that a recovery is right, were its errors normal: by the tables of the normal distribution. */

import { describe, expect, it } from 'vitest'
import { lead } from '../../src/base/criterion'
import { choiceLead, withinOdds } from '../../src/memory/odds'

/** Log odds of a probability. */
const logit = (p: number) => Math.log(p / (1 - p))

describe('that an error stays within the tolerance', () => {
  it.each([
    [0.5, 0.382925],
    [1, 0.682689],
    [1.96, 0.950004],
    [3, 0.9973],
  ])('of %d standard deviations', (times, probability) => {
    expect(withinOdds(1, times)).toBeCloseTo(logit(probability), 4)
  })

  it('whatever the unit', () => {
    for (const unit of [1e-30, 1e-12, 1e12, 1e30]) expect(withinOdds(unit, 2 * unit)).toBeCloseTo(withinOdds(1, 2), 9)
  })

  it('of none is certain, of one without a tolerance certainly not', () => {
    expect(withinOdds(0, 1)).toBeGreaterThan(8)
    expect(withinOdds(1e-9, 1e9)).toBe(withinOdds(0, 1))
    expect([withinOdds(0, 0), withinOdds(1, 0), withinOdds(1, Number.NaN)]).toEqual([8, -8, -8])
    expect(withinOdds(1e9, 1)).toBeLessThan(-15)
    expect(withinOdds(1e30, 1)).toBeGreaterThan(-50) // and finite
  })
})

describe('that the largest value is the largest in truth', () => {
  const odds = (answer: number[], error: number, positions = 1) =>
    choiceLead(Float32Array.from(answer), { kind: 'label', positions, classes: answer.length / positions }, error).odds

  it.each([
    [[1, 0], 1, 0.76025],
    [[0, 2], 1, 0.92135],
    [[1, 0], 2, 0.63817],
  ] as const)('of %j, each off by %d', (answer, error, probability) => {
    expect(odds([...answer], error)).toBeCloseTo(logit(probability), 3) // Phi(difference / (error * sqrt 2))
  })

  it('the margin that comes with it is that over the runner-up, at the position where it is least', () => {
    const answer = Float32Array.of(3, 1, 2.5, 0, -1, 7)
    for (const positions of [1, 2]) {
      const labels = { kind: 'label', positions, classes: 6 / positions } as const
      expect(choiceLead(answer, labels, 1).margin).toBe(lead(answer, labels).margin)
    }
  })

  it('the three next ones are rivals, of each position', () => {
    const beats = (difference: number) => 1 / (1 + Math.exp(-odds([difference, 0], 1)))
    expect(odds([3, 1, 2, 0, -1, -1], 1)).toBeCloseTo(logit(beats(1) * beats(2) * beats(3)), 6)
    expect(odds([1, 0, 0, 2], 1, 2)).toBeCloseTo(logit(beats(1) * beats(2)), 6)
  })
})
