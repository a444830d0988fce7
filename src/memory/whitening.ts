/** Filters from random patches of images or signals, whitened and scaled to unit length. */

import * as saved from '../base/saved'
import type { Core } from '../core/core'
import { paced, perStep } from './steps'
import type { Archive } from './unpack'

/** Added to a patch's variance, as a share of the usual one, so that noise is not blown up to full contrast. */
export const CONTRAST = 0.01
/** Responses below this are noise. */
export const THRESHOLD = 1
/** Added to the covariance's diagonal. */
const RIDGE = 0.1
/** Where a patch has more than this many times the variance of nearly all others it counts as that much. */
const FAR = 10
const NEARLY_ALL = 0.95

export function savedContrast(archive: Archive): number {
  const [value] = archive.take('contrast', 'f8', 1, saved.MOST_SQUARE)
  return saved.number('contrast', value, Number.MIN_VALUE, saved.MOST_SQUARE)
}

/** The variance of nearly all at most, and the sum of all, clipped: one glaring image must not hide the others. */
export function clippedSum(variances: Float64Array): { usual: number; sum: number } {
  const usual = variances.slice().sort()[Math.floor(NEARLY_ALL * variances.length)]
  return { usual, sum: variances.reduce((sum, variance) => sum + Math.min(variance, FAR * usual), 0) }
}

/** Inverse covariance of patches (row-major) about a mean, in steps of `piece` patches. */
export function* inverseCovariance(core: Core, patches: readonly Float32Array[], mean: Float32Array, piece: number) {
  const size = mean.length
  const covariance = new Float64Array(size * size)
  for (let from = 0; from < patches.length; from += piece) {
    yield
    const part = patches.slice(from, from + piece)
    const columns = Array.from({ length: size }, () => new Float32Array(part.length))
    yield* paced(part.length, perStep(size), (at) => {
      for (let i = 0; i < size; i++) columns[i][at] = part[at][i] - mean[i]
    })
    const products = core.gram(columns)
    for (let i = 0; i < products.length; i++) covariance[i] += products[i] / patches.length
  }
  yield
  for (let i = 0; i < size; i++) covariance[i * (size + 1)] += RIDGE
  return core.inverse(covariance)
}

/**
 * Each patch f as a row Σ⁻¹f / sqrt(fᵀΣ⁻¹f): its product with another patch is that of both after ZCA whitening, f at
 * unit length, and no eigenvectors are needed. In steps. @param Kind  what Σ⁻¹f is rounded to
 */
export function* whitened(
  patches: readonly Float32Array[],
  inverse: Float64Array,
  Kind: Float32ArrayConstructor | Float64ArrayConstructor,
): Generator<void, Float32Array> {
  const size = patches[0].length
  const filters = new Float32Array(patches.length * size)
  yield* paced(patches.length, perStep(4 * size * size), (k) => {
    const patch = patches[k]
    const row = new Kind(size)
    for (let i = 0; i < size; i++) row[i] = patch.reduce((sum, value, j) => sum + value * inverse[i * size + j], 0)
    const length = Math.sqrt(patch.reduce((sum, value, i) => sum + value * row[i], 0)) || 1
    for (let i = 0; i < size; i++) filters[k * size + i] = row[i] / length
  })
  return filters
}
