/**
 * The paper's rows and decoder with another locator, which needs half the workers: K + 2E + 1 results.
 * The authors' script Workstation-MNIST-Approximate-error-locator.py.
 */

import { mostVoted, queryNodes, workerNodes } from './algebra.js'
import * as paper from './berrut.js'

export const workers = (k, s, e) => (e ? k + 2 * e + 1 : k) + s
export const needs = (k, _s, e) => (e ? k + 2 * e + 1 : k)
export const { encode, decode } = paper

/**
 * Lies are the zeros of a locator L. With auxiliary nodes b, the answers have a numerator P over the queries' nodes and b, and
 * P(z) - y L(z) = 0 at the survivors' nodes z, as nearly as can be for coefficients of unit length.
 */
export function locate(outputs, survivors, e, k, n) {
  const [alpha, b] = [queryNodes(k), queryNodes(e + 1)]
  const z = survivors.map((i) => apart(workerNodes(n)[i], [...alpha, ...b]))
  const alternating = (nodes, at) => nodes.map((node, i) => (i % 2 ? -1 : 1) / (at - node))
  const sum = (terms) => terms.reduce((all, term) => all + term, 0)
  const rows = z.map((at) => {
    const locator = alternating(b, at)
    const scale = sum(alternating(alpha, at)) * sum(locator) // G(z) = g_K(z) g_t(z)
    return {
      numerator: [...alpha, ...b].map((node) => 1 / (at - node) / scale),
      locator: locator.map((term) => term / sum(locator)),
    }
  })
  return mostVoted(outputs, survivors, e, (y) => {
    const A = rows.map(({ numerator, locator }, i) => [...numerator, ...locator.map((term) => -y[i] * term)])
    const l = smallestVector(A).slice(-b.length)
    return rows.map(({ locator }) => Math.abs(sum(locator.map((term, j) => term * l[j]))))
  })
}

/** A place beside a pole. */
const apart = (z, poles) => (poles.some((pole) => Math.abs(z - pole) < 1e-9) ? z + 1e-7 : z)

/** The right singular vector of the smallest singular value: columns are turned in pairs until all are orthogonal (Hestenes, 1958). */
function smallestVector(A) {
  const n = A[0].length
  const columns = Array.from({ length: n }, (_, j) => A.map((row) => row[j]))
  const V = columns.map((_, j) => columns.map((_, i) => Number(i === j)))
  const dot = (a, b) => a.reduce((all, value, i) => all + value * b[i], 0)
  const turn = (all, p, q, cos, sin) => {
    const [a, b] = [all[p], all[q]]
    all[p] = a.map((value, i) => cos * value - sin * b[i])
    all[q] = a.map((value, i) => sin * value + cos * b[i])
  }
  for (let sweep = 0; sweep < 30; sweep++) {
    let turned = false
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const [pp, qq, pq] = [dot(columns[p], columns[p]), dot(columns[q], columns[q]), dot(columns[p], columns[q])]
        if (Math.abs(pq) <= 1e-14 * Math.sqrt(pp * qq)) continue
        turned = true
        const zeta = (qq - pp) / (2 * pq)
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta))
        const cos = 1 / Math.hypot(1, t)
        turn(columns, p, q, cos, cos * t)
        turn(V, p, q, cos, cos * t)
      }
    }
    if (!turned) break
  }
  const lengths = columns.map((column) => dot(column, column))
  return V[lengths.indexOf(Math.min(...lengths))]
}
