/** Filters on all patches of an image, pooled; kept by a core, with one layout for both cores. */

import type { FilterBankOptions } from './core'
import { type CoreFunction, layOut, type Space } from './space'

/** Side of a patch in pixels, cells per side of the pooling grid. */
export const SIDE = 5
export const CELLS = 4

/** Of assembly/patches.ts, with the parameters that they have there. */
export type PatchKernels = Readonly<Record<'patchLines' | 'combine' | 'poolCells' | 'mirrorParts', CoreFunction>>

export class FilterBank {
  readonly #space: Space
  readonly #kernels: PatchKernels
  readonly #options: FilterBankOptions
  /** Rows of patches, patches in a row rounded up to 4, floats from line to line. */
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
   * @returns sign (2) x filter, then its mirror image x row x column of the grid; until another image is begun
   */
  apply(image: Float32Array): Float32Array {
    const { channels, width, filters } = this.#options
    const [contrast, threshold] = [this.#options.contrast, this.#options.threshold].map(Math.fround) // as WASM takes them
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

  /** What brings the square roots of the means to mean 0 and variance 1: features. */
  standardise(centre: Float32Array, scale: Float32Array): void {
    this.#space.floats(this.#at.centre, centre.length).set(centre)
    this.#space.floats(this.#at.scales, scale.length).set(scale)
  }

  /** The parts of an image's features that mirroring keeps, and those that it negates, in units; fresh. @param unit  a power of two */
  parts(image: Float32Array, unit: number): Int8Array {
    const { out, centre, scales, parts } = this.#at
    this.apply(image)
    this.#kernels.mirrorParts(parts, out, centre, scales, this.#options.filters.length, 1 / unit)
    return this.#space.bytes(parts, 4 * this.#options.filters.length * CELLS * CELLS).slice()
  }

  /** Their even and odd parts, without their means: patches have none. */
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

  /** Every patch counts in the two nearest cells of each direction, the nearer the more. */
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
    image: 4 * (channels * height * width + pitch + SIDE), // what the last vectors of a line read beyond it is zero
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

/** Of a line of patches: the first of the two cells that each counts in (or -1), and per cell all weights; their sum is 1. */
function cellWeights(length: number): { first: number[]; weights: number[][] } {
  const places = Array.from({ length }, (_, i) => ((i + 0.5) * CELLS) / length - 0.5)
  const weights = Array.from({ length: CELLS }, (_, cell) => {
    const raw = places.map((at) => Math.max(0, 1 - Math.abs(at - cell)))
    const total = raw.reduce((sum, weight) => sum + weight, 0)
    return raw.map((weight) => weight / total)
  })
  return { first: places.map(Math.floor), weights }
}
