/**
 * Features of signals, sound or a sensor's: as those of images (patches.ts), along time. Raw samples say nothing of a
 * signal that begins a little later (spoken digits: 22 % of the labels right, 95 % by these).
 */

import { seeded } from '../base/random'
import { moments } from '../base/stats'
import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/space'
import { paced, perStep } from './steps'
import type { Archive } from './unpack'
import { CONTRAST, clippedSum, inverseCovariance, savedContrast, THRESHOLD, whitened } from './whitening'

/** Samples in a patch, per channel; filters; parts that time is divided into. */
const SIDE = 16
const FILTERS = 32
const CELLS = 16
/** Length from which a row is a signal, and channels up to which. */
const SHORTEST = 256
const CHANNELS = 4
/** Patches of a signal that are filtered, at most. */
const MOST_PATCHES = 1024
/** Patches that the whitening is computed from. */
const PATCHES = 4000

/** Values in a signal's features. */
export const SIGNAL_FEATURES = FILTERS * CELLS

/** Whether a shape is that of a signal: [L], [1, L] or [C, L] with few channels that are long. */
export function isSignal(shape: readonly number[]): boolean {
  const { channels, length } = sizesOf(shape)
  return shape.length <= 2 && channels <= CHANNELS && length >= SHORTEST
}

function sizesOf(shape: readonly number[]) {
  const length = shape[shape.length - 1]
  const channels = shape.length === 2 ? shape[0] : 1
  const stride = Math.max(SIDE / 4, Math.ceil((length - SIDE + 1) / MOST_PATCHES))
  return { channels, length, stride, count: Math.floor((length - SIDE) / stride) + 1 }
}

/** Bytes that learning takes for a while, with the features of one signal. */
export function signalBytes(shape: readonly number[]): number {
  const { channels, count } = sizesOf(shape)
  const width = channels * SIDE
  return PATCHES * (2 * 4 * width + ARRAY_BYTES) + (width + FILTERS) * 4 * count
}

export class Signals {
  readonly #core: Core
  readonly #contrast: number
  readonly #filters: Float32Array
  readonly #sizes: ReturnType<typeof sizesOf>
  /** CELLS rows: what each patch counts in each part of time, nearer ones the more. */
  readonly #pool: Float32Array

  /** @param filters  FILTERS rows of a patch's length */
  constructor(core: Core, shape: readonly number[], contrast: number, filters: Float32Array) {
    this.#core = core
    this.#contrast = contrast
    this.#filters = filters
    this.#sizes = sizesOf(shape)
    this.#pool = poolOf(this.#sizes.count)
  }

  /** Arrays by name, for `load`. */
  save(): Record<string, Float32Array | Float64Array> {
    return { contrast: Float64Array.of(this.#contrast), filters: this.#filters }
  }

  /** @throws RangeError for what `save` never gave */
  static load(core: Core, shape: readonly number[], archive: Archive): Signals {
    const contrast = savedContrast(archive)
    return new Signals(core, shape, contrast, archive.take('filters', 'f4', FILTERS * SIDE * sizesOf(shape).channels))
  }

  /** Filters from random patches of some signals, in steps of a few milliseconds. */
  static *learn(core: Core, shape: readonly number[], signals: readonly Float32Array[]): Generator<void, Signals> {
    const sizes = sizesOf(shape)
    const random = seeded(1)
    const width = sizes.channels * SIDE
    const patches: Float32Array[] = []
    const variances = new Float64Array(PATCHES)
    yield* paced(PATCHES, perStep(4 * width), (i) => {
      const signal = signals[random.below(signals.length)]
      patches.push(patchAt(signal, random.below(sizes.length - SIDE + 1), sizes))
      variances[i] = moments(patches[i]).variance
    })
    const { usual, sum } = clippedSum(variances)
    const contrast = CONTRAST * (sum / PATCHES) || 1
    yield* paced(PATCHES, perStep(4 * width), (i) => normalise(patches[i], contrast))
    const inverse = yield* inverseCovariance(core, patches, new Float32Array(width), PATCHES)
    const chosen = loud(variances, usual, FILTERS).map((which) => patches[which])
    const filters = yield* whitened(chosen, inverse, Float32Array)
    return new Signals(core, shape, contrast, filters)
  }

  /** @returns SIGNAL_FEATURES values, fresh: part of time x filter */
  of(signal: Float32Array): Float32Array {
    const { channels, count, stride } = this.#sizes
    const width = channels * SIDE
    const values = Array.from({ length: width }, () => new Float32Array(count))
    for (let at = 0; at < count; at++) {
      const patch = patchAt(signal, at * stride, this.#sizes)
      normalise(patch, this.#contrast)
      for (let i = 0; i < width; i++) values[i][at] = patch[i]
    }
    const responses = this.#core.combine(this.#filters, values)
    const features = new Float32Array(SIGNAL_FEATURES)
    for (let filter = 0; filter < FILTERS; filter++) {
      const row = responses[filter]
      for (let at = 0; at < count; at++) row[at] = Math.max(0, Math.abs(row[at]) - THRESHOLD)
      for (let cell = 0; cell < CELLS; cell++) {
        let sum = 0
        for (let at = 0; at < count; at++) sum += this.#pool[cell * count + at] * row[at]
        features[cell * FILTERS + filter] = Math.sqrt(sum)
      }
    }
    return features
  }
}

function patchAt(signal: Float32Array, at: number, { channels, length }: { channels: number; length: number }) {
  if (channels === 1) return signal.slice(at, at + SIDE)
  const patch = new Float32Array(channels * SIDE)
  for (let c = 0; c < channels; c++) patch.set(signal.subarray(c * length + at, c * length + at + SIDE), c * SIDE)
  return patch
}

/** In place: less its mean, over its deviation. */
function normalise(patch: Float32Array, contrast: number): void {
  const { mean, variance } = moments(patch)
  const scale = 1 / Math.sqrt(variance + contrast)
  for (let i = 0; i < patch.length; i++) patch[i] = (patch[i] - mean) * scale
}

/** Patches drawn by how loud they are: most of a recording may be silence. */
function loud(variances: Float64Array, usual: number, count: number): number[] {
  const random = seeded(2)
  const chosen: number[] = []
  for (let tries = 0; chosen.length < count && tries < 100 * count; tries++) {
    const which = random.below(variances.length)
    if (random.next() * usual <= variances[which]) chosen.push(which)
  }
  while (chosen.length < count) chosen.push(random.below(variances.length)) // all alike
  return chosen
}

function poolOf(count: number): Float32Array {
  const pool = new Float32Array(CELLS * count)
  for (let cell = 0; cell < CELLS; cell++) {
    const row = pool.subarray(cell * count, (cell + 1) * count)
    const [from, to] = [-0.5, 1.5].map((side) => Math.round(((cell + side) * count) / CELLS)) // others are further off
    for (let at = Math.max(0, from - 1); at < Math.min(count, to + 1); at++)
      row[at] = Math.max(0, 1 - Math.abs(((at + 0.5) * CELLS) / count - 0.5 - cell))
    let total = 0
    for (let at = Math.max(0, from - 1); at < Math.min(count, to + 1); at++) total += row[at]
    for (let at = Math.max(0, from - 1); at < Math.min(count, to + 1); at++) row[at] /= total || 1
  }
  return pool
}
