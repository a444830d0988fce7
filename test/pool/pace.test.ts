/** What attempts took tells the chance of one to be answered in time. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { ServiceTimes } from '../../src/pool/speed'

function paceOf(deviation: number, count = 5000) {
  const [pace, random] = [new ServiceTimes(), seeded(4)]
  for (let i = 0; i < count; i++) {
    const log = Math.log(10) + deviation * random.gauss()
    pace.add(Math.exp(log), 1)
    pace.see(log)
  }
  return pace
}

it('nothing is known before twenty have been answered, and nobody is refused for it', () => {
  const pace = paceOf(0.1, 19)
  expect([pace.meanMs, pace.chance(1)]).toEqual([undefined, 1])
  expect(paceOf(0.1, 20).meanMs).toBeCloseTo(10, 0)
})

it.each([
  [0.1, 9, 0.15],
  [0.1, 10, 0.5],
  [0.1, 12, 0.97],
  [1, 10, 0.5],
  [1, 30, 0.86],
])('of lognormal times with deviation %d around 10 ms, within %d ms: about %d', (deviation, ms, share) => {
  expect(Math.abs(paceOf(deviation).chance(ms) - share)).toBeLessThan(0.1)
  expect(paceOf(deviation).chance(0)).toBe(0)
})

it('within two deviations of the mean are 97.7 of 100 lognormal times', () => {
  const pace = new ServiceTimes()
  for (let i = 0; i < 1000; i++) {
    pace.add(10, 1)
    pace.see(Math.log(10) + (i % 2 ? 1 : -1))
  }
  for (const [deviations, share] of [
    [2, 0.9772],
    [1, 0.8413],
    [-2, 0.0228],
  ]) {
    expect(Math.abs(pace.chance(10 * Math.exp(deviations)) - share)).toBeLessThan(0.004)
  }
})

it('times that hardly differ are not taken for certain', () => {
  const pace = paceOf(0)
  expect(pace.chance(10.2)).toBeLessThan(0.8)
  expect(pace.chance(11)).toBeGreaterThan(0.99)
})

it('rows of one run share the time that it takes', () => {
  const pace = new ServiceTimes()
  for (let run = 0; run < 100; run++) pace.add(5, 8) // 40 ms
  expect(pace.meanMs).toBeCloseTo(5)
  expect(pace.rows).toBeCloseTo(8, 1)
  for (let run = 0; run < 1000; run++) pace.add(20, 1)
  expect(pace.meanMs).toBeCloseTo(20)
  expect(pace.rows).toBeCloseTo(1, 1)
})
