/** What a memory is made for: the shapes of queries and answers, the features that queries are compared by, and how many pairs fit in its bytes. */

import { checkInteger, checkLengths, checkNames, checkWord, expected } from '../base/check'
import { type Criterion, criterionFor, type JudgedOutput, judgedOf } from '../base/criterion'
import { seeded } from '../base/random'
import { size } from '../base/tensor'
import { BLOCK, matrixBytes } from '../core/kernel-matrix'
import { ARRAY_BYTES } from '../core/space'
import { halvesBytes, PIECE, tableBytes } from '../core/wasm'
import { studied, studyBytes } from './metric'
import { PATCH_FEATURES } from './mirror'
import { filterBytes, hasPatches, isLegible, learningBytes, shrunk, shrunkSize } from './patches'
import { isSignal, SIGNAL_FEATURES, signalBytes } from './signals'
import type { Compared } from './similarity'

/** The user's feature function. */
export type OwnFeatures = (query: Float32Array) => Float32Array

/** Queries come as the user's features, which were computed elsewhere; `sample` are the features of a fixed query. */
export interface GivenFeatures {
  readonly sample: Float32Array
}

/** How queries are compared: by their values ('raw'), by features of images ('patches') or of signals, or by the user's own features. */
export type Features = 'raw' | 'patches' | 'signals' | OwnFeatures | GivenFeatures

export const featureNames = ['raw', 'patches', 'signals'] as const

export interface MemoryOptions {
  /** The shape of a query. */
  shape: readonly number[]
  /** The lengths of the inputs that a query is made of. Default: one input. */
  parts?: readonly number[] | undefined
  /** Values in an answer. */
  outputs: number
  /** When a recovered answer is right. Default: when it has the model's label; for an answer of one value: when it is within a tolerance. */
  criterion?: Criterion | undefined
  /** The most bytes that the memory holds in all. Default 64 MiB. */
  bytes?: number | undefined
  /**
   * Default: 'patches' for images of 12 x 12 or more, channels first or last; for signals of 256 samples or more ([L], or [C, L] with up to 4
   * channels) 'raw' or 'signals', whichever predicts the first answers better; else 'raw'. The weight of each value or feature is learned, but not
   * for 'patches'.
   */
  features?: Features | undefined
}

const optionNames = ['shape', 'parts', 'outputs', 'criterion', 'bytes', 'features']

/** The default of `bytes`. */
export const DEFAULT_BYTES = 64 * 2 ** 20
/** With fewer pairs a memory is useless: a full one cannot use the block that is being overwritten. */
export const LEAST_PAIRS = 2 * BLOCK

export interface Domain extends Readonly<Required<MemoryOptions>> {
  /** The outputs of an answer, and when each is right. */
  readonly judged: readonly JudgedOutput[]
  /** Whether the first answers decide between 'raw' and 'signals'. */
  readonly open: boolean
  /** The user's features of a fixed query; undefined without a feature function. */
  readonly sample: Float32Array | undefined
  readonly sizes: Sizes
  /** The number of pairs that fit. */
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
  let sample: Float32Array | undefined
  if (typeof features === 'object') sample = features.sample
  else if (typeof features === 'function') sample = sampleFeatures(features, inputs)
  const sizes = sizesOf(shape, outputs, features, sample)
  if (open) Object.assign(sizes, { kind: 'signals', width: Math.max(inputs, SIGNAL_FEATURES) })
  const capacity = room(bytes, sizes, LEAST_PAIRS)
  if (capacity < LEAST_PAIRS) {
    throw new RangeError(
      `memory.bytes: expected >= ${footprint(sizes, LEAST_PAIRS)}, for ${LEAST_PAIRS} pairs, got ${bytes} (shared by limits.tenants)`,
    )
  }
  const judged = judgedOf(criterion)
  return { shape, parts, outputs, criterion, judged, features, open, sample, bytes, sizes, capacity }
}

function checkCriterion(criterion: Criterion, outputs: number): Criterion {
  if (criterion.kind === 'label') {
    checkInteger('criterion.classes', criterion.positions * criterion.classes, 2, outputs)
  } else if (criterion.kind === 'top') {
    checkInteger('criterion.k', criterion.k, 1, outputs - 1)
  } else if (criterion.kind === 'outputs') {
    const sum = criterion.outputs.reduce((sum, { size = Number.NaN }) => sum + size, 0)
    if (sum !== outputs) throw new RangeError(expected('criterion.outputs', `sizes that add up to ${outputs}`, sum))
  } else if (!['labels', 'tolerance', 'relative', 'equal'].includes(criterion.kind)) {
    const kinds = "'label' | 'labels' | 'top' | 'tolerance' | 'relative' | 'equal' | 'outputs'"
    throw new TypeError(expected('criterion.kind', kinds, criterion))
  }
  return criterion
}

function checkFeatures(own: Features | undefined, shape: readonly number[]): Features {
  const features = own ?? (hasPatches(shape) ? 'patches' : 'raw')
  if (typeof features === 'function' || typeof features === 'object') return features
  checkWord('features', features, featureNames)
  if ((features === 'patches' && !hasPatches(shape)) || (features === 'signals' && !isSignal(shape))) {
    throw new RangeError(`features: expected 'raw' for shape [${shape}], got '${features}'`)
  }
  return features
}

/** The user's features of a fixed random query, by which a saved state recognises the function. */
export function sampleFeatures(features: OwnFeatures, inputs: number): Float32Array {
  const random = seeded(1)
  return ownFeatures(
    features,
    Float32Array.from({ length: inputs }, () => random.next()),
  )
}

/** Calls the user's function. @param field  the function's name in errors @returns a copy of the features @throws TypeError for anything but finite values */
export function ownFeatures<Q>(
  features: (query: Q) => Float32Array,
  query: Q,
  width?: number,
  field = 'features',
): Float32Array {
  const own = features(query)
  const fits = own instanceof Float32Array && own.length && own.every(Number.isFinite)
  if (fits && own.length === (width ?? own.length)) return own.slice()
  throw new TypeError(expected(`${field}(query)`, `a Float32Array of ${width ? `${width} ` : ''}finite values`, own))
}

/** What a memory keeps of a query: the user's features, a shrunk image, or the query itself. Undefined if its values are too large to be compared. */
export function reduced(query: Float32Array, { shape, features, sample }: Domain): Float32Array | undefined {
  if (typeof features === 'function') return ownFeatures(features, query, sample?.length)
  if (features !== 'patches') return query
  const image = shrunk(query, shape)
  return isLegible(image) ? image : undefined
}

export interface Sizes {
  shape: readonly number[]
  outputs: number
  kind: Compared
  /** The number of features that are compared. */
  width: number
  /** The number of values that are kept of a query until the memory begins. */
  kept: number
}

export function sizesOf(shape: readonly number[], outputs: number, features: Features, own?: Float32Array): Sizes {
  const kept = size({ shape })
  if (features === 'patches') return { shape, outputs, kind: features, width: PATCH_FEATURES, kept: shrunkSize(shape) }
  if (features === 'signals') return { shape, outputs, kind: features, width: SIGNAL_FEATURES, kept }
  const width = own?.length ?? kept
  return { shape, outputs, kind: 'values', width, kept: width }
}

/** The largest share of its bytes that a memory of images sets aside for beginning afresh. */
const AFRESH = 1 / 8

/** How many pairs fit. What beginning afresh takes is set aside, if that is a small share and leaves room for `least` pairs. */
export function room(bytes: number, sizes: Sizes, least: number): number {
  const spare = sizes.kind === 'patches' ? beginning(sizes) : 0
  const beside = spare <= AFRESH * bytes ? fitting(bytes - spare, sizes) : 0
  return beside >= least ? beside : fitting(bytes, sizes)
}

/** The bytes with which a memory has room for `count` pairs. */
export function needed(sizes: Sizes, count: number): number {
  const bytes = footprint(sizes, count)
  return room(bytes, sizes, count) >= count ? bytes : grown(sizes, count) + beginning(sizes)
}

/** The most pairs whose footprint fits. */
function fitting(bytes: number, sizes: Sizes): number {
  let [low, high] = [0, Math.max(0, Math.floor(bytes / sizes.width))]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (footprint(sizes, middle) <= bytes) low = middle
    else high = middle - 1
  }
  return low
}

/** The most bytes that a memory of at most `count` pairs takes, while it begins or in the end. */
export function footprint(sizes: Sizes, count: number): number {
  return Math.max(beginning(sizes), grown(sizes, count))
}

/** Bytes of a memory of `count` pairs: tables, regression, and scratch space of the core. */
export function grown({ shape, outputs, kind, width }: Sizes, count: number): number {
  const tables = kind === 'patches' ? halvesBytes(width / 2, count) : tableBytes(width, count)
  const filters = kind === 'patches' ? filterBytes(shape) : 0
  return PIECE + filters + tables + regressionBytes(outputs, count)
}

/** Bytes of the kernel matrix and answers, and of what solving one block takes: residuals, and an inverse in f64. */
function regressionBytes(outputs: number, pairs: number): number {
  const block = 4 * BLOCK * outputs + 2 * 8 * BLOCK * BLOCK
  return matrixBytes(outputs, pairs) + pairs * (4 * outputs + ARRAY_BYTES) + block
}

/** Bytes while a memory begins: the first pairs, and what deciding takes. Images try two regressions; all others keep the features of the first pairs. */
export function beginning(sizes: Sizes): number {
  const { shape, outputs, kind, width, kept } = sizes
  const first = BLOCK * (4 * (kept + outputs) + 2 * ARRAY_BYTES)
  const points = BLOCK * (4 * width + 2 * ARRAY_BYTES)
  const begun = points + grown(sizes, BLOCK)
  if (kind === 'patches') return first + Math.max(learningBytes(shape), begun + regressionBytes(outputs, BLOCK))
  const learning = kind === 'signals' ? signalBytes(shape) : 0
  return first + points + Math.max(learning, studyBytes(BLOCK, width, outputs), begun)
}

/** Bytes while a metric is chosen again by `count` pairs, and these are remembered under two metrics. */
export function restudying(sizes: Sizes, count: number): number {
  const { outputs, width } = sizes
  const some = Math.min(count, studied(width))
  const rows = some * (4 * width + ARRAY_BYTES)
  return grown(sizes, count) + rows + Math.max(studyBytes(some, width, outputs), grown(sizes, count))
}

/** The sizes of all features that a memory may choose by itself. */
export function ownSizes(shape: readonly number[], outputs: number): Sizes[] {
  const fits = { raw: true, patches: hasPatches(shape), signals: isSignal(shape) }
  const kinds = (['raw', 'patches', 'signals'] as const).filter((kind) => fits[kind])
  return kinds.map((kind) => sizesOf(shape, outputs, kind))
}
