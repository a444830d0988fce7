/** Kriging: answers as a Gaussian process over inputs, of which some were seen. */

import type { Core } from '../core/core'

/** `mix` of a linear kernel, the rest RBF of this `scale`, on inputs of mean square length 1; `noise` on the diagonal. */
export interface KrigingKernel {
  mix: number
  scale: number
  noise: number
}

export interface Kriged {
  /** One row per target: weights over the points seen; they sum to 1. */
  weights: Float64Array[]
  /** One per target: variance of the error in units of the answers' own. 0: a point seen; about 1: unlike all. */
  variance: Float64Array
}

/**
 * Ordinary kriging (Rasmussen, Williams, 2006, 2.7, with a constant mean).
 *
 * @param gram  of the points seen and then the targets (n², row-major); where its origin lies does not matter
 * @param seen  how many of the n points were seen, >= 1; the others are targets
 */
export function kriging(core: Core, gram: Float64Array, seen: number, kernel: KrigingKernel): Kriged {
  const n = Math.round(Math.sqrt(gram.length))
  const k = covariance(centred(gram, n, seen), n, seen, kernel)
  const a = new Float64Array(seen * seen)
  for (let i = 0; i < seen; i++) {
    for (let j = 0; j < seen; j++) a[i * seen + j] = k[i * n + j] + (i === j ? kernel.noise : 0)
  }
  const inverse = core.inverse(a)
  const row = (i: number) => inverse.subarray(i * seen, (i + 1) * seen)
  const sums = Float64Array.from({ length: seen }, (_, i) => row(i).reduce((sum, v) => sum + v))
  const total = sums.reduce((sum, v) => sum + v)
  const weights: Float64Array[] = []
  const variance = new Float64Array(n - seen)
  for (let t = seen; t < n; t++) {
    const to = k.subarray(t * n, t * n + seen)
    const simple = Float64Array.from({ length: seen }, (_, i) => dot(row(i), to))
    const rest = 1 - simple.reduce((sum, v) => sum + v)
    weights.push(simple.map((v, i) => v + (rest * sums[i]) / total))
    variance[t - seen] = Math.max(0, k[t * n + t] - dot(simple, to) + (rest * rest) / total)
  }
  return { weights, variance }
}

/** The Gram matrix with the mean of the points seen as origin. */
export function centred(gram: Float64Array, n: number, seen: number): Float64Array {
  const means = Float64Array.from({ length: n }, (_, i) => {
    let sum = 0
    for (let j = 0; j < seen; j++) sum += gram[i * n + j]
    return sum / seen
  })
  let mean = 0
  for (let i = 0; i < seen; i++) mean += means[i] / seen
  return gram.map((g, at) => g - means[Math.floor(at / n)] - means[at % n] + mean)
}

/** Kernel matrix of n points, of which the first `seen` set the scale: their mean diagonal becomes 1. */
export function covariance(gram: Float64Array, n: number, seen: number, { mix, scale }: KrigingKernel): Float64Array {
  let unit = 0
  for (let i = 0; i < seen; i++) unit += gram[i * n + i] / seen
  unit ||= 1 // all points alike: so are the distances
  const k = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const distance = Math.max(gram[i * n + i] + gram[j * n + j] - 2 * gram[i * n + j], 0) / unit
      const value = (mix * gram[i * n + j]) / unit + (1 - mix) * Math.exp(-distance / (2 * scale * scale))
      k[i * n + j] = k[j * n + i] = value
    }
  }
  return k
}

/** Gram matrix of weighted sums: P G Pᵀ, for rows of P (n² , row-major). */
export function gramOf(rows: readonly Float64Array[], gram: Float64Array): Float64Array {
  const K = rows[0].length
  const half = rows.map((u) => Float64Array.from({ length: K }, (_, j) => dot(u, gram.subarray(j * K, (j + 1) * K))))
  return Float64Array.from(rows.flatMap((u) => half.map((v) => dot(u, v))))
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}
