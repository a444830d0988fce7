/**
 * Patch features of images and their mirror images, in two parts: mirroring keeps the even one and negates the odd one.
 * |a - b|² is |even - even'|² + |odd - odd'|²; for the mirror image of b the odd parts add up instead.
 */

import { joined } from '../arrays'
import type { Core, RowTable } from '../core/core'
import { CELLS } from '../core/filter-bank'
import { multiplied } from '../core/space'
import type { Archive } from './archive'

/** Half of them are mirror images of the others. */
export const FILTERS = 64
/** Values in an image's features. */
export const PATCH_FEATURES = 2 * FILTERS * CELLS * CELLS
/** Values of the parts are kept in 8 bits, as multiples of this: that changes a distance by a thousandth. */
export const PART_STEP = 1 / 16

/** One query as it is compared. Only patch features have an odd part. */
export interface Point {
  even: Float32Array
  odd?: Float32Array
}

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

/** Both parts of an image's features; all values are multiples of PART_STEP. */
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

function squaredLength(row: Float32Array): number {
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += row[i] * row[i]
  return sum
}

/** Squared distance of an image to its own mirror image. */
export function toMirror({ odd }: Point): number {
  return odd ? 4 * squaredLength(odd) : 0
}

/** The points of remembered queries, with a core that finds distances to them. */
export class PointTable {
  /** Values in a point. */
  readonly width: number
  readonly #even: RowTable
  readonly #odd: RowTable | undefined
  /** Squared lengths of the odd parts. */
  readonly #oddLengths: number[] = []

  /** @param width  values in a point, all of them even; default: patch features in two parts */
  constructor(core: Core, capacity: number, width?: number) {
    this.width = width ?? PATCH_FEATURES
    const part = () => core.table(PATCH_FEATURES / 2, capacity, PART_STEP)
    this.#even = width ? core.table(width, capacity) : part()
    this.#odd = width ? undefined : part()
  }

  /** Whether points have an odd part. */
  get mirrors(): boolean {
    return this.#odd !== undefined
  }

  /** Copies it in, over whatever was there. */
  put({ even, odd }: Point, place: number): void {
    this.#even.set(place, even)
    if (!odd) return
    this.#odd?.set(place, odd)
    this.#oddLengths[place] = squaredLength(odd)
  }

  /** A copy. */
  at(place: number): Point {
    const even = this.#even.get(place)
    return this.#odd ? { even, odd: this.#odd.get(place) } : { even }
  }

  /** Squared distances to points from .. to - 1, and to those of their mirror images. */
  distances({ even, odd }: Point, to: number, from = 0): { plain: Float32Array; mirrored?: Float32Array } {
    const same = this.#even.distances(even, to, from)
    if (!odd || !this.#odd) return { plain: same }
    const turned = this.#odd.distances(odd, to, from)
    const length = squaredLength(odd)
    const [plain, mirrored] = [new Float32Array(to - from), new Float32Array(to - from)]
    for (let i = 0; i < plain.length; i++) {
      plain[i] = same[i] + turned[i]
      mirrored[i] = same[i] + Math.max(0, 2 * (length + this.#oddLengths[from + i]) - turned[i])
    }
    return { plain, mirrored }
  }

  /** The first `count` points as arrays by name, for `load`. */
  save(count: number): Record<string, Float32Array | Int8Array> {
    const rows = (table: RowTable) => Array.from({ length: count }, (_, i) => table.get(i))
    if (!this.#odd) return { even: joined(rows(this.#even), Float32Array) }
    const quantised = (table: RowTable) => new Int8Array(multiplied(joined(rows(table), Float32Array), 1 / PART_STEP))
    return { even: quantised(this.#even), odd: quantised(this.#odd) }
  }

  /** @throws RangeError for what `save` never gave */
  load(archive: Archive, count: number): void {
    const [width, kind, step] = this.#odd
      ? ([this.width / 2, 'i1', PART_STEP] as const)
      : ([this.width, 'f4', 1] as const)
    const part = (name: string) => {
      const all = archive.take(name, kind, count * width)
      return (i: number) => multiplied(all.subarray(i * width, (i + 1) * width), step)
    }
    const [even, odd] = [part('even'), this.#odd && part('odd')]
    for (let i = 0; i < count; i++) this.put({ even: even(i), ...(odd && { odd: odd(i) }) }, i)
  }
}
