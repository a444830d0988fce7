/** Sums and small dense linear algebra of the JavaScript core: the specification of assembly/linalg.ts and of every sum in lanes. */

import { notDefinite } from './core'

const { abs, fround, max, sqrt } = Math

/**
 * Adds four rows at a time, so that the output is read and written a quarter as often. Zero is added first, as in WASM.
 *
 * @param first  index of the first row's weight
 */
export function weightedSum(out: Float32Array, weights: Float32Array, rows: readonly Float32Array[], first = 0): void {
  const k = rows.length
  const d = out.length
  let j = 0
  for (; j + 4 <= k; j += 4) {
    const [a, b, c, e] = [rows[j], rows[j + 1], rows[j + 2], rows[j + 3]]
    const at = first + j
    const [p, q, r, s] = [weights[at], weights[at + 1], weights[at + 2], weights[at + 3]]
    for (let i = 0; i < d; i++) {
      out[i] = fround(
        fround(fround(fround(out[i] + fround(p * a[i])) + fround(q * b[i])) + fround(r * c[i])) + fround(s * e[i]),
      )
    }
  }
  for (; j < k; j++) {
    const row = rows[j]
    const w = weights[first + j]
    for (let i = 0; i < d; i++) out[i] = fround(out[i] + fround(w * row[i]))
  }
}

/** Element i goes to lane i mod 4; the lanes are added at the end. */
export function dot(a: Float32Array, b: Float32Array): number {
  const d = a.length
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 4 <= d; i += 4) {
    s0 += a[i] * b[i]
    s1 += a[i + 1] * b[i + 1]
    s2 += a[i + 2] * b[i + 2]
    s3 += a[i + 3] * b[i + 3]
  }
  if (i < d) s0 += a[i] * b[i]
  if (i + 1 < d) s1 += a[i + 1] * b[i + 1]
  if (i + 2 < d) s2 += a[i + 2] * b[i + 2]
  return s0 + s1 + s2 + s3
}

/** |a - b|² in f32. Element i goes to lane i mod 12; the lanes are added as in assembly/distances.ts. */
export function distance(a: Float32Array, b: Float32Array): number {
  const lanes = new Float32Array(12)
  for (let i = 0, lane = 0; i < a.length; i++) {
    const d = fround(a[i] - b[i])
    lanes[lane] += fround(d * d)
    lane = lane === 11 ? 0 : lane + 1
  }
  const [s0, s1, s2, s3] = [0, 1, 2, 3].map((l) => fround(fround(lanes[l] + lanes[l + 4]) + lanes[l + 8]))
  return fround(fround(fround(s0 + s1) + s2) + s3)
}

/** |row|². Element c goes to lane c mod 8; the lanes are added at the end. */
export function square(row: Float64Array): number {
  const lanes = new Float64Array(8)
  for (let c = 0; c < row.length; c++) lanes[c & 7] += row[c] * row[c]
  return lanes.reduce((sum, lane) => sum + lane)
}

const TINY = 1e-15
const STEPS = 200
const MIN_NORMAL = 2.2250738585072014e-308

/** Householder QR in place on the first n columns; reflectors are applied to the columns that follow. */
export function qr(a: Float64Array[], n: number): void {
  const m = a[0].length
  for (let j = 0; j < n; j++) {
    const v = a[j]
    let square = 0
    for (let i = j; i < m; i++) square += v[i] * v[i]
    if (square === 0) continue
    const head = v[j]
    const r = head > 0 ? -sqrt(square) : sqrt(square)
    const beta = 1 / (square - head * r)
    v[j] = head - r
    for (let c = j + 1; c < a.length; c++) {
      const target = a[c]
      let dot = 0
      for (let i = j; i < m; i++) dot += v[i] * target[i]
      const s = beta * dot
      for (let i = j; i < m; i++) target[i] = target[i] - s * v[i]
    }
    v[j] = r
  }
}

function smallest(a: Float64Array[], n: number): number {
  let most = 0
  for (let j = 0; j < n; j++) most = max(most, abs(a[j][j]))
  return most * TINY
}

export function backSubstitute(a: Float64Array[], n: number, count: number): Float64Array {
  const floor = smallest(a, n)
  const x = new Float64Array(n)
  for (let i = n - 1; i >= n - count; i--) {
    let value = a[n][i]
    for (let j = i + 1; j < n; j++) value -= a[j][i] * x[j]
    x[i] = abs(a[i][i]) > floor ? value / a[i][i] : 0
  }
  return x
}

export function smallestSingularVector(a: Float64Array[]): Float64Array {
  const n = a.length
  const floor = max(smallest(a, n), MIN_NORMAL)
  const x = new Float64Array(n)
  const next = new Float64Array(n)
  for (let j = 0; j < n; j++) {
    if (abs(a[j][j]) < floor) a[j][j] = floor
    x[j] = 1 + j / n
  }
  normalise(x)
  for (let step = 0; step < STEPS; step++) {
    for (let i = 0; i < n; i++) {
      let value = x[i]
      for (let j = 0; j < i; j++) value -= a[i][j] * next[j]
      next[i] = value / a[i][i]
    }
    normalise(next)
    for (let i = n - 1; i >= 0; i--) {
      let value = next[i]
      for (let j = i + 1; j < n; j++) value -= a[j][i] * next[j]
      next[i] = value / a[i][i]
    }
    normalise(next)
    let cosine = 0
    for (let i = 0; i < n; i++) {
      cosine += x[i] * next[i]
      x[i] = next[i]
    }
    if (1 - abs(cosine) < 1e-15) break
  }
  return x
}

function normalise(x: Float64Array): void {
  let square = 0
  for (const value of x) square += value * value
  const length = sqrt(square)
  for (let i = 0; i < x.length; i++) x[i] /= length
}

/** Rows of the Cholesky factor of kernel + noise * mean(diag) * I; only the lower triangle is valid. */
export function choleskyFactor(kernel: Float64Array, n: number, noise: number): Float64Array[] {
  let diagonal = 0
  for (let i = 0; i < n; i++) diagonal += kernel[i * n + i]
  const a = Array.from({ length: n }, (_, i) => kernel.slice(i * n, (i + 1) * n))
  for (let i = 0; i < n; i++) a[i][i] += noise * (diagonal / n)
  for (let i = 0; i < n; i++) if (!choleskyRow((k) => a[k], i)) throw notDefinite()
  return a
}

type RowOf = (i: number) => Float64Array

/** @returns false if the matrix is not positive definite up to this row */
function choleskyRow(a: RowOf, i: number): boolean {
  const row = a(i)
  for (let j = 0; j <= i; j++) {
    const other = a(j)
    let value = row[j]
    for (let k = 0; k < j; k++) value -= row[k] * other[k]
    if (j < i) row[j] = value / other[j]
    else if (value > 0) row[i] = sqrt(value)
    else return false
  }
  return true
}

/** One of the 3 n steps of an inversion: n rows of the factor, then n of each substitution. @returns false if the matrix is not positive definite */
export function inverseStep(inverse: RowOf, l: RowOf, n: number, step: number): boolean {
  if (step < n) return choleskyRow(l, step)
  const isFirst = step < 2 * n
  const i = isFirst ? step - n : 3 * n - 1 - step
  const row = inverse(i)
  if (isFirst) row.fill(0).fill(1, i, i + 1)
  if (isFirst) for (let k = 0; k < i; k++) addRow(row, inverse(k), -l(i)[k])
  else for (let k = i + 1; k < n; k++) addRow(row, inverse(k), -l(k)[i])
  for (let c = 0; c < n; c++) row[c] /= l(i)[i]
  return true
}

/** The inverse of the matrix with the Cholesky factor l. */
export function invert(l: Float64Array[]): Float64Array[] {
  const n = l.length
  const inverse = l.map(() => new Float64Array(n))
  for (let step = n; step < 3 * n; step++)
    inverseStep(
      (i) => inverse[i],
      (i) => l[i],
      n,
      step,
    )
  return inverse
}

/** target += factor * row. */
export function addRow(target: Float64Array, row: ArrayLike<number>, factor: number): void {
  for (let c = 0; c < target.length; c++) target[c] += factor * row[c]
}
