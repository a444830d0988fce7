/** Filters all patches of an image and pools the responses. Both cores share this memory layout. */

import type { FilterBankOptions } from './core'
import { type CoreFunction, layOut, type Space } from './space'

/** Side of a patch in pixels, and cells per side of the pooling grid. */
export const SIDE = 5
export const CELLS = 4

/** Functions of assembly/patches.ts, with the same parameters. */
export type PatchKernels = Readonly<Record<'patchLines' | 'combine' | 'poolCells' | 'mirrorParts', CoreFunction>>

export class FilterBank {
  readonly #space: Space
  readonly #kernels: PatchKernels
  readonly #options: FilterBankOptions
  /** Rows of patches; patches in a row, rounded up to 4; floats from line to line. */
  readonly #rows: number
  readonly #pitch: number
  readonly #stride: number
  readonly #at: ReturnType<typeof regions>

  /** @param strideOf  floats from one line to the next, for lines of a length */
  constructor(space: Space, kernels: PatchKernels, options: FilterBankOptions, strideOf: (length: number) => number) {
    const { height, width } = options
    this.#space = space
    this.#kernels = kernels
    this.#options = options
    this.#rows = height - SIDE + 1
    this.#pitch = 4 * Math.ceil((width - SIDE + 1) / 4)
    this.#stride = strideOf(this.#rows * this.#pitch)
    this.#at = regions(space, options, [this.#rows, this.#pitch, this.#stride])
    this.#putFilters()
    this.#putCells(width - SIDE + 1)
  }

  /**
   * Weighted means of max(0, r - θ) and of max(0, -r - θ) over each cell of the grid, for every response r.
   *
   * @returns sign (2) x filter, then its mirror image x row x column of the grid; valid until the next call
   */
  apply(image: Float32Array): Float32Array {
    const { channels, width, filters } = this.#options
    const [contrast, threshold] = [this.#options.contrast, this.#options.threshold].map(Math.fround) // rounded to f32 as in WASM
    const [at, kernels, rows, pitch, stride] = [this.#at, this.#kernels, this.#rows, this.#pitch, this.#stride]
    const { evenLines, oddLines, evenResponses, oddResponses, scale } = at
    const [n, lines] = [filters.length, channels * SIDE]
    this.#space.floats(at.image, image.length).set(image)
    kernels.patchLines(evenLines, oddLines, scale, at.image, channels, width, rows, pitch, stride, contrast)
    kernels.combine(evenResponses, at.evenFilters, evenLines, n, 3 * lines, stride)
    kernels.combine(oddResponses, at.oddFilters, oddLines, n, 2 * lines, stride)
    const { out, offsets, ends, down, across, scratch } = at
    kernels.poolCells(
      out,
      evenResponses,
      oddResponses,
      scale,
      offsets,
      ends,
      down,
      across,
      scratch,
      n,
      pitch,
      stride,
      threshold,
    )
    return this.#space.floats(out, 4 * n * CELLS * CELLS)
  }

  /** Sets the scaling that gives the square roots of the means mean 0 and variance 1. @param centre, scale  one value for each feature */
  standardise(centre: Float32Array, scale: Float32Array): void {
    this.#space.floats(this.#at.centre, centre.length).set(centre)
    this.#space.floats(this.#at.scales, scale.length).set(scale)
  }

  /**
   * The parts of an image's features that mirroring keeps, then those that it negates, as integers. A new array. @param unit  the value of
   * 1, a power of two
   */
  parts(image: Float32Array, unit: number): Int8Array {
    const { out, centre, scales, parts } = this.#at
    this.apply(image)
    this.#kernels.mirrorParts(parts, out, centre, scales, this.#options.filters.length, 1 / unit)
    return this.#space.bytes(parts, 4 * this.#options.filters.length * CELLS * CELLS).slice()
  }

  /** Stores the even and odd parts of the filters without their means, since normalised patches have mean 0. */
  #putFilters(): void {
    const { filters, mean } = this.#options
    filters.forEach((given, k) => {
      const average = given.reduce((sum, value) => sum + value, 0) / given.length
      const filter = given.map((value) => value - average)
      const [even, odd]: number[][] = [[], []]
      for (let i = 0; i < filter.length; i += SIDE) {
        const [a, b, middle, d, e] = filter.subarray(i, i + SIDE)
        even.push(middle, (a + e) / 2, (b + d) / 2)
        odd.push((a - e) / 2, (b - d) / 2)
      }
      this.#space.floats(this.#at.evenFilters + 4 * k * even.length, even.length).set(even)
      this.#space.floats(this.#at.oddFilters + 4 * k * odd.length, odd.length).set(odd)
      const offset = filter.reduce((sum, value, i) => sum + value * mean[i], 0)
      this.#space.floats(this.#at.offsets + 4 * k, 1)[0] = offset
    })
  }

  /** Stores the weights of patches in the cells: each patch counts in the two nearest cells of each direction, in the nearer one more. */
  #putCells(columns: number): void {
    const { ends, down, across } = this.#at
    const vertical = cellWeights(this.#rows)
    const rows = this.#space.floats(down, 2 * this.#rows)
    vertical.first.forEach((first, row) => {
      rows[2 * row] = vertical.weights[first]?.[row] ?? 0
      rows[2 * row + 1] = vertical.weights[first + 1]?.[row] ?? 0
    })
    const last = Array.from({ length: CELLS + 1 }, (_, cell) => vertical.first.filter((first) => first < cell).length)
    this.#space.integers(ends, CELLS + 1).set(last)
    cellWeights(columns).weights.forEach((weights, cell) => {
      this.#space.floats(across + 4 * cell * this.#pitch, columns).set(weights)
    })
  }
}

function regions(
  space: Space,
  { channels, height, width, filters }: FilterBankOptions,
  [rows, pitch, stride]: readonly number[],
) {
  const [n, lines] = [filters.length, channels * SIDE]
  return layOut(space, {
    image: 4 * (channels * height * width + pitch + SIDE), // `pitch` and SIDE floats of zeros, which the last vectors of a line read beyond the image
    evenFilters: 4 * n * 3 * lines,
    oddFilters: 4 * n * 2 * lines,
    offsets: 4 * n,
    ends: 4 * (CELLS + 1),
    down: 4 * 2 * rows,
    across: 4 * CELLS * pitch,
    evenLines: 4 * 3 * lines * stride,
    oddLines: 4 * 2 * lines * stride,
    evenResponses: 4 * n * stride,
    oddResponses: 4 * n * stride,
    scale: 4 * stride,
    scratch: 4 * 4 * 4 * CELLS * CELLS,
    out: 4 * 4 * n * CELLS * CELLS,
    centre: 4 * 4 * n * CELLS * CELLS,
    scales: 4 * 4 * n * CELLS * CELLS,
    parts: 4 * n * CELLS * CELLS,
  })
}

/**
 * Weights of a line of patches: the first of the two cells that each patch counts in (or -1), and for each cell the weights of all patches,
 * with sum 1.
 */
function cellWeights(length: number): { first: number[]; weights: number[][] } {
  const places = Array.from({ length }, (_, i) => ((i + 0.5) * CELLS) / length - 0.5)
  const weights = Array.from({ length: CELLS }, (_, cell) => {
    const raw = places.map((at) => Math.max(0, 1 - Math.abs(at - cell)))
    const total = raw.reduce((sum, weight) => sum + weight, 0)
    return raw.map((weight) => weight / total)
  })
  return { first: places.map(Math.floor), weights }
}
