/** Logistic regression, by what defines it: the mode of the posterior, and the curvature there. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { type Examples, fitted, logOdds, sigmoid, standardised } from '../../src/memory/logistic'
import { finished } from '../../src/memory/steps'

const core = await loadCore()
const random = seeded(7)
const rows = Array.from({ length: 200 }, () => [3 + 2 * random.gauss(), 0.1 * random.gauss(), 5])
const examples: Examples = {
  ...standardised(rows),
  targets: rows.map(([a, b]) => Number(random.next() < sigmoid(a - 3 + 8 * b))),
  counts: rows.map((_, i) => 0.5 + (i % 3)),
  offsets: Float64Array.from(rows, (_, i) => ((i % 5) - 2) / 4),
}
const width = 4

/** Log of the posterior, but for a constant. */
function posterior(weights: ArrayLike<number>): number {
  const { xs, targets, counts, offsets } = examples
  let log = -0.5 * (0.01 * weights[0] ** 2 + weights[1] ** 2 + weights[2] ** 2 + weights[3] ** 2)
  for (let k = 0; k < targets.length; k++) {
    let odds = offsets[k]
    for (let i = 0; i < width; i++) odds += weights[i] * xs[k * width + i]
    log += counts[k] * Math.log(targets[k] ? sigmoid(odds) : 1 - sigmoid(odds))
  }
  return log
}

const moved = (weights: Float64Array, i: number, by: number) => weights.map((w, at) => w + Number(at === i) * by)

describe('the weights', () => {
  it('are the most probable ones', () => {
    const { weights } = finished(fitted(core, examples))
    for (let i = 0; i < width; i++) {
      const slope = (posterior(moved(weights, i, 1e-4)) - posterior(moved(weights, i, -1e-4))) / 2e-4
      expect(Math.abs(slope)).toBeLessThan(1e-3)
    }
    expect(weights[1]).toBeGreaterThan(0.5)
    expect(weights[3]).toBe(0) // of an input that never varies
  })

  it('have the covariance of the curvature there', () => {
    const { weights, covariance } = finished(fitted(core, examples))
    const h = 1e-3
    const curvature = (i: number, j: number) => {
      const at = (a: number, b: number) => posterior(moved(moved(weights, i, a * h), j, b * h))
      return -(at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h * h)
    }
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        let product = 0
        for (let k = 0; k < width; k++) product += curvature(i, k) * covariance[k * width + j]
        expect(product).toBeCloseTo(Number(i === j), 2)
      }
    }
  })

  it('are found in few steps, in fewer from near them', () => {
    let steps = 0
    const counting = { ...core, inverse: (matrix: Float64Array) => [steps++, core.inverse(matrix)][1] as Float64Array }
    const { weights } = finished(fitted(counting, examples))
    expect(steps).toBeLessThan(8)
    const before = steps
    expect(finished(fitted(counting, examples, weights)).weights[1]).toBeCloseTo(weights[1], 5)
    expect(steps - before).toBe(1)
  })
})

describe('inputs', () => {
  it('have mean 0 and variance 1 behind a leading 1, or are 0', () => {
    const { xs, means, scales } = standardised([[1, 5], [3, 5]]) // biome-ignore format: one line
    expect([...xs]).toEqual([1, -1, 0, 1, 1, 0])
    expect([...means, ...scales]).toEqual([2, 5, 1, 0])
    expect([...standardised([[1], [5]]).scales]).toEqual([0.5])
  })
})

it('log odds are nearer to 0 the less certain the weights are', () => {
  const fit = { means: Float64Array.of(1), scales: Float64Array.of(2), weights: Float64Array.of(0.5, 3) }
  const certain = { ...fit, covariance: new Float64Array(4) }
  expect(logOdds(certain, [2])).toBeCloseTo(0.5 + 3 * 2)
  const covariance = Float64Array.of(0.1, 0.2, 0.2, 0.4)
  const variance = 0.1 + 2 * 2 * 0.2 + 4 * 0.4
  expect(logOdds({ ...fit, covariance }, [2])).toBeCloseTo(6.5 / Math.sqrt(1 + (Math.PI * variance) / 8))
})
