/**
 * The paper's own scheme: Berrut's rational interpolant through the queries at the workers' nodes, and back; liars by its vote.
 * Soleymani, Ali, Mahdavifar, Avestimehr, "ApproxIFER", AAAI 2022: the encoder, the decoder, Algorithm 2.
 */

import { berrutWeights, chebyshev, leastSquares, linear, mostVoted, queryNodes, workerNodes } from './algebra.js'

export const { workers, needs, encode, decode } = linear({
  workers: (k, s, e) => (e ? 2 * (k + e) : k) + s,
  needs: (k, _s, e) => (e ? 2 * (k + e) : k),
  encode: (k, n) => workerNodes(n).map((z) => berrutWeights(queryNodes(k), z)),
  decode: (survivors, k, n) => {
    const nodes = survivors.map((i) => workerNodes(n)[i])
    return queryNodes(k).map((z) => berrutWeights(nodes, z))
  },
})

/**
 * For each class: polynomials P and Q of K + E coefficients, Q(0) = 1, with P(z) = y Q(z) at the survivors' nodes as nearly as can be. At a
 * lie Q is near 0.
 */
export function locate(outputs, survivors, e, k, n) {
  const T = survivors.map((i) => chebyshev(workerNodes(n)[i], k + e))
  const T0 = chebyshev(0, k + e)
  const terms = T.map((row) => row.slice(1).map((value, j) => value - T0[j + 1])) // each 0 at z = 0
  return mostVoted(outputs, survivors, e, (y) => {
    const A = T.map((row, i) => [...row, ...terms[i].map((term) => -term * y[i])])
    const x = leastSquares(
      A,
      y.map((value) => [value]),
    ).slice(k + e)
    return terms.map((row) => Math.abs(row.reduce((sum, term, j) => sum + term * x[j][0], 1)))
  })
}
