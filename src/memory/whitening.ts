/** Filters from random patches of images or signals: normalised, whitened, and scaled to unit length. */

import * as saved from '../base/saved'
import { moments } from '../base/stats'
import type { Core } from '../core/core'
import { paced, perStep } from './steps'
import type { Archive } from './unpack'

/** Added to a patch's variance, as a share of the mean variance, so that noise is not raised to full contrast. */
const CONTRAST = 0.01
/** Squares of smaller contrasts are too small for f32. */
const LEAST_CONTRAST = 1e-37
/** Responses of filters below this are noise. */
export const THRESHOLD = 1
/** Added to the diagonal of the covariance. */
const RIDGE = 0.1
/** Variances above FAR times the 95th percentile are clipped: one glaring image must not hide the others. */
const FAR = 10
const NEARLY_ALL = 0.95
/** Patches whose covariance is computed in one step. */
const PIECE = 256

export function savedContrast(archive: Archive): number {
  const [value] = archive.take('contrast', 'f8', 1, saved.MOST_SQUARE)
  return saved.number('contrast', value, Number.MIN_VALUE, saved.MOST_SQUARE)
}

/** Subtracts a patch's mean and divides by its standard deviation, in place. */
export function normalise(patch: Float32Array, contrast: number): void {
  const { mean, variance } = moments(patch)
  const scale = 1 / Math.sqrt(variance + contrast)
  for (let i = 0; i < patch.length; i++) patch[i] = (patch[i] - mean) * scale
}

/** Normalises all patches, in place and in steps. @returns the contrast, and the patches' variances before with their 95th percentile */
export function* normaliseAll(patches: readonly Float32Array[]) {
  const { length } = patches
  const every = perStep(4 * patches[0].length)
  const variances = new Float64Array(length)
  yield* paced(length, every, (i) => (variances[i] = moments(patches[i]).variance))
  const usual = variances.slice().sort()[Math.floor(NEARLY_ALL * length)]
  const sum = variances.reduce((sum, variance) => sum + Math.min(variance, FAR * usual), 0)
  const contrast = Math.max(LEAST_CONTRAST, (CONTRAST * sum) / length || 1)
  yield* paced(length, every, (i) => normalise(patches[i], contrast))
  return { contrast, variances, usual }
}

/**
 * Each chosen patch f, less the mean of all patches, as a row Σ⁻¹f / sqrt(fᵀΣ⁻¹f). The product of that row with another patch is the product of both
 * after ZCA whitening, f at unit length; no eigenvectors are needed. In steps.
 *
 * @param patches  all have the covariance Σ
 * @returns the mean, and the rows one after the other
 */
export function* whitened(core: Core, patches: readonly Float32Array[], chosen: readonly Float32Array[]) {
  const size = patches[0].length
  const mean = new Float32Array(size)
  yield* paced(patches.length, perStep(size), (k) => {
    for (let i = 0; i < size; i++) mean[i] += patches[k][i] / patches.length
  })
  const inverse = yield* inverseCovariance(core, patches, mean)
  const filters = new Float32Array(chosen.length * size)
  yield* paced(chosen.length, perStep(4 * size * size), (k) => {
    const patch = chosen[k].map((value, i) => value - mean[i])
    const row = new Float64Array(size)
    for (let i = 0; i < size; i++) row[i] = patch.reduce((sum, value, j) => sum + value * inverse[i * size + j], 0)
    const length = Math.sqrt(patch.reduce((sum, value, i) => sum + value * row[i], 0)) || 1
    for (let i = 0; i < size; i++) filters[k * size + i] = row[i] / length
  })
  return { mean, filters }
}

/** The inverse covariance of patches, row-major. In steps. */
function* inverseCovariance(core: Core, patches: readonly Float32Array[], mean: Float32Array) {
  const size = mean.length
  const covariance = new Float64Array(size * size)
  for (let from = 0; from < patches.length; from += PIECE) {
    const part = patches.slice(from, from + PIECE)
    const columns = Array.from(mean, (centre, i) => Float32Array.from(part, (patch) => patch[i] - centre))
    const products = core.gram(columns)
    for (let i = 0; i < products.length; i++) covariance[i] += products[i] / patches.length
    yield
  }
  for (let i = 0; i < size; i++) covariance[i * (size + 1)] += RIDGE
  return core.inverse(covariance)
}
