/** Kriging: the answers as a Gaussian process over the inputs, of which some were observed. */

import { rowSums } from '../base/stats'
import type { Core } from '../core/core'

/** A kernel: `mix` parts linear, the rest RBF of this `scale`, on inputs scaled to mean square length 1; `noise` is added to the diagonal. */
export interface KrigingKernel {
  mix: number
  scale: number
  noise: number
}

/**
 * Ordinary kriging (Rasmussen, Williams, 2006, 2.7, with a constant mean).
 *
 * @param gram  of the observed points, then of the targets (n², row-major); its origin does not matter
 * @param seen  how many of the n points were observed, >= 1; the others are targets
 * @returns for each target the weights over the observed points, which sum to 1, and the variance of its error in units of the answers' own
 * variance: 0 at an observed point, about 1 far from all
 */
export function kriging(core: Core, gram: Float64Array, seen: number, kernel: KrigingKernel) {
  const n = Math.round(Math.sqrt(gram.length))
  const k = covariance(centred(gram, n, seen), n, seen, kernel)
  const a = new Float64Array(seen * seen)
  for (let i = 0; i < seen; i++) {
    for (let j = 0; j < seen; j++) a[i * seen + j] = k[i * n + j] + (i === j ? kernel.noise : 0)
  }
  const inverse = core.inverse(a)
  const { sums, total } = rowSums(inverse)
  const weights: Float64Array[] = []
  const variance = new Float64Array(n - seen)
  for (let t = seen; t < n; t++) {
    const own = new Float64Array(seen)
    let [explained, rest] = [0, 1]
    for (let i = 0; i < seen; i++) {
      for (let j = 0; j < seen; j++) own[i] += inverse[i * seen + j] * k[t * n + j]
      explained += own[i] * k[t * n + i]
      rest -= own[i]
    }
    for (let i = 0; i < seen; i++) own[i] += (rest * sums[i]) / total
    weights.push(own)
    variance[t - seen] = Math.max(0, k[t * n + t] - explained + (rest * rest) / total)
  }
  return { weights, variance }
}

/** Share of the points' mean square length below which a centred Gram matrix is only rounding. */
const ROUNDING = 1e-12

/** The Gram matrix with its origin at the mean of the observed points; zeros if all points are equal up to rounding. */
export function centred(gram: Float64Array, n: number, seen: number): Float64Array {
  const means = new Float64Array(n)
  let mean = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < seen; j++) means[i] += gram[i * n + j] / seen
    if (i < seen) mean += means[i] / seen
  }
  const out = new Float64Array(n * n)
  let [before, after] = [0, 0]
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) out[i * n + j] = gram[i * n + j] - means[i] - means[j] + mean
    before += gram[i * (n + 1)]
    after += out[i * (n + 1)]
  }
  return after > ROUNDING * before ? out : out.fill(0)
}

/** Kernel matrix of n points. The first `seen` set the scale: their mean diagonal becomes 1. */
export function covariance(gram: Float64Array, n: number, seen: number, { mix, scale }: KrigingKernel): Float64Array {
  let unit = 0
  for (let i = 0; i < seen; i++) unit += gram[i * n + i] / seen
  unit ||= 1 // all points are equal, so any unit will do
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

/** Gram matrix of weighted sums: P G Pᵀ, for rows of P (n², row-major). Zero weights are skipped. */
export function gramOf(rows: readonly Float64Array[], gram: Float64Array): Float64Array {
  const [n, K] = [rows.length, rows[0].length]
  const half = new Float64Array(n * K)
  const all = new Float64Array(n * n)
  rows.forEach((u, i) => {
    for (let l = 0; l < K; l++) {
      if (u[l] === 0) continue
      for (let j = 0; j < K; j++) half[i * K + j] += u[l] * gram[l * K + j]
    }
  })
  rows.forEach((u, i) => {
    for (let l = 0; l < K; l++) {
      if (u[l] === 0) continue
      for (let j = 0; j < n; j++) all[i * n + j] += u[l] * half[j * K + l]
    }
  })
  return all
}
