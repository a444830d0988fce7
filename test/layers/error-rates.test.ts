import { expect, it } from 'vitest'
import {
  ALPHA,
  auditRate,
  binomialBelow,
  mostGiven,
  partBefore,
  poisson,
  poissonMean,
} from '../../src/layers/error-rates'

/** By products of probabilities, in logarithms. */
function exactBelow(k: number, count: number, a: number): number {
  let sum = 0
  for (let i = 0; i < Math.min(k, count + 1); i++) {
    let log = 0
    for (let j = 0; j < i; j++) log += Math.log((count - j) / (j + 1))
    sum += Math.exp(log + i * Math.log(a) + (count - i) * Math.log1p(-a))
  }
  return sum
}

it('sums of the binomial distribution are exact', () => {
  for (const [
    k,
    count,
    a,
  ] of [[1, 21, 0.13], [4, 24, 0.3], [16, 1016, 0.02], [96, 1096, 0.1], [3, 2, 0.5], [1, 1096, 0.9]] as const) // biome-ignore format: one line
    expect(binomialBelow(k, count, a)).toBeCloseTo(exactBelow(k, count, a), 10)
})

it('audit rates are those of the rule, and no lower one would do', () => {
  expect(auditRate(1, 20)).toBeCloseTo(1 - ALPHA ** (1 / 21), 10)
  for (const [catches, budget, rate] of [[1, 20, 0.1636], [4, 40, 0.188], [4, 80, 0.102], [16, 1000, 0.0244]] as const) // biome-ignore format: one line
    expect(auditRate(catches, budget)).toBeCloseTo(rate, 3)
  for (const catches of [1, 3, 16, 96]) {
    for (const budget of [5, 20, 80, 1000]) {
      const rate = auditRate(catches, budget)
      expect(exactBelow(catches, budget + catches, rate)).toBeLessThanOrEqual(ALPHA + 1e-9)
      expect(exactBelow(catches, budget + catches, 0.999 * rate)).toBeGreaterThan(ALPHA)
    }
  }
})

it('of a span that part comes before a catch that simulated catches leave', () => {
  expect(poisson(1, 2).above).toBeCloseTo(1 - Math.exp(-2), 12)
  expect(partBefore(1, 0)).toBe(1)
  // The first of a Poisson process of rate m on 0..1 comes at (1 - e^-m) / m in the mean.
  expect(partBefore(1, 3)).toBeCloseTo((1 - Math.exp(-3)) / 3, 10)
  expect(partBefore(50, 3)).toBeCloseTo(1, 10)
  for (const catches of [1, 4, 32]) expect(poisson(catches, poissonMean(catches, 0.35)).above).toBeCloseTo(0.35, 8)
})

it('what was given at most is the largest number that is not unlikely', () => {
  for (const [caught, rate] of [
    [0, 0.13],
    [0, 0.005],
    [3, 0.1],
    [12, 0.02],
  ] as const) {
    const most = mostGiven(caught, rate)
    expect(binomialBelow(caught + 1, most + caught, rate)).toBeGreaterThan(0.05)
    expect(binomialBelow(caught + 1, most + caught + 1, rate)).toBeLessThanOrEqual(0.05)
  }
})
