/** A random linear code: the queries themselves, then S parities with random weights; any K of the K + S rows decode. */

export const workers = (k, s) => k + s
export const needs = (k) => k

let rows = [] // weights of the last group's rows over its queries

export function encode(queries, n, random) {
  const k = queries.length
  const parity = () => {
    const weights = queries.map(() => random.next())
    const sum = weights.reduce((a, b) => a + b)
    return weights.map((weight) => weight / sum) // a mean stays in the range of the queries
  }
  rows = Array.from({ length: n }, (_, i) => (i < k ? queries.map((_, j) => Number(i === j)) : parity()))
  return rows.map((weights) => queries[0].map((_, i) => weights.reduce((sum, w, j) => sum + w * queries[j][i], 0)))
}

/** Gauss and Jordan: the survivors' weights become the unit matrix, and their outputs the answers. */
export function decode(outputs, survivors, k) {
  const matrix = survivors.slice(0, k).map((row, i) => [...rows[row], ...outputs[i]])
  for (let c = 0; c < k; c++) {
    const pivot = matrix.slice(c).reduce((best, row) => (Math.abs(row[c]) > Math.abs(best[c]) ? row : best))
    const at = matrix.indexOf(pivot)
    matrix[at] = matrix[c]
    matrix[c] = pivot.map((value) => value / pivot[c])
    matrix.forEach((row, i) => {
      if (i !== c && row[c]) matrix[i] = row.map((value, j) => value - row[c] * matrix[c][j])
    })
  }
  return matrix.map((row) => Float32Array.from(row.slice(k)))
}
