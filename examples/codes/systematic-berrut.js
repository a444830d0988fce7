/**
 * Berrut's interpolant with the queries themselves as the first K rows; only lost queries are decoded.
 * The authors' script WorkStation_MNIST_Systematic.py: N Chebyshev points, the first K of them are the queries' own.
 */

import { berrutWeights, linear, queryNodes } from './algebra.js'

export default linear({
  workers: (k, s) => k + s,
  needs: (k) => k,
  encode: (k, n) => {
    const points = queryNodes(n)
    return points.map((z) => berrutWeights(points.slice(0, k), z))
  },
  decode: (survivors, k, n) => {
    const points = queryNodes(n)
    const nodes = survivors.map((i) => points[i])
    return points.slice(0, k).map((z) => berrutWeights(nodes, z)) // a query that came is at its own node
  },
})
