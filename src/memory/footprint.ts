/** How many bytes a memory will take for some number of pairs, also while it decides how they are compared. */

import { BLOCK, matrixBytes } from '../core/kernel-matrix'
import { ARRAY_BYTES } from '../core/space'
import { PIECE, tableBytes } from '../core/wasm'
import { size } from '../tensor'
import type { Features } from './domain'
import { studied, studyBytes } from './metric'
import { PART_STEP, PATCH_FEATURES } from './mirror'
import { filterBytes, hasPatches, learningBytes, shrunkSize } from './patches'
import { isSignal, SIGNAL_FEATURES, signalBytes } from './signals'
import type { Compared } from './similarity'

/** What decides how many bytes a pair takes. */
export interface Sizes {
  shape: readonly number[]
  outputs: number
  kind: Compared
  /** Of the features, and of what is kept of a query until the memory begins: numbers of values. */
  width: number
  kept: number
}

export function sizesOf(shape: readonly number[], outputs: number, features: Features, own?: Float32Array): Sizes {
  const kept = size({ shape })
  if (features === 'patches') return { shape, outputs, kind: features, width: PATCH_FEATURES, kept: shrunkSize(shape) }
  if (features === 'signals') return { shape, outputs, kind: features, width: SIGNAL_FEATURES, kept }
  return { shape, outputs, kind: 'values', width: own?.length ?? kept, kept }
}

/** Share of its bytes that a memory sets aside to be able to begin afresh. */
const AFRESH = 1 / 8

/** Pairs that fit: beside what it takes to begin afresh, if that is little and leaves room for `least`. */
export function room(bytes: number, sizes: Sizes, least: number): number {
  const spare = beginning(sizes)
  const beside = spare <= AFRESH * bytes ? fitting(bytes - spare, sizes) : 0
  return beside >= least ? beside : fitting(bytes, sizes)
}

/** Bytes that have room for so many. */
export function needed(sizes: Sizes, count: number): number {
  const bytes = footprint(sizes, count)
  return room(bytes, sizes, count) >= count ? bytes : grown(sizes, count) + beginning(sizes)
}

function fitting(bytes: number, sizes: Sizes): number {
  let [low, high] = [0, Math.max(0, Math.floor(bytes / sizes.width))]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (footprint(sizes, middle) <= bytes) low = middle
    else high = middle - 1
  }
  return low
}

/** Bytes of a memory of at most `count` pairs: of what it begins with, or of what it has in the end. */
export function footprint(sizes: Sizes, count: number): number {
  return Math.max(beginning(sizes), grown(sizes, count))
}

/** Bytes of tables and regression, and of what the core works in. */
export function grown({ shape, outputs, kind, width }: Sizes, count: number): number {
  const tables = kind === 'patches' ? 2 * tableBytes(width / 2, count, PART_STEP) : tableBytes(width, count)
  const filters = kind === 'patches' ? filterBytes(shape) : 0
  return PIECE + filters + tables + regressionBytes(outputs, count)
}

/** Bytes of matrix and answers, and of a block what is left over and an inverse in f64. */
function regressionBytes(outputs: number, pairs: number): number {
  const block = 4 * BLOCK * outputs + 2 * 8 * BLOCK * BLOCK
  return matrixBytes(outputs, pairs) + pairs * (4 * outputs + ARRAY_BYTES) + block
}

/** Bytes of the first pairs, and of deciding how they are compared: patches try two regressions, others keep features. */
export function beginning(sizes: Sizes): number {
  const { shape, outputs, kind, width, kept } = sizes
  const first = BLOCK * (4 * (kept + outputs) + 2 * ARRAY_BYTES)
  const points = BLOCK * (4 * width + 2 * ARRAY_BYTES)
  const begun = points + grown(sizes, BLOCK)
  if (kind === 'patches') return first + Math.max(learningBytes(shape), begun + regressionBytes(outputs, BLOCK))
  const learning = kind === 'signals' ? signalBytes(shape) : 0
  return first + points + Math.max(learning, studyBytes(BLOCK, width, outputs), begun)
}

/** Bytes while so many pairs are studied again, and then remembered anew beside the old ones. */
export function restudying(sizes: Sizes, count: number): number {
  if (sizes.kind === 'patches') return 0
  const { outputs, width } = sizes
  const some = Math.min(count, studied(width))
  const rows = some * (4 * width + ARRAY_BYTES)
  return grown(sizes, count) + rows + Math.max(studyBytes(some, width, outputs), grown(sizes, count))
}

/** Of the features that a memory may choose by itself. */
export function ownSizes(shape: readonly number[], outputs: number): Sizes[] {
  const fits = { raw: true, patches: hasPatches(shape), signals: isSignal(shape) }
  const kinds = (['raw', 'patches', 'signals'] as const).filter((kind) => fits[kind])
  return kinds.map((kind) => sizesOf(shape, outputs, kind))
}
