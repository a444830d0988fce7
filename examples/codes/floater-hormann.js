/**
 * Floater and Hormann's rational interpolant of degree D instead of Berrut's, which is that of degree 0.
 * Floater, Hormann, "Barycentric rational interpolation with no poles and high rates of approximation", Numer. Math. 107, 2007, eq. 18.
 */

import { linear, queryNodes, scaled, workerNodes } from './algebra.js'

const D = 1

/** w_i = sum over the windows of D + 1 neighbours that have node i, m the first: (-1)^m times the product of 1 / (x_i - x_j) over the others. */
function weights(x) {
  const d = Math.min(D, x.length - 1)
  return x.map((own, i) => {
    let sum = 0
    for (let m = Math.max(0, i - d); m <= Math.min(i, x.length - 1 - d); m++) {
      const others = x.slice(m, m + d + 1).filter((each) => each !== own)
      sum += others.reduce((product, each) => product / (own - each), m % 2 ? -1 : 1)
    }
    return sum
  })
}

export default linear({
  workers: (k, s) => k + s,
  needs: (k) => k,
  encode: (k, n) => workerNodes(n).map((z) => scaled(queryNodes(k), z, weights(queryNodes(k)))),
  decode: (survivors, k, n) => {
    const nodes = survivors.map((i) => workerNodes(n)[i])
    return queryNodes(k).map((z) => scaled(nodes, z, weights(nodes)))
  },
})
