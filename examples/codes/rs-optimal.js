/**
 * The paper's rows and decoder with the locator of Reed-Solomon codes, which needs the fewest results: K + 2E.
 * The authors' script Workstation_MNIST_remove2withRSdecoder.py: the rows' denominator is known and is cleared, then Berlekamp and Welch.
 */

import { chebyshev, leastSquares, mostVoted, queryNodes, workerNodes } from './algebra.js'
import * as paper from './berrut.js'

export const workers = (k, s, e) => k + 2 * e + s
export const needs = (k, _s, e) => k + 2 * e
export const { encode, decode } = paper

/** P(z) = y' Q(z) at the survivors' nodes, P of K + E coefficients, Q of degree E with the constant 1; y' is y times the denominator. */
export function locate(outputs, survivors, e, k, n) {
  const alpha = queryNodes(k)
  const z = survivors.map((i) => workerNodes(n)[i])
  const denominators = z.map((at) =>
    alpha.reduce((sum, _, j) => sum + alpha.reduce((all, a, i) => (i === j ? all : all * (at - a)), j % 2 ? -1 : 1), 0),
  )
  const powers = z.map((at) => Array.from({ length: e }, (_, j) => at ** (j + 1)))
  return mostVoted(outputs, survivors, e, (y) => {
    const cleared = y.map((value, i) => value * denominators[i])
    const A = z.map((at, i) => [...chebyshev(at, k + e), ...powers[i].map((power) => -cleared[i] * power)])
    const x = leastSquares(
      A,
      cleared.map((value) => [value]),
    ).slice(k + e)
    return powers.map((row) => Math.abs(row.reduce((sum, power, j) => sum + power * x[j][0], 1)))
  })
}
