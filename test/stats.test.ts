import { describe, expect, it } from 'vitest'
import { seeded } from '../src/base/random'
import {
  cusum,
  mean,
  median,
  moments,
  observe,
  RunningDeviation,
  rmsDifference,
  rootMeanSquare,
  wilson,
  withoutOutliers,
} from '../src/base/stats'
import { finished } from '../src/memory/steps'

const random = seeded(3)
const values = Float64Array.from({ length: 501 }, () => 5 + 2 * random.gauss())

describe('statistics', () => {
  it('of a list are those of the textbook', () => {
    const centre = values.reduce((a, b) => a + b) / values.length
    expect(mean(values)).toBe(centre)
    expect(median(values)).toBe([...values].sort((a, b) => a - b)[250])
    expect([median([]), median([2, 1]), median(new Set([9, 10, 1]))]).toEqual([undefined, 2, 9])
    const variance = mean(values.map((value) => (value - centre) ** 2))
    expect(moments(values).mean).toBe(centre)
    expect(moments(values).variance).toBeCloseTo(variance, 9)
    expect(moments([1e8, 1e8]).variance).toBe(0)
    expect(rootMeanSquare([3, -4])).toBe(Math.sqrt(12.5))
    expect(rmsDifference([1, 2, 3], [1, 4, 7])).toBe(Math.sqrt(20 / 3))
  })

  it('of a stream are those of the list while it fits the window, and follow it afterwards', () => {
    const running = { count: 0, mean: 0, variance: 0 }
    for (const value of values) observe(running, value, 1000)
    expect(running.count).toBe(501)
    expect(running.mean).toBeCloseTo(mean(values), 9)
    expect(running.variance).toBeCloseTo(moments(values).variance, 9)
    for (let i = 0; i < 10_000; i++) observe(running, -7, 1000)
    expect([running.count, running.mean.toFixed(2), running.variance < 0.1]).toEqual([1000, '-7.00', true])
  })

  it("Wilson's interval and one step of a CUSUM", () => {
    expect(wilson(0, 0)).toEqual([0, 1])
    expect(wilson(9, 10).map((end) => end.toFixed(3))).toEqual(['0.596', '0.982'])
    expect([cusum(0, 0.2, 0.5), cusum(1, 2, 0.5)]).toEqual([0, 2.5])
  })

  it('tell an outlier, alone and among others, until it is no longer rare', () => {
    const answers = Array.from({ length: 40 }, () => Float32Array.from({ length: 1000 }, () => random.gauss()))
    const deviation = new RunningDeviation()
    for (const answer of answers) deviation.add(answer)
    const far = answers[0].map((value) => value + 50)
    expect([deviation.isOutlier(far), deviation.isOutlier(answers[1])]).toEqual([true, false])
    expect(finished(withoutOutliers([...answers, far], (answer) => answer))).toEqual(answers)
    const mixed = [...answers, ...Array.from({ length: 10 }, () => far)]
    expect(finished(withoutOutliers(mixed, (answer) => answer))).toEqual(mixed)
  })
})
