/**
 * Patch features of images and their mirror images, in two parts: mirroring keeps the even one and negates the odd one.
 * |a - b|² is |even - even'|² + |odd - odd'|²; for the mirror image of b the odd parts add up instead.
 */

import { joined } from '../base/arrays'
import type { Core, HalvesTable, RowTable } from '../core/core'
import { CELLS } from '../core/filter-bank'
import { squaredLengths } from '../core/space'
import type { Archive } from './unpack'

/** Half of them are mirror images of the others. */
export const FILTERS = 64
/** Values in an image's features. */
export const PATCH_FEATURES = 2 * FILTERS * CELLS * CELLS
/** Values of the parts are kept in 8 bits, as multiples of this: that changes a distance by a thousandth. */
export const PART_STEP = 1 / 16

/** Where each feature of an image is found in its mirror image: filters and columns change places. */
const MIRROR = Int32Array.from({ length: PATCH_FEATURES }, (_, at) => {
  const [filter, cell] = [Math.floor(at / CELLS / CELLS), at % (CELLS * CELLS)]
  const partner = filter - (filter % FILTERS) + ((filter + FILTERS / 2) % FILTERS)
  return partner * CELLS * CELLS + cell - (cell % CELLS) + CELLS - 1 - (cell % CELLS)
})

/** The features of the mirror image. */
export function mirrored(features: Float32Array): Float32Array {
  return features.map((_, at) => features[MIRROR[at]])
}

/** A query as it is compared: values; or of an image the two parts of its features, the even one first, in multiples of PART_STEP. */
export type Point = Float32Array | Int8Array

const HALF = PATCH_FEATURES / 2

/** Squared distance of an image to its own mirror image. */
export function toMirror(point: Point): number {
  return point instanceof Int8Array ? 4 * PART_STEP ** 2 * squaredLengths(point)[1] : 0
}

/** The points of remembered queries, with a core that finds distances to them. */
export class PointTable {
  readonly width: number
  readonly #values: RowTable | undefined
  readonly #parts: HalvesTable | undefined

  /** @param width  values in a point; default: patch features in two parts */
  constructor(core: Core, capacity: number, width?: number) {
    this.width = width ?? PATCH_FEATURES
    this.#values = width ? core.table(width, capacity) : undefined
    this.#parts = width ? undefined : core.halvesTable(HALF, capacity, PART_STEP)
  }

  get mirrors(): boolean {
    return this.#parts !== undefined
  }

  /** Copies it in, over whatever was there. */
  put(point: Point, place: number): void {
    this.#values?.set(place, point as Float32Array)
    this.#parts?.set(place, point as Int8Array)
  }

  /** A copy. */
  at(place: number): Point {
    return (this.#values ?? (this.#parts as HalvesTable)).get(place)
  }

  /** Squared distances to points from .. to - 1, and to those of their mirror images. Until it is asked for others. */
  distances(point: Point, to: number, from = 0): { plain: Float32Array; turned?: Float32Array } {
    if (this.#parts) return this.#parts.distances(point as Int8Array, to, from)
    return { plain: (this.#values as RowTable).distances(point as Float32Array, to, from) }
  }

  /** The first `count` points as arrays by name, for `load`. */
  save(count: number): Record<string, Float32Array | Int8Array> {
    const points = Array.from({ length: count }, (_, i) => this.at(i))
    if (this.#values) return { even: joined(points as Float32Array[], Float32Array) }
    const part = (from: number) =>
      joined(points.map((row) => row.subarray(from, from + HALF)) as Int8Array[], Int8Array)
    return { even: part(0), odd: part(HALF) }
  }

  /** @throws RangeError for what `save` never gave */
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
