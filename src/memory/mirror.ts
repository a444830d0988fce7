/**
 * Patch features of images in two parts, so that distances to mirror images come for little: mirroring an image keeps the even part and negates the odd
 * part. |a - b|² is |even - even'|² + |odd - odd'|²; for the mirror image of b it is |even - even'|² + |odd + odd'|².
 */

import { joined } from '../base/arrays'
import type { Core, HalvesTable, RowTable } from '../core/core'
import { CELLS } from '../core/filter-bank'
import { squaredLengths } from '../core/space'
import type { Archive } from './unpack'

/** Filters; the second half are mirror images of the first half. */
export const FILTERS = 64
/** The number of features of an image. */
export const PATCH_FEATURES = 2 * FILTERS * CELLS * CELLS
/** Even and odd parts are kept in 8 bits, as multiples of this. That changes a distance by a thousandth. */
export const PART_STEP = 1 / 16

/** The index of each feature in the mirror image's features: filters and columns change places. */
const MIRROR = Int32Array.from({ length: PATCH_FEATURES }, (_, at) => {
  const [filter, cell] = [Math.floor(at / CELLS / CELLS), at % (CELLS * CELLS)]
  const partner = filter - (filter % FILTERS) + ((filter + FILTERS / 2) % FILTERS)
  return partner * CELLS * CELLS + cell - (cell % CELLS) + CELLS - 1 - (cell % CELLS)
})

/** The features of an image's mirror image. */
export function mirrored(features: Float32Array): Float32Array {
  return features.map((_, at) => features[MIRROR[at]])
}

/** What is compared of a query: values; or for an image the even and then the odd part of its features, in multiples of PART_STEP. */
export type Point = Float32Array | Int8Array

const HALF = PATCH_FEATURES / 2

/** The squared distance of an image to its own mirror image; 0 for values. */
export function toMirror(point: Point): number {
  return point instanceof Int8Array ? 4 * PART_STEP ** 2 * squaredLengths(point)[1] : 0
}

/** The points of all remembered queries. */
export class PointTable {
  readonly width: number
  readonly #values: RowTable | undefined
  readonly #parts: HalvesTable | undefined

  /** @param width  values in a point; default: the points are parts of patch features */
  constructor(core: Core, capacity: number, width?: number) {
    this.width = width ?? PATCH_FEATURES
    this.#values = width ? core.table(width, capacity) : undefined
    this.#parts = width ? undefined : core.halvesTable(HALF, capacity, PART_STEP)
  }

  /** Whether it knows distances to mirror images. */
  get mirrors(): boolean {
    return this.#parts !== undefined
  }

  /** Copies a point to a place, which may have another point. */
  put(point: Point, place: number): void {
    this.#values?.set(place, point as Float32Array)
    this.#parts?.set(place, point as Int8Array)
  }

  /** A copy of the point at a place. */
  at(place: number): Point {
    return (this.#values ?? (this.#parts as HalvesTable)).get(place)
  }

  /** Squared distances to the first `count` points, and to their mirror images. The arrays are valid until the next call. */
  distances(point: Point, count: number): { plain: Float32Array; turned?: Float32Array } {
    if (this.#parts) return this.#parts.distances(point as Int8Array, count)
    return { plain: (this.#values as RowTable).distances(point as Float32Array, count) }
  }

  /** The first `count` points as arrays by name, for `load`. */
  save(count: number): Record<string, Float32Array | Int8Array> {
    const points = Array.from({ length: count }, (_, i) => this.at(i))
    if (this.#values) return { even: joined(points as Float32Array[], Float32Array) }
    const part = (from: number) =>
      joined(points.map((row) => row.subarray(from, from + HALF)) as Int8Array[], Int8Array)
    return { even: part(0), odd: part(HALF) }
  }

  /** @throws RangeError for arrays that `save` never gave */
  load(archive: Archive, count: number): void {
    const { width } = this
    if (this.#values) {
      const all = archive.take('even', 'f4', count * width)
      for (let i = 0; i < count; i++) this.put(all.subarray(i * width, (i + 1) * width), i)
      return
    }
    const halves = ['even', 'odd'].map((name) => archive.take(name, 'i1', count * HALF))
    const row = new Int8Array(width)
    for (let i = 0; i < count; i++) {
      for (const [k, half] of halves.entries()) row.set(half.subarray(i * HALF, (i + 1) * HALF), k * HALF)
      this.put(row, i)
    }
  }
}
