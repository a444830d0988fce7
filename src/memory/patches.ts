/**
 * Features by which images are compared, since raw pixels say little about natural images. After Coates, Lee, Ng, "An Analysis of Single-Layer Networks
 * in Unsupervised Feature Learning", AISTATS 2011: random whitened patches as filters, two-sided rectification, pooling. Not in the paper: a high
 * threshold, pooling cells that overlap, square roots, and filters in mirrored pairs. The constants were measured on three image sets.
 */

import { checkNames, expected } from '../base/check'
import { type Random, seeded } from '../base/random'
import type { Core } from '../core/core'
import { type FilterBank, SIDE } from '../core/filter-bank'
import { ARRAY_BYTES } from '../core/space'
import { FILTERS, mirrored, PART_STEP, PATCH_FEATURES } from './mirror'
import { finished, paced, perStep } from './steps'
import type { Archive } from './unpack'
import { normaliseAll, savedContrast, THRESHOLD, whitened } from './whitening'

/** Images with longer sides or more channels are shrunk, so that the features of no image take more than a few milliseconds. */
const LARGEST = 48
const SMALLEST = 12
const MOST_CHANNELS = 4
/** Sums of squares of larger pixels overflow in f32. */
const MOST_PIXEL = 1e18
/** Random patches that filters are learned from, per value of a patch. */
const PATCHES_PER_VALUE = 30
/** Images by which the features are standardised. */
const STANDARD = 64

export interface PatchOptions {
  /** Shape of an image: channels first or last, whichever are fewer; at least 12 x 12 when shrunk to 48. */
  shape: readonly number[]
  /** At least 10 images like those to come. They are read, not kept. */
  samples: readonly Float32Array[]
  /** Default 1. */
  seed?: number
}

/** All parameters of the features. */
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

/** The number of values of a shrunk image. */
export function shrunkSize(shape: readonly number[]): number {
  const { channels, height, width } = gridOf(shape)
  return channels * height * width
}

/** Bytes that the core takes to filter an image: of each patch, its values and the responses. */
export function filterBytes(shape: readonly number[]): number {
  const { channels, rows, columns } = gridOf(shape)
  return 2 ** 17 + 4 * (FILTERS + SIDE * SIDE * channels + 1) * rows * (columns + 3)
}

/** Bytes that learning takes temporarily: patches, and their mirror images. */
export function learningBytes(shape: readonly number[]): number {
  const size = gridOf(shape).channels * SIDE * SIDE
  return 2 * PATCHES_PER_VALUE * size * (4 * size + ARRAY_BYTES)
}

/** Whether all pixels are numbers small enough that the features computed from them are finite. @param image  shrunk */
export function isLegible(image: Float32Array): boolean {
  for (let i = 0; i < image.length; i++) if (!(Math.abs(image[i]) <= MOST_PIXEL)) return false
  return true
}

/** Learns features from samples. @returns the function that computes the PATCH_FEATURES features of an image */
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

  /** @param bank  a filter bank of the same filters, if there is one already */
  constructor(core: Core, shape: readonly number[], state: PatchState, bank?: FilterBank) {
    const { contrast, mean, filters } = state
    const { channels, height, width } = gridOf(shape)
    const size = mean.length
    const half = Array.from({ length: FILTERS / 2 }, (_, k) => filters.subarray(k * size, (k + 1) * size))
    const options = { channels, height, width, filters: half, mean, contrast, threshold: THRESHOLD }
    this.#bank = bank ?? core.filterBank(options)
    this.#bank.standardise(state.centre, state.scale)
    this.#state = state
  }

  /** Arrays by name, for `load`. */
  save(): Record<string, Float32Array | Float64Array> {
    const { contrast, mean, filters, centre, scale } = this.#state
    return { contrast: Float64Array.of(contrast), patch: mean, filters, centre, scale }
  }

  /** @throws RangeError for arrays that `save` never gave */
  static load(core: Core, shape: readonly number[], archive: Archive): Patches {
    const size = gridOf(shape).channels * SIDE * SIDE
    const contrast = savedContrast(archive)
    const mean = archive.take('patch', 'f4', size)
    const filters = archive.take('filters', 'f4', FILTERS * size)
    const centre = archive.take('centre', 'f4', PATCH_FEATURES)
    const scale = archive.take('scale', 'f4', PATCH_FEATURES)
    return new Patches(core, shape, { contrast, mean, filters, centre, scale })
  }

  /**
   * Learns filters from random patches of images. In steps.
   *
   * @param images  shrunk
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
    yield* paced(PATCHES_PER_VALUE * grid.channels * SIDE * SIDE, perStep(SIDE * SIDE), () => {
      patches.push(randomPatch(images[random.below(images.length)], grid, random))
    })
    const { contrast } = yield* normaliseAll(patches)
    const learned = { contrast, ...(yield* filtersOf(core, patches, random)) }
    const [centre, scale] = [new Float32Array(PATCH_FEATURES), new Float32Array(PATCH_FEATURES).fill(1)]
    const raw = new Patches(core, shape, { ...learned, centre, scale })
    const seen = images.slice(0, STANDARD)
    const [sums, squares] = [new Float64Array(PATCH_FEATURES), new Float64Array(PATCH_FEATURES)]
    for (const image of seen) {
      yield
      const features = raw.of(image)
      for (const each of [features, mirrored(features)]) {
        for (let i = 0; i < PATCH_FEATURES; i++) {
          sums[i] += each[i]
          squares[i] += each[i] * each[i]
        }
      }
    }
    return new Patches(core, shape, { ...learned, ...standardisation(sums, squares, 2 * seen.length) }, raw.#bank)
  }

  /** @param image  shrunk  @returns PATCH_FEATURES values: sign (2) x filter x row x column of the pooling grid */
  of(image: Float32Array): Float32Array {
    const { centre, scale } = this.#state
    const out = new Float32Array(PATCH_FEATURES)
    const pooled = this.#bank.apply(image)
    for (let i = 0; i < out.length; i++) out[i] = (Math.sqrt(pooled[i]) - centre[i]) * scale[i]
    return out
  }

  /** The even and then the odd part of an image's features, in multiples of PART_STEP (see mirror.ts). @param image  shrunk */
  parts(image: Float32Array): Int8Array {
    return this.#bank.parts(image, PART_STEP)
  }
}

type Grid = ReturnType<typeof gridOf>

/**
 * The layout of images of a shape, and of the shrunk images. The first or the last axis, whichever is shorter, has the channels: `all` of them, `channels`
 * in the shrunk image. `apart`: the distance in values between neighbouring channels, lines and pixels. `factor` pixels in each direction become one;
 * the remainder at the edges is cut off. `rows`, `columns`: the number of patches.
 */
function gridOf(shape: readonly number[]) {
  const last = shape[2] < shape[0]
  const [all, column, line] = last ? [shape[2], shape[0], shape[1]] : shape
  const apart = last ? [1, line * all, all] : [column * line, line, 1] // channels, lines and pixels
  const factor = Math.ceil(Math.max(column, line) / LARGEST)
  const [height, width] = [Math.floor(column / factor), Math.floor(line / factor)]
  const channels = Math.min(all, MOST_CHANNELS)
  return { channels, height, width, factor, all, apart, rows: height - SIDE + 1, columns: width - SIDE + 1 }
}

/** The shrunk image, channels first: the image itself if nothing changes, else fresh means over squares of pixels and over channels. */
export function shrunk(image: Float32Array, shape: readonly number[]): Float32Array {
  const { channels, height, width, factor, all, apart } = gridOf(shape)
  const [channel, line, pixel] = apart
  if (factor === 1 && all === channels && pixel === 1) return image
  const out = new Float32Array(channels * height * width)
  const counts = new Uint16Array(channels)
  for (let c = 0; c < all; c++) {
    const to = Math.floor((c * channels) / all)
    counts[to]++
    for (let y = 0; y < height * factor; y++) {
      const row = (to * height + Math.floor(y / factor)) * width
      for (let x = 0, at = c * channel + y * line; x < width; x++) {
        let sum = 0
        for (let i = 0; i < factor; i++, at += pixel) sum += image[at]
        out[row + x] += sum
      }
    }
  }
  return out.map((sum, i) => sum / (counts[Math.floor(i / height / width)] * factor ** 2))
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

/** Random patches and their mirror images as filters, whitened by all patches and their mirror images. In steps. */
function* filtersOf(core: Core, patches: readonly Float32Array[], random: Random) {
  const mirror = (patch: Float32Array) => patch.map((_, i) => patch[i - (i % SIDE) + SIDE - 1 - (i % SIDE)])
  const both = patches.slice()
  yield* paced(patches.length, perStep(4 * patches[0].length), (i) => both.push(mirror(patches[i])))
  const chosen = random.choose(patches.length, FILTERS / 2).map((which) => patches[which])
  return yield* whitened(core, both, [...chosen, ...chosen.map(mirror)])
}

/** Brings features to mean 0 and variance 1, by sums over `count` images; a feature that never varies becomes 0. */
function standardisation(sums: Float64Array, squares: Float64Array, count: number) {
  const centre = Float32Array.from(sums, (sum) => sum / count)
  const scale = Float32Array.from(squares, (square, i) => {
    const variance = square / count - (sums[i] / count) ** 2
    return variance > 1e-12 ? 1 / Math.sqrt(variance) : 0
  })
  return { centre, scale }
}
