/**
 * Features of images for comparing them: raw pixels say little about natural images. After Coates, Lee, Ng, "An
 * Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011: random whitened patches as
 * filters, two-sided rectification, pooling. No labels, no training. Beyond the paper: a high threshold, pooling cells that
 * fade into each other, square roots, and filters in mirrored pairs. Constants by measurement on three image sets.
 */

import { checkNames, expected } from '../check'
import type { Core } from '../core/core'
import { CELLS, type FilterBank, SIDE } from '../core/filter-bank'
import { ARRAY_BYTES } from '../core/rows'
import { type Random, seeded } from '../random'
import * as saved from '../saved'
import { moments } from '../stats'
import type { Archive } from './archive'
import { finished } from './steps'

/** Half of them mirror images of the others. */
const FILTERS = 64
/** Sides beyond this are shrunk, so that no image costs more than a few milliseconds, and channels to so many. */
const LARGEST = 48
const SMALLEST = 12
const MOST_CHANNELS = 4
/** Squares of larger values would not add up in f32, or their patches have no deviation in it. */
const MOST_PIXEL = 1e18
const LEAST_CONTRAST = 1e-37
/** Responses below this are noise. */
const THRESHOLD = 1
/** Patches that the whitening is computed from, per value of a patch. */
const PATCHES_PER_VALUE = 30
/** Added to a patch's variance, as a share of the mean variance, and to the whitened covariance's diagonal. */
const CONTRAST = 0.01
const RIDGE = 0.1
/** A patch of more than so many times the variance of nearly all others counts as that. */
const FAR = 10
/** Patches that are looked at in one step. */
const PIECE = 256
/** Samples that the features are standardised over. */
const STANDARD = 64

/** Values in an image's features. */
export const PATCH_FEATURES = 2 * FILTERS * CELLS * CELLS

/** What parts of features are kept as multiples of, in 8 bits: that changes a distance by a thousandth. */
export const PART_STEP = 1 / 16

export interface PatchOptions {
  /** Shape of an image: channels before height and width or behind, whichever are fewer; at least 12 x 12 when shrunk to 48. */
  shape: readonly number[]
  /** Images of the kind to come, at least 10. Read, not kept. */
  samples: readonly Float32Array[]
  /** Default 1. */
  seed?: number
}

/** What the features of one kind of image are made with; plain numbers. */
interface PatchState {
  contrast: number
  mean: Float32Array
  /** FILTERS rows. */
  filters: Float32Array
  centre: Float32Array
  scale: Float32Array
}

/** Whether there are patch features for a shape. */
export function hasPatches(shape: readonly number[]): boolean {
  if (shape.length !== 3) return false
  const { height, width } = gridOf(shape)
  return height >= SMALLEST && width >= SMALLEST
}

/** Values of an image as the features look at it. */
export function shrunkSize(shape: readonly number[]): number {
  const { channels, height, width } = gridOf(shape)
  return channels * height * width
}

/** Bytes of the filters: of lines and responses, one value per patch of an image each. */
export function filterBytes(shape: readonly number[]): number {
  const { channels, rows, columns } = gridOf(shape)
  return 2 ** 17 + 4 * (FILTERS + SIDE * SIDE * channels + 1) * rows * (columns + 3)
}

/** Bytes that learning takes for a while: patches, and their mirror images. */
export function learningBytes(shape: readonly number[]): number {
  const size = gridOf(shape).channels * SIDE * SIDE
  return 2 * PATCHES_PER_VALUE * size * (4 * size + ARRAY_BYTES)
}

/** Whether an image has features. @param image  shrunk */
export function isLegible(image: Float32Array): boolean {
  return image.every((value) => Math.abs(value) <= MOST_PIXEL)
}

/** Makes the features function: an image as one row to PATCH_FEATURES values. */
export function patchFeatures(core: Core, options: PatchOptions): (image: Float32Array) => Float32Array {
  checkNames('', options, ['shape', 'samples', 'seed'])
  const { shape, samples, seed = 1 } = options
  if (!hasPatches(shape)) {
    throw new RangeError(
      `shape: expected [channels, height, width] or [height, width, channels], 12 x 12 or more, got [${shape}]`,
    )
  }
  if (samples.length < 10) throw new RangeError(expected('samples', '>= 10 images', samples.length))
  const small = samples.map((image) => shrunk(image, shape))
  const patches = finished(Patches.learn(core, shape, small, seed))
  return (image) => patches.of(shrunk(image, shape))
}

export class Patches {
  readonly #state: PatchState
  readonly #bank: FilterBank

  /** @param bank  of the same filters, where there is one */
  constructor(core: Core, shape: readonly number[], state: PatchState, bank?: FilterBank) {
    this.#bank = bank ?? filterBank(core, shape, state)
    this.#state = state
  }

  /** Arrays by name, for `load`. */
  save(): Record<string, Float32Array | Float64Array> {
    const { contrast, mean, filters, centre, scale } = this.#state
    return { contrast: Float64Array.of(contrast), patch: mean, filters, centre, scale }
  }

  /** @throws RangeError for what `save` never gave */
  static load(core: Core, shape: readonly number[], archive: Archive): Patches {
    const size = gridOf(shape).channels * SIDE * SIDE
    const [value] = archive.take('contrast', 'f8', 1, saved.MOST_SQUARE)
    const contrast = saved.number('contrast', value, Number.MIN_VALUE, saved.MOST_SQUARE)
    const mean = archive.take('patch', 'f4', size)
    const filters = archive.take('filters', 'f4', FILTERS * size)
    const centre = archive.take('centre', 'f4', PATCH_FEATURES)
    const scale = archive.take('scale', 'f4', PATCH_FEATURES)
    return new Patches(core, shape, { contrast, mean, filters, centre, scale })
  }

  /**
   * Filters from random patches of images, in steps of a few milliseconds.
   *
   * @param images  shrunk
   * @returns when done, the features
   */
  static *learn(
    core: Core,
    shape: readonly number[],
    images: readonly Float32Array[],
    seed = 1,
  ): Generator<void, Patches> {
    const random = seeded(seed)
    const grid = gridOf(shape)
    const patches: Float32Array[] = []
    for (let i = 0; i < PATCHES_PER_VALUE * grid.channels * SIDE * SIDE; i++) {
      if (i % PIECE === PIECE - 1) yield
      patches.push(randomPatch(images[random.below(images.length)], grid, random))
    }
    yield
    const contrast = yield* normalise(patches)
    const { filters, mean } = yield* whitenedFilters(core, patches, grid.channels, random)
    const unscaled = { contrast, mean, filters, centre: new Float32Array(PATCH_FEATURES), scale: ones(PATCH_FEATURES) }
    const raw = new Patches(core, shape, unscaled)
    const [sums, squares] = [new Float64Array(PATCH_FEATURES), new Float64Array(PATCH_FEATURES)]
    const seen = images.slice(0, STANDARD)
    for (const image of seen) {
      yield
      const features = yield* raw.steps(image)
      for (const each of [features, mirrored(features)]) {
        for (let i = 0; i < PATCH_FEATURES; i++) {
          sums[i] += each[i]
          squares[i] += each[i] * each[i]
        }
      }
    }
    return new Patches(core, shape, { ...unscaled, ...standardisation(sums, squares, 2 * seen.length) }, raw.#bank)
  }

  /**
   * @param image  shrunk
   * @returns PATCH_FEATURES values: sign (2) x filter x row x column of the pooling grid
   */
  of(image: Float32Array): Float32Array {
    return finished(this.steps(image))
  }

  /** The same in steps: before the engine has compiled them, all together take several milliseconds. */
  *steps(image: Float32Array): Generator<void, Float32Array> {
    const { centre, scale } = this.#state
    const out = yield* this.#bank.apply(image)
    for (let i = 0; i < out.length; i++) out[i] = (Math.sqrt(out[i]) - centre[i]) * scale[i]
    return out
  }
}

function filterBank(core: Core, shape: readonly number[], { contrast, mean, filters }: PatchState): FilterBank {
  const { channels, height, width } = gridOf(shape)
  const size = mean.length
  const half = Array.from({ length: FILTERS / 2 }, (_, k) => filters.subarray(k * size, (k + 1) * size))
  return core.filterBank({ channels, height, width, filters: half, mean, contrast, threshold: THRESHOLD })
}

/** Where each feature of an image is found in its mirror image: filters and columns change places. */
const MIRROR = Int32Array.from({ length: PATCH_FEATURES }, (_, at) => {
  const [filter, cell] = [Math.floor(at / CELLS / CELLS), at % (CELLS * CELLS)]
  const partner = filter - (filter % FILTERS) + ((filter + FILTERS / 2) % FILTERS)
  return partner * CELLS * CELLS + cell - (cell % CELLS) + CELLS - 1 - (cell % CELLS)
})

const mirrored = (features: Float32Array) => features.map((_, at) => features[MIRROR[at]])

/**
 * Features as a part that is the same in the mirror image, and one that changes its sign there: with a = (even, odd),
 * |a - b|² = |even - even'|² + |odd - odd'|², and for the mirror image of b the odd parts add up instead. All values are
 * multiples of PART_STEP.
 */
export function mirrorParts(features: Float32Array): { even: Float32Array; odd: Float32Array } {
  const even = new Float32Array(PATCH_FEATURES / 2)
  const odd = new Float32Array(PATCH_FEATURES / 2)
  let at = 0
  for (let i = 0; i < PATCH_FEATURES; i++) {
    if (MIRROR[i] < i) continue // no feature is its own mirror: the filter is always another
    even[at] = stepped((features[i] + features[MIRROR[i]]) * Math.SQRT1_2)
    odd[at++] = stepped((features[i] - features[MIRROR[i]]) * Math.SQRT1_2)
  }
  return { even, odd }
}

const stepped = (value: number) => Math.max(-127, Math.min(127, Math.round(value / PART_STEP))) * PART_STEP

interface Grid {
  /** Of the shrunk image. */
  channels: number
  height: number
  width: number
  /** Pixels of the image that become one, in each direction; what is left over at the edges is cut off. */
  factor: number
  /** Channels of the image. */
  all: number
  /** How far apart in the image are neighbours: channels, lines and pixels. */
  apart: readonly [channel: number, line: number, pixel: number]
  /** Patches per column and per row of the image. */
  rows: number
  columns: number
}

/** Channels are the shorter of the first and the last axis. */
function gridOf(shape: readonly number[]): Grid {
  const last = shape[2] < shape[0]
  const [all, column, line] = last ? [shape[2], shape[0], shape[1]] : shape
  const apart = last ? ([1, line * all, all] as const) : ([column * line, line, 1] as const)
  const factor = Math.ceil(Math.max(column, line) / LARGEST)
  const [height, width] = [Math.floor(column / factor), Math.floor(line / factor)]
  const channels = Math.min(all, MOST_CHANNELS)
  return { channels, height, width, factor, all, apart, rows: height - SIDE + 1, columns: width - SIDE + 1 }
}

/**
 * An image as the features look at it, channels first: itself where it is that and small, else fresh means over squares of its
 * pixels, and over neighbouring channels where they are many.
 */
export function shrunk(image: Float32Array, shape: readonly number[]): Float32Array {
  const { channels, height, width, factor, all, apart } = gridOf(shape)
  if (factor === 1 && all === channels && apart[2] === 1) return image
  const out = new Float32Array(channels * height * width)
  const seen = new Uint16Array(channels)
  for (let c = 0; c < all; c++) {
    const to = Math.floor((c * channels) / all)
    seen[to]++
    add(image.subarray(c * apart[0]), apart, out.subarray(to * height * width), width, height, factor)
  }
  return out.map((sum, i) => sum / (seen[Math.floor(i / height / width)] * factor ** 2))
}

/** Adds up the pixels of one channel, over squares. */
function add(
  image: Float32Array,
  [, line, pixel]: Grid['apart'],
  out: Float32Array,
  width: number,
  height: number,
  factor: number,
): void {
  for (let y = 0; y < height * factor; y++) {
    const to = Math.floor(y / factor) * width
    for (let x = 0, at = y * line; x < width; x++) {
      let sum = 0
      for (let i = 0; i < factor; i++, at += pixel) sum += image[at]
      out[to + x] += sum
    }
  }
}

function randomPatch(image: Float32Array, grid: Grid, random: Random): Float32Array {
  const { channels, height, width, rows, columns } = grid
  const [top, left] = [random.below(rows), random.below(columns)]
  const patch = new Float32Array(channels * SIDE * SIDE)
  let at = 0
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < SIDE; y++) {
      const from = (c * height + top + y) * width + left
      for (let x = 0; x < SIDE; x++) patch[at++] = image[from + x]
    }
  }
  return patch
}

/** Patches less their mean, over their deviation, in place. @returns what was added to the variances */
function* normalise(patches: readonly Float32Array[]): Generator<void, number> {
  const seen: ReturnType<typeof moments>[] = []
  for (const [i, patch] of patches.entries()) {
    seen.push(moments(patch))
    if (i % PIECE === PIECE - 1) yield
  }
  const variances = Float64Array.from(seen, ({ variance }) => variance)
  const most = FAR * variances.slice().sort()[Math.floor(0.95 * variances.length)] // one glaring image must not hide the others
  const usual = (CONTRAST * variances.reduce((sum, variance) => sum + Math.min(variance, most), 0)) / patches.length
  const contrast = Math.max(LEAST_CONTRAST, usual || 1)
  for (const [i, patch] of patches.entries()) {
    const { mean, variance } = seen[i]
    const scale = Math.sqrt(variance + contrast)
    for (let at = 0; at < patch.length; at++) patch[at] = (patch[at] - mean) / scale
    if (i % PIECE === PIECE - 1) yield
  }
  return contrast
}

/**
 * FILTERS random patches f and their mirror images as rows Σ⁻¹f / sqrt(fᵀΣ⁻¹f). Their product with a patch is that of
 * both after ZCA whitening, the filter at unit length: whitening enters only as Σ⁻¹, so that no eigenvectors are needed.
 */
function* whitenedFilters(
  core: Core,
  patches: readonly Float32Array[],
  channels: number,
  random: Random,
): Generator<void, { filters: Float32Array; mean: Float32Array }> {
  const mirror = (patch: Float32Array) => patch.map((_, i) => patch[i - (i % SIDE) + SIDE - 1 - (i % SIDE)])
  const both = patches.slice()
  for (const [i, patch] of patches.entries()) {
    both.push(mirror(patch))
    if (i % PIECE === PIECE - 1) yield
  }
  const size = channels * SIDE * SIDE
  const mean = new Float32Array(size)
  for (const [k, patch] of both.entries()) {
    for (let i = 0; i < size; i++) mean[i] += patch[i] / both.length
    if (k % PIECE === PIECE - 1) yield
  }
  const covariance = new Float64Array(size * size)
  for (let from = 0; from < both.length; from += PIECE) {
    yield
    const part = both.slice(from, from + PIECE)
    const columns = Array.from({ length: size }, (_, i) => Float32Array.from(part, (patch) => patch[i] - mean[i]))
    const products = core.gram(columns)
    for (let i = 0; i < products.length; i++) covariance[i] += products[i] / both.length
  }
  yield
  for (let i = 0; i < size; i++) covariance[i * (size + 1)] += RIDGE
  const inverse = core.inverse(covariance)
  const filters = new Float32Array(FILTERS * size)
  const chosen = random.choose(patches.length, FILTERS / 2).map((which) => patches[which])
  for (const [k, original] of [...chosen, ...chosen.map(mirror)].entries()) {
    if (k % 8 === 0) yield
    const patch = original.map((value, i) => value - mean[i])
    const whitened = Float64Array.from({ length: size }, (_, i) =>
      patch.reduce((sum, value, j) => sum + value * inverse[i * size + j], 0),
    )
    const length = Math.sqrt(patch.reduce((sum, value, i) => sum + value * whitened[i], 0)) || 1
    filters.set(
      whitened.map((value) => value / length),
      k * size,
    )
  }
  return { filters, mean }
}

/** What brings every feature to mean 0 and variance 1, from sums over `count` images; one that never varies is left out. */
function standardisation(sums: Float64Array, squares: Float64Array, count: number) {
  const centre = Float32Array.from(sums, (sum) => sum / count)
  const scale = Float32Array.from(squares, (square, i) => {
    const variance = square / count - (sums[i] / count) ** 2
    return variance > 1e-12 ? 1 / Math.sqrt(variance) : 0
  })
  return { centre, scale }
}

function ones(length: number): Float32Array {
  return new Float32Array(length).fill(1)
}
