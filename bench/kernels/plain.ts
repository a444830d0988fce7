/**
 * out = W · rows as one writes it in JavaScript, three ways. Sums run in the engine's f64 and are rounded
 * when stored, as plain code does; that is faster than rounding every step. Outputs are reused.
 */

/** A triple loop, one sum per output element. */
export function plain(out: Float32Array[], weights: Float32Array, rows: Float32Array[]): void {
  const k = rows.length
  for (let i = 0; i < out.length; i++) {
    for (let at = 0; at < out[i].length; at++) {
      let sum = 0
      for (let j = 0; j < k; j++) sum += weights[i * k + j] * rows[j][at]
      out[i][at] = sum
    }
  }
}

/** Row by row, additions into the output: every access runs along memory. */
export function ordered(out: Float32Array[], weights: Float32Array, rows: Float32Array[]): void {
  const k = rows.length
  for (let i = 0; i < out.length; i++) {
    const y = out[i].fill(0)
    for (let j = 0; j < k; j++) {
      const w = weights[i * k + j]
      const x = rows[j]
      for (let at = 0; at < y.length; at++) y[at] += w * x[at]
    }
  }
}

/** Four rows at a time. */
export function unrolled(out: Float32Array[], weights: Float32Array, rows: Float32Array[]): void {
  const k = rows.length
  for (let i = 0; i < out.length; i++) {
    const y = out[i].fill(0)
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
  }
}
