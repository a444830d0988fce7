/**
 * Features of signals, such as sound: like those of images (patches.ts), along time. Raw samples cannot compare signals of which one begins a little later
 * (spoken digits: 22 % of the labels right, 95 % with these features).
 */

import { seeded } from '../base/random'
import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/space'
import { paced, perStep } from './steps'
import type { Archive } from './unpack'
import { normalise, normaliseAll, savedContrast, THRESHOLD, whitened } from './whitening'

/** Samples in a patch, per channel. */
const SIDE = 16
const FILTERS = 32
/** Parts that a signal is divided into along time; responses are pooled in each. */
const CELLS = 16
/** An input counts as a signal if it is at least this long and has at most this many channels. */
const SHORTEST = 256
const CHANNELS = 4
/** The most patches of a signal that are filtered. */
const MOST_PATCHES = 1024
/** Random patches that filters are learned from. */
const PATCHES = 4000

/** The number of features of a signal. */
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

/** Bytes that learning takes temporarily, with the features of one signal. */
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
  /** CELLS rows: the weight of each patch in that cell; patches near its middle weigh more. */
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

  /** @throws RangeError for arrays that `save` never gave */
  static load(core: Core, shape: readonly number[], archive: Archive): Signals {
    const contrast = savedContrast(archive)
    return new Signals(core, shape, contrast, archive.take('filters', 'f4', FILTERS * SIDE * sizesOf(shape).channels))
  }

  /** Learns filters from random patches of some signals. In steps. */
  static *learn(core: Core, shape: readonly number[], signals: readonly Float32Array[]): Generator<void, Signals> {
    const sizes = sizesOf(shape)
    const random = seeded(1)
    const patches: Float32Array[] = []
    yield* paced(PATCHES, perStep(4 * SIDE), () => {
      const signal = signals[random.below(signals.length)]
      patches.push(patchAt(signal, random.below(sizes.length - SIDE + 1), sizes))
    })
    const { contrast, variances, usual } = yield* normaliseAll(patches)
    const chosen = loud(variances, usual).map((which) => patches[which])
    return new Signals(core, shape, contrast, (yield* whitened(core, patches, chosen)).filters)
  }

  /** @returns SIGNAL_FEATURES values, fresh: cell x filter */
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

/** Draws FILTERS patches, loud ones more often: most of a recording may be silence. */
function loud(variances: Float64Array, usual: number): number[] {
  const random = seeded(2)
  const chosen: number[] = []
  for (let tries = 0; chosen.length < FILTERS && tries < 100 * FILTERS; tries++) {
    const which = random.below(variances.length)
    if (random.next() * usual <= variances[which]) chosen.push(which)
  }
  while (chosen.length < FILTERS) chosen.push(random.below(variances.length)) // if hardly any patch is loud
  return chosen
}

/** CELLS rows of `count` weights, each row a triangle about the middle of its cell. */
function poolOf(count: number): Float32Array {
  const pool = new Float32Array(CELLS * count)
  for (let cell = 0; cell < CELLS; cell++) {
    const row = pool.subarray(cell * count, (cell + 1) * count)
    for (let at = 0; at < count; at++) {
      row[at] = Math.max(0, 1 - Math.abs(((at + 0.5) * CELLS) / count - 0.5 - cell))
    }
    const total = row.reduce((sum, weight) => sum + weight, 0) || 1
    for (let at = 0; at < count; at++) row[at] /= total
  }
  return pool
}
