/**
 * rows of W · X as a good engineer writes it in JavaScript: four rows at a time, each along memory. Sums run in the engine's f64 and are
 * rounded when stored, which is faster than rounding every step.
 */
export function unrolled(weights: Float32Array, rows: readonly Float32Array[]): Float32Array[] {
  const k = rows.length
  return Array.from({ length: weights.length / k }, (_, i) => {
    const y = new Float32Array(rows[0].length)
    let j = 0
    for (; j + 4 <= k; j += 4) {
      const [a, b, c, d] = [rows[j], rows[j + 1], rows[j + 2], rows[j + 3]]
      const at4 = i * k + j
      const [p, q, r, s] = [weights[at4], weights[at4 + 1], weights[at4 + 2], weights[at4 + 3]]
      for (let at = 0; at < y.length; at++) y[at] += p * a[at] + q * b[at] + r * c[at] + s * d[at]
    }
    for (; j < k; j++) {
      const w = weights[i * k + j]
      const x = rows[j]
      for (let at = 0; at < y.length; at++) y[at] += w * x[at]
    }
    return y
  })
}
