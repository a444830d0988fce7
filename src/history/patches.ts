/**
 * Features of images for comparing them: raw pixels say little about natural images. After Coates, Lee, Ng, "An
 * Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011: random whitened patches as
 * filters, two-sided rectification, average pooling. No labels, no training.
 */

import type { Core } from '../core/core'
import { expected } from '../errors'
import { type Random, seeded } from '../random'

/** Side of a patch in pixels, filters, cells per side of the pooling grid, as in the paper's experiments. */
const SIDE = 6
const FILTERS = 128
const CELLS = 3
/** Responses below this are noise. */
const THRESHOLD = 0.25
/** Patches that the whitening is computed from, per value of a patch. */
const PATCHES_PER_VALUE = 30
/** Added to a patch's variance, for pixels in 0..1 (10 on 0..255), and to the covariance's diagonal. */
const CONTRAST = 10 / 255 ** 2
const RIDGE = 0.1

export interface PatchOptions {
  /** Shape of an image: channels, height, width; at least 12 x 12. */
  shape: readonly number[]
  /** Images of the kind to come, at least 10. Read, not kept. */
  samples: readonly Float32Array[]
  /** Default 1. */
  seed?: number
}

/** Makes the features function: an image as one row to 2 * 128 * 9 values. */
export function patchFeatures(
  core: Core,
  { shape, samples, seed = 1 }: PatchOptions,
): (image: Float32Array) => Float32Array {
  const [channels, height, width] = shape
  if (shape.length !== 3 || height < 2 * SIDE || width < 2 * SIDE) {
    throw new RangeError(`shape: expected [channels, height >= 12, width >= 12], got [${shape}]`)
  }
  if (samples.length < 10) throw new RangeError(expected('samples', '>= 10 images', samples.length))
  const random = seeded(seed)
  const size = channels * SIDE * SIDE
  const grid = { channels, height, width, rows: height - SIDE + 1, columns: width - SIDE + 1 }
  const { filters, mean } = whitenedFilters(
    core,
    randomPatches(samples, grid, PATCHES_PER_VALUE * size, random),
    random,
  )
  const raw = (image: Float32Array) => pooled(core.combine(filters, patchesOf(image, grid, mean)), grid)
  const seen = samples.slice(0, 200).map(raw)
  const { centre, scale } = standardisation(seen)
  return (image) => raw(image).map((value, i) => (value - centre[i]) * scale[i])
}

interface Grid {
  channels: number
  height: number
  width: number
  /** Patches per column and per row of the image. */
  rows: number
  columns: number
}

function randomPatches(images: readonly Float32Array[], grid: Grid, count: number, random: Random): Float32Array[] {
  const { channels, height, width, rows, columns } = grid
  return Array.from({ length: count }, () => {
    const image = images[random.below(images.length)]
    const [top, left] = [random.below(rows), random.below(columns)]
    const patch = new Float32Array(channels * SIDE * SIDE)
    for (let i = 0; i < patch.length; i++) {
      const [c, y, x] = [Math.floor(i / SIDE / SIDE), Math.floor(i / SIDE) % SIDE, i % SIDE]
      patch[i] = image[(c * height + top + y) * width + left + x]
    }
    const [centre, deviation] = contrast(patch)
    return patch.map((value) => (value - centre) / deviation)
  })
}

function contrast(patch: Float32Array): [mean: number, deviation: number] {
  let [sum, square] = [0, 0]
  for (const value of patch) {
    sum += value
    square += value * value
  }
  const mean = sum / patch.length
  return [mean, Math.sqrt(Math.max(0, square / patch.length - mean * mean) + CONTRAST)]
}

/**
 * FILTERS random patches f as rows Σ⁻¹f / sqrt(fᵀΣ⁻¹f). Their product with a patch is that of both after ZCA
 * whitening, the filter at unit length: whitening enters only as Σ⁻¹, so that no eigenvectors are needed.
 */
function whitenedFilters(core: Core, patches: Float32Array[], random: Random) {
  const size = patches[0].length
  const mean = new Float32Array(size)
  for (const patch of patches) for (let i = 0; i < size; i++) mean[i] += patch[i] / patches.length
  const columns = Array.from({ length: size }, (_, i) => Float32Array.from(patches, (patch) => patch[i] - mean[i]))
  const covariance = core.gram(columns).map((value) => value / patches.length)
  for (let i = 0; i < size; i++) covariance[i * (size + 1)] += RIDGE
  const inverse = core.inverse(covariance)
  const filters = new Float32Array(FILTERS * size)
  random.choose(patches.length, FILTERS).forEach((which, k) => {
    const patch = patches[which].map((value, i) => value - mean[i])
    const whitened = Float64Array.from({ length: size }, (_, i) =>
      patch.reduce((sum, value, j) => sum + value * inverse[i * size + j], 0),
    )
    const length = Math.sqrt(patch.reduce((sum, value, i) => sum + value * whitened[i], 0)) || 1
    filters.set(
      whitened.map((value) => value / length),
      k * size,
    )
  })
  return { filters, mean }
}

/** All patches of an image, normalised, less the mean patch; value i of each patch in row i. */
function patchesOf(image: Float32Array, grid: Grid, mean: Float32Array): Float32Array[] {
  const { channels, height, width, rows, columns } = grid
  const count = rows * columns
  const values: Float32Array[] = []
  const [sums, squares] = [new Float32Array(count), new Float32Array(count)]
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const row = new Float32Array(count)
        for (let top = 0, at = 0; top < rows; top++) {
          const from = (c * height + top + y) * width + x
          for (let left = 0; left < columns; left++, at++) {
            const value = image[from + left]
            row[at] = value
            sums[at] += value
            squares[at] += value * value
          }
        }
        values.push(row)
      }
    }
  }
  const size = values.length
  for (let at = 0; at < count; at++) {
    const centre = sums[at] / size
    sums[at] = centre
    squares[at] = 1 / Math.sqrt(Math.max(0, squares[at] / size - centre * centre) + CONTRAST)
  }
  values.forEach((row, i) => {
    for (let at = 0; at < count; at++) row[at] = (row[at] - sums[at]) * squares[at] - mean[i]
  })
  return values
}

/** Mean of max(0, r - θ) and of max(0, -r - θ) over each cell of the grid, for every filter. */
function pooled(responses: Float32Array[], { rows, columns }: Grid): Float32Array {
  const out = new Float32Array(responses.length * 2 * CELLS * CELLS)
  const cell = new Int32Array(rows * columns)
  const share = new Float32Array(CELLS * CELLS)
  for (let at = 0; at < cell.length; at++) {
    const [y, x] = [Math.floor(at / columns), at % columns]
    cell[at] = Math.floor((y * CELLS) / rows) * CELLS + Math.floor((x * CELLS) / columns)
    share[cell[at]]++
  }
  responses.forEach((row, k) => {
    const base = k * 2 * CELLS * CELLS
    for (let at = 0; at < row.length; at++) {
      const r = row[at]
      if (r > THRESHOLD) out[base + cell[at]] += (r - THRESHOLD) / share[cell[at]]
      else if (r < -THRESHOLD) out[base + CELLS * CELLS + cell[at]] += (-r - THRESHOLD) / share[cell[at]]
    }
  })
  return out
}

/** What brings every feature to mean 0 and variance 1; a feature that never varies is left out. */
function standardisation(seen: Float32Array[]) {
  const centre = new Float32Array(seen[0].length)
  const scale = new Float32Array(seen[0].length)
  for (let i = 0; i < centre.length; i++) {
    let [sum, square] = [0, 0]
    for (const row of seen) {
      sum += row[i]
      square += row[i] * row[i]
    }
    centre[i] = sum / seen.length
    const variance = square / seen.length - centre[i] ** 2
    scale[i] = variance > 1e-12 ? 1 / Math.sqrt(variance) : 0
  }
  return { centre, scale }
}
