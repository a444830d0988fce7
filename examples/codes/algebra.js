/** Arithmetic that several of these codes share: nodes, Berrut's interpolant, weighted sums, least squares, votes. */

/** The paper's query nodes: K Chebyshev points of the first kind. */
export const queryNodes = (k) => Array.from({ length: k }, (_, j) => Math.cos(((2 * j + 1) * Math.PI) / (2 * k)))

/** The worker nodes of the paper's experiments: cos(iπ/N). (Its text has cos(iπ/(N - 1)).) */
export const workerNodes = (n) => Array.from({ length: n }, (_, i) => (i ? Math.cos((i * Math.PI) / n) : 1))

/** Weights of the nodes in Berrut's rational interpolant at z: (-1)^i / (z - node i), scaled to the sum 1. */
export const berrutWeights = (nodes, z) =>
  scaled(
    nodes,
    z,
    nodes.map((_, i) => (i % 2 ? -1 : 1)),
  )

/** Barycentric weights w_i / (z - node i), scaled to the sum 1; at a node its own weight alone. */
export function scaled(nodes, z, w) {
  const hit = nodes.findIndex((node) => Math.abs(z - node) < 1e-12)
  if (hit >= 0) return nodes.map((_, i) => Number(i === hit))
  const terms = nodes.map((node, i) => w[i] / (z - node))
  const sum = terms.reduce((all, term) => all + term, 0)
  return terms.map((term) => term / sum)
}

/** A code whose rows and answers are weighted sums; the weights of a survivor set are computed once. */
export function linear({ workers, needs, encode, decode, locate }) {
  const cache = new Map()
  const cached = (key, make) => {
    if (!cache.has(key)) cache.set(key, make())
    return cache.get(key)
  }
  return {
    workers,
    needs,
    encode: (queries, n) => {
      const k = queries.length
      return cached(`${k} of ${n}`, () => encode(k, n)).map((weights) => weightedSum(weights, queries))
    },
    decode: (outputs, survivors, k, n) =>
      cached(`${k} of ${n}: ${survivors}`, () => decode(survivors, k, n)).map((weights) =>
        weightedSum(weights, outputs),
      ),
    ...(locate && { locate }),
  }
}

/** In 32 bits, added in the order of the rows. */
export function weightedSum(weights, rows) {
  const out = new Float32Array(rows[0].length)
  weights.forEach((exact, j) => {
    const weight = Math.fround(exact)
    if (weight) for (let i = 0; i < out.length; i++) out[i] += Math.fround(weight * rows[j][i])
  })
  return out
}

/** X with the least |A X - B|², by Householder reflections. A has at least as many rows as columns; B has its rows. */
export function leastSquares(A, B) {
  const rows = A.map((row, i) => [...row, ...B[i]])
  const columns = A[0].length
  for (let c = 0; c < columns; c++) {
    const length = Math.hypot(...rows.slice(c).map((row) => row[c])) * (rows[c][c] > 0 ? -1 : 1)
    const v = rows.map((row, i) => (i < c ? 0 : row[c] - (i === c ? length : 0)))
    const square = v.reduce((sum, value) => sum + value * value, 0)
    if (!square) continue
    for (let j = c; j < rows[0].length; j++) {
      const factor = (2 * v.reduce((sum, value, i) => sum + value * rows[i][j], 0)) / square
      for (let i = c; i < rows.length; i++) rows[i][j] -= factor * v[i]
    }
  }
  const X = Array.from({ length: columns }, () => B[0].map(() => 0))
  for (let i = columns - 1; i >= 0; i--) {
    for (let b = 0; b < B[0].length; b++) {
      let value = rows[i][columns + b]
      for (let j = i + 1; j < columns; j++) value -= rows[i][j] * X[j][b]
      X[i][b] = value / rows[i][i]
    }
  }
  return X
}

/** T_0(z) .. T_(count - 1)(z), Chebyshev's polynomials: powers of z would lose their digits beyond some fifteen. */
export function chebyshev(z, count) {
  const T = [1, z]
  while (T.length < count) T.push(2 * z * T.at(-1) - T.at(-2))
  return T.slice(0, count)
}

/**
 * The survivors with the most votes. Each class gives e votes, one to each of its most suspected survivors.
 *
 * @param suspicion  from a class's values, one by survivor, to a number by survivor; the smaller, the more suspected
 */
export function mostVoted(outputs, survivors, e, suspicion) {
  const votes = survivors.map(() => 0)
  for (let c = 0; c < outputs[0].length; c++) {
    const y = outputs.map((output) => output[c])
    if (y.every((value) => value === y[0])) continue
    const scores = suspicion(y)
    for (const i of ranked(scores, (a, b) => a - b).slice(0, e)) votes[i]++
  }
  return ranked(votes, (a, b) => b - a)
    .slice(0, e)
    .map((i) => survivors[i])
}

/** Places of the values in order; of equal ones the first comes first. */
const ranked = (values, order) => [...values.keys()].sort((a, b) => order(values[a], values[b]))
