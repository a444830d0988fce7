/** What a memory is made for: shapes of queries and answers, how queries are compared, how many there is room for. */

import { checkInteger, checkLengths, checkNames, checkWord, expected } from '../check'
import { BLOCK } from '../core/kernel-matrix'
import { type Criterion, criterionFor } from '../criterion'
import { seeded } from '../random'
import { size } from '../tensor'
import { footprint, room, type Sizes, sizesOf } from './footprint'
import { hasPatches, isLegible, shrunk } from './patches'
import { isSignal, SIGNAL_FEATURES } from './signals'

type OwnFeatures = (query: Float32Array) => Float32Array

/** How queries are compared: by their values, as images or signals by their patches, or by the user's own features. */
export type Features = 'raw' | 'patches' | 'signals' | OwnFeatures

export const featureNames = ['raw', 'patches', 'signals'] as const

export interface MemoryOptions {
  /** Shape of a query; one number where it has none. */
  shape: readonly number[]
  /** Lengths of the inputs that a query is made of. Default: one. */
  parts?: readonly number[] | undefined
  /** Values in an answer. */
  outputs: number
  /** When a recovered answer is right. Default: when its largest value is the model's; one value has no label. */
  criterion?: Criterion | undefined
  /** What it may hold, all in all. Default 64 MiB. */
  bytes?: number | undefined
  /**
   * Default: 'patches' for images of 12 x 12 or more, channels first or last; 'raw' or 'signals', whichever predicts
   * the first answers better, for signals of 256 samples or more, [L] or [C, L] with up to 4 channels; else 'raw'. How
   * much each of the values or features counts is learned, but for 'patches'.
   */
  features?: Features | undefined
}

const optionNames = ['shape', 'parts', 'outputs', 'criterion', 'bytes', 'features']

/** What a memory may hold where nothing else is said. */
export const DEFAULT_BYTES = 64 * 2 ** 20
/** Fewer pairs are of no use: a full memory has to do without the block that is being written over. */
export const LEAST_PAIRS = 2 * BLOCK
/** Share of its bytes that the first queries may take; larger ones are kept as the user's own features of them. */
const EARLY = 1 / 8

export interface Domain extends Readonly<Required<MemoryOptions>> {
  /** Whether the first answers decide between 'raw' and 'signals'. */
  readonly open: boolean
  /** What the user's own features give for one certain query. */
  readonly sample: Float32Array | undefined
  /** Whether the user's own features are computed as soon as a query comes. */
  readonly early: boolean
  readonly sizes: Sizes
  /** Pairs it has room for. */
  readonly capacity: number
}

/** @throws TypeError, RangeError for options out of range */
export function domainOf(options: MemoryOptions): Domain {
  checkNames('', options, optionNames)
  const shape = checkLengths('shape', options.shape)
  const inputs = size({ shape })
  const outputs = checkInteger('outputs', options.outputs, 1)
  const criterion = checkCriterion(options.criterion ?? criterionFor(outputs), outputs)
  const bytes = checkInteger('bytes', options.bytes ?? DEFAULT_BYTES, 1)
  const features = checkFeatures(options.features, shape)
  const parts = options.parts ?? [inputs]
  if (parts.reduce((sum, length) => sum + length, 0) !== inputs) {
    throw new RangeError(expected('parts', `lengths that add up to ${inputs}`, parts))
  }
  const open = options.features === undefined && isSignal(shape)
  const random = seeded(1)
  const certain = () => Float32Array.from({ length: inputs }, () => random.next()) // like no query that may come
  const sample = typeof features === 'function' ? ownFeatures(features, certain()) : undefined
  const early = sample !== undefined && 4 * inputs * BLOCK > EARLY * bytes
  const sizes = sizesOf(shape, outputs, features, sample)
  if (open) Object.assign(sizes, { kind: 'signals', width: Math.max(inputs, SIGNAL_FEATURES) })
  if (early) sizes.kept = sizes.width
  const capacity = room(bytes, sizes, LEAST_PAIRS)
  if (capacity < LEAST_PAIRS) {
    throw new RangeError(`bytes: expected >= ${footprint(sizes, LEAST_PAIRS)}, for ${LEAST_PAIRS} pairs, got ${bytes}`)
  }
  return { shape, parts, outputs, criterion, features, open, sample, early, bytes, sizes, capacity }
}

function checkCriterion(criterion: Criterion, outputs: number): Criterion {
  if (criterion.kind === 'label') {
    checkInteger('criterion.classes', criterion.positions * criterion.classes, 2, outputs)
  } else if (criterion.kind !== 'tolerance') {
    throw new TypeError(expected('criterion.kind', "'label' | 'tolerance'", criterion))
  }
  return criterion
}

function checkFeatures(own: Features | undefined, shape: readonly number[]): Features {
  const features = own ?? (hasPatches(shape) ? 'patches' : 'raw')
  if (typeof features === 'function') return features
  checkWord('features', features, featureNames)
  if ((features === 'patches' && !hasPatches(shape)) || (features === 'signals' && !isSignal(shape))) {
    throw new RangeError(`features: expected 'raw' for shape [${shape}], got '${features}'`)
  }
  return features
}

/** A copy of what the user's function gives. */
export function ownFeatures(features: OwnFeatures, query: Float32Array, width?: number): Float32Array {
  const own = features(query)
  const fits = own instanceof Float32Array && own.length && own.every(Number.isFinite)
  if (fits && own.length === (width ?? own.length)) return own.slice()
  throw new TypeError(expected('features(query)', `a Float32Array of ${width ?? ''} finite values`, own))
}

/** What is kept of a query until the memory begins, and compared; undefined for values too large to be compared. */
export function reduced(query: Float32Array, { shape, features, early, sample }: Domain): Float32Array | undefined {
  if (typeof features === 'function' && early) return ownFeatures(features, query, sample?.length)
  if (features !== 'patches') return query
  const image = shrunk(query, shape)
  return isLegible(image) ? image : undefined
}
