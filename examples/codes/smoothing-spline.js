/**
 * Natural cubic splines, and smoothing ones in the decoder, in Reinsch's form.
 * Moradi, Tahmasebi, Maddah-Ali, "Coded Computing for Resilient Distributed Computing" (LeTCC), NeurIPS 2024; Reinsch, Numer. Math. 10, 1967.
 */

import { leastSquares, linear, queryNodes } from './algebra.js'

/** Chebyshev points of the second kind: no query node lies outside them. */
const endToEnd = (n) => Array.from({ length: n }, (_, i) => (n > 1 ? Math.cos((i * Math.PI) / (n - 1)) : 1))

/**
 * A code whose decoder smooths.
 *
 * @param smoothing  λ: weight of the curvature; 0 interpolates
 */
export const splineCode = (smoothing) =>
  linear({
    workers: (k, s) => k + s,
    needs: (k) => k,
    encode: (k, n) => splineWeights(queryNodes(k), endToEnd(n), 0),
    decode: (survivors, k, n) =>
      splineWeights(
        survivors.map((i) => endToEnd(n)[i]),
        queryNodes(k),
        smoothing,
      ),
  })

/**
 * Weights of the values at `nodes` (descending) in the spline through them, for each place of `at`. (R + nλQᵀQ)γ = Qᵀy, the fitted values
 * are y - nλQγ, γ the second derivatives; linear outside the nodes.
 */
function splineWeights(nodes, at, smoothing) {
  const x = [...nodes].reverse()
  const n = x.length
  const unit = (i) => x.map((_, j) => Number(i === j))
  if (n === 1) return at.map(() => [1])
  const h = x.slice(1).map((value, i) => value - x[i])
  const inner = [...Array(n - 2).keys()]
  const Qt = inner.map((i) => x.map((_, j) => [1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]][j - i] ?? 0))
  const factor = n * smoothing
  const system = inner.map((i) =>
    inner.map((j) => {
      const own = i === j ? (h[i] + h[i + 1]) / 3 : Math.abs(i - j) === 1 ? h[Math.max(i, j)] / 6 : 0
      return own + factor * Qt[i].reduce((sum, value, c) => sum + value * Qt[j][c], 0)
    }),
  )
  const none = x.map(() => 0)
  const bends = n > 2 ? [none, ...leastSquares(system, Qt), none] : [none, none]
  const fitted = x.map((_, i) =>
    unit(i).map((value, c) => value - factor * inner.reduce((sum, g) => sum + Qt[g][i] * bends[g + 1][c], 0)),
  )
  return at.map((z) => {
    const i = Math.max(
      0,
      Math.min(
        n - 2,
        x.findLastIndex((node) => node <= z),
      ),
    )
    const [left, right] = [z - x[i], x[i + 1] - z]
    const isInside = left >= 0 && right >= 0
    return x
      .map((_, c) => {
        const line = (left * fitted[i + 1][c] + right * fitted[i][c]) / h[i]
        if (!isInside) return line + outside(left, right, h[i], bends[i][c], bends[i + 1][c])
        const [a, b] = [1 + left / h[i], 1 + right / h[i]]
        return line - (left * right * (a * bends[i + 1][c] + b * bends[i][c])) / 6
      })
      .reverse()
  })
}

/** What the slope at the end adds to the line through the last two values. */
function outside(left, right, h, before, after) {
  return left < 0 ? (-left * h * (2 * before + after)) / 6 : (-right * h * (before + 2 * after)) / 6
}

/** The best of 1e-7 to 1e-3 on MNIST LeNet; from 1e-5 on a larger one loses right answers. */
export default splineCode(1e-6)
