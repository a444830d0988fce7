/** Inverts a matrix in steps. */

import { paced, perStep } from './steps'

/**
 * The inverse of a symmetric positive definite n x n matrix, in place. Unlike `core.inverse` it works in steps: by Gauss-Jordan sweeps over the lower
 * triangle (Goodnight, "A tutorial on the SWEEP operator", The American Statistician, 1979).
 */
export function* inverted(matrix: Float64Array, n: number): Generator<void> {
  const line = new Float64Array(n)
  yield* paced(n, perStep((n * n) / 2), (k) => sweep(matrix, line, k))
  yield* paced(n, perStep(n), (i) => {
    for (let j = 0; j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = -matrix[i * n + j]
  })
}

/** Unrolled by four, since half of the time of choosing a metric is spent here. */
function sweep(matrix: Float64Array, line: Float64Array, k: number): void {
  const n = line.length
  for (let j = 0; j < n; j++) line[j] = j <= k ? matrix[k * n + j] : matrix[j * n + k]
  const pivot = 1 / line[k]
  for (let i = 0; i < n; i++) {
    const factor = line[i] * pivot
    const at = i * n
    let j = 0
    for (; j + 3 <= i; j += 4) {
      matrix[at + j] -= factor * line[j]
      matrix[at + j + 1] -= factor * line[j + 1]
      matrix[at + j + 2] -= factor * line[j + 2]
      matrix[at + j + 3] -= factor * line[j + 3]
    }
    for (; j <= i; j++) matrix[at + j] -= factor * line[j]
  }
  for (let j = 0; j < n; j++) matrix[j <= k ? k * n + j : j * n + k] = line[j] * pivot
  matrix[k * n + k] = -pivot
}
