/**
 * Earlier queries and the model's own answers to them: what a lost answer can be recovered from without any
 * redundancy. Bounded, serialisable, without a clock.
 */

import type { Core } from '../core/core'
import type { Table } from '../core/rows'
import { checkInteger, checkWord, expected } from '../errors'
import { seeded } from '../random'
import { size } from '../tensor'
import { pack, unpack } from './archive'
import { hasPatches, mirrorParts, PATCH_FEATURES, Patches, type PatchState } from './patches'
import { BLOCK, KernelRegression, type Predicted, type RegressionState } from './regression'

/** How queries are compared: as they are, as images by their patches, or by the user's own features. */
export type Features = 'raw' | 'patches' | ((query: Float32Array) => Float32Array)

export const featureNames = ['raw', 'patches'] as const

export interface MemoryOptions {
  /** Shape of a query; one number where it has none. */
  shape: readonly number[]
  /** Values in an answer. */
  outputs: number
  /** Values at the start of an answer among which the largest is the label. Default: all. */
  classes?: number
  /** What it may hold, all in all. Default 64 MiB. */
  bytes?: number
  /** Default: 'patches' for images of up to 4 channels, at least 12 x 12; else 'raw'. */
  features?: Features
}

/** A recovered answer; see `Recovered` in worth.ts. The caller owns it. */
export interface Recollection extends Predicted {
  source: 'memory'
  /** Log odds that its label is the model's own, by what the memory got wrong before. */
  odds: number
}

const DEFAULT_BYTES = 64 * 2 ** 20
/** Queries that patches are learned from. */
const SAMPLES = 64
/** Pairs below which a memory is of no use: when it is full, it can do without the block that is written over. */
const LEAST = 2 * BLOCK
/** Squared distance to a remembered query, over the mean one, below which a query is a duplicate. */
const DUPLICATE = 1e-4
const NOISE = 0.01
/** Mirror images count as neighbours where that lowers the error of the first block by this share. */
const MIRROR_GAIN = 0.01
/** The power of the variance that tells strangers apart: at home (variance up to a half) it should not count. */
const STRANGE = 4
/** What an error leaves of the older ones. */
const FADE = 0.999

/** What it would have answered before it was told, summed up, the older the less: per output squared errors, variances. */
interface Told {
  error: number
  variance: number
}

/** One query as it is compared: mirror images differ in the sign of `odd`. */
interface Point {
  even: Float32Array
  odd?: Float32Array
}

interface Pair {
  query: Float32Array
  answer: Float32Array
  point?: Point
}

interface Content {
  options: { shape: readonly number[]; outputs: number; classes: number; features: string }
  next: number
  unit: number
  mirror: boolean
  spread: number
  told: Told
  contrast: number
}

export class Memory {
  /** Pairs it has room for. */
  readonly capacity: number
  readonly #core: Core
  readonly #options: Required<MemoryOptions>
  /** Values in a query's features. */
  readonly #width: number
  readonly #even: Table
  readonly #odd: Table | undefined
  /** The first pairs, until there are enough of them to see what queries look like. */
  #first: Pair[] = []
  #patches: Patches | undefined
  #regression: KernelRegression | undefined
  /** Where the next pair goes: when full, over the oldest. */
  #next = 0
  /** Median squared distance of the first pairs: one odd query must not make all the others alike. */
  #unit = 0
  #mirror = false
  /** Squared lengths of the odd parts. */
  #oddLengths: number[] = []
  /** Variance of the answers about their mean, per output. */
  #spread = 0
  #told: Told = { error: 0, variance: 0 }

  /**
   * @param state  of `save`, of a memory with the same shape, outputs and features
   * @throws RangeError for sizes out of range, or a state of another memory
   */
  constructor(core: Core, options: MemoryOptions, state?: Uint8Array) {
    const { shape } = options
    shape.forEach((length, i) => checkInteger(`shape[${i}]`, length, 1))
    const inputs = size({ shape })
    const outputs = checkInteger('outputs', options.outputs, 1)
    const classes = checkInteger('classes', options.classes ?? outputs, 1, outputs)
    const bytes = checkInteger('bytes', options.bytes ?? DEFAULT_BYTES, 1)
    const features = options.features ?? (hasPatches(shape) ? 'patches' : 'raw')
    if (typeof features !== 'function') checkWord('features', features, featureNames)
    if (features === 'patches' && !hasPatches(shape)) {
      throw new RangeError(`features: expected 'raw' for shape [${shape}], got 'patches'`)
    }
    this.#core = core
    this.#options = { shape, outputs, classes, bytes, features }
    this.#width = typeof features === 'function' ? ownFeatures(features, anything(inputs)).length : inputs
    if (features === 'patches') this.#width = PATCH_FEATURES
    this.capacity = room(bytes, 4 * this.#width, outputs)
    if (this.capacity < LEAST) {
      const least = LEAST * (4 * this.#width + KernelRegression.bytes(outputs, LEAST))
      throw new RangeError(`bytes: expected >= ${least}, for ${LEAST} pairs, got ${bytes}`)
    }
    this.#even = core.table(features === 'patches' ? this.#width / 2 : this.#width, this.capacity)
    if (features === 'patches') this.#odd = core.table(this.#width / 2, this.capacity)
    if (state) this.#load(state)
  }

  /** Whether a memory of these options has room for the least that is of use. */
  static fits({ shape, outputs, bytes = DEFAULT_BYTES }: MemoryOptions): boolean {
    return room(bytes, 4 * (hasPatches(shape) ? PATCH_FEATURES : size({ shape })), outputs) >= LEAST
  }

  /** Bytes for so many pairs of these options. */
  static bytes({ shape, outputs }: MemoryOptions, pairs: number): number {
    const most = Math.max(pairs, LEAST)
    return most * (4 * Math.max(size({ shape }), PATCH_FEATURES) + KernelRegression.bytes(outputs, most))
  }

  /** Pairs it holds. */
  get size(): number {
    return this.#regression?.size ?? this.#first.length
  }

  /** Whether it holds enough to recover from. */
  get ready(): boolean {
    return this.#regression !== undefined
  }

  /**
   * Keeps a query and its answer, unless one much like it is there already. Only the model's own answers may
   * come in, never recovered ones or lies.
   *
   * @param query, answer  copied
   * @returns whether it was kept, and what it would have recovered for the query before it knew: how good it is can
   *   be learned from every answer, not only from late ones
   */
  remember(query: Float32Array, answer: Float32Array): { kept: boolean; foretold?: Recollection } {
    this.#check(query)
    const { outputs } = this.#options
    if (answer.length !== outputs) throw new RangeError(expected('answer', `${outputs} values`, answer.length))
    if (!this.#regression) return { kept: this.#begin({ query, answer }) }
    const point = this.#point(query)
    const { nearest, similarities, self } = this.#compare(point)
    if (nearest <= DUPLICATE * this.#unit) return { kept: false }
    const foretold = this.#recollect(this.#regression.predict(similarities, self))
    const error = foretold.answer.reduce((sum, value, c) => sum + (value - answer[c]) ** 2, 0) / outputs
    this.#tell({ error, variance: foretold.variance })
    this.#put(point)
    this.#regression.place(this.#next, similarities, self, answer)
    this.#next = (this.#next + 1) % this.capacity
    if (this.#next % BLOCK === 0) this.#regression.settle() // or 0, after the last and perhaps shorter block
    this.#regression.advance()
    return { kept: true, foretold }
  }

  /**
   * A query's answer as all that is remembered tells it: one pass over the memory.
   *
   * @returns undefined while the memory is not `ready`
   */
  recover(query: Float32Array): Recollection | undefined {
    this.#check(query)
    if (!this.#regression) return undefined
    const { similarities, self } = this.#compare(this.#point(query))
    return this.#recollect(this.#regression.predict(similarities, self))
  }

  #recollect(predicted: Predicted): Recollection {
    const spread = Math.sqrt(this.#squaredError(predicted.variance))
    const odds = logOdds(predicted.answer.subarray(0, this.#options.classes), spread)
    return { ...predicted, source: 'memory', odds }
  }

  #tell({ error, variance }: Told): void {
    const told = this.#told
    if (!Number.isFinite(error)) return
    told.error = FADE * told.error + error
    told.variance = FADE * told.variance + variance + NOISE
  }

  /**
   * The squared error to expect: in proportion to the variance, as measured, and for strangers (variance 1) the spread of
   * the answers as well: of a smooth model the memory errs so little at home that proportion alone would be sure of anything.
   */
  #squaredError(variance: number): number {
    return (this.#told.error / this.#told.variance) * (variance + NOISE) + this.#spread * variance ** STRANGE
  }

  /** Solves all that is left to be solved, for who has the time; `remember` goes on by itself, a bit with every pair. */
  settle(): void {
    this.#regression?.finish()
  }

  /** All it knows, for the constructor. A memory that is not `ready` saves nothing. */
  save(): Uint8Array {
    const content: Content = {
      options: this.#kind,
      next: this.#next,
      unit: this.#unit,
      mirror: this.#mirror,
      spread: this.#spread,
      told: this.#told,
      contrast: this.#patches?.state.contrast ?? 0,
    }
    if (!this.#regression) return pack('memory', content, [])
    const { kernel, answers, shares, mean } = this.#regression.save()
    const rows = (table: Table | undefined) =>
      table ? concatenated(Array.from({ length: this.size }, (_, i) => table.get(i))) : new Float32Array()
    const state = this.#patches?.state
    const patches = state ? [state.mean, state.filters, state.centre, state.scale] : []
    return pack('memory', content, [kernel, answers, shares, mean, rows(this.#even), rows(this.#odd), ...patches])
  }

  /** What a state must have in common with this memory. */
  get #kind() {
    const { shape, outputs, classes, features } = this.#options
    return { shape, outputs, classes, features: typeof features === 'function' ? `${this.#width} own` : features }
  }

  #load(bytes: Uint8Array): void {
    const { content, arrays } = unpack<Content>('memory', bytes)
    const { shape, outputs } = this.#options
    const own = this.#kind
    if (JSON.stringify(content.options) !== JSON.stringify(own)) {
      throw new RangeError(`state: expected one of ${JSON.stringify(own)}, got ${JSON.stringify(content.options)}`)
    }
    if (!arrays.length) return
    const [kernel, answers, shares, mean, even, odd, ...patches] = arrays
    const size = answers.length / outputs
    if (size > this.capacity) throw new RangeError(`state: expected at most ${this.capacity} pairs, got ${size}`)
    const regression = { kernel, answers, shares, mean } as RegressionState
    this.#mirror = content.mirror
    this.#regression = new KernelRegression(this.#core, outputs, this.#noise, regression)
    this.#next = size < this.capacity ? size : content.next % this.capacity
    this.#unit = content.unit
    this.#spread = content.spread
    this.#told = content.told
    const part = (all: (typeof arrays)[number], i: number) =>
      all.slice((i * all.length) / size, ((i + 1) * all.length) / size) as Float32Array
    for (let i = 0; i < size; i++) {
      this.#put(odd.length ? { even: part(even, i), odd: part(odd, i) } : { even: part(even, i) }, i)
    }
    if (!patches.length) return
    const [patchMean, filters, centre, scale] = patches as Float32Array[]
    const state: PatchState = { contrast: content.contrast, mean: patchMean, filters, centre, scale }
    this.#patches = new Patches(this.#core, shape, state)
  }

  /** With mirror images as neighbours there is twice as much to tell a query from. */
  get #noise(): number {
    return this.#mirror ? NOISE / 2 : NOISE
  }

  /** Collects the first pairs; when there are enough, decides how queries are compared. */
  #begin(pair: Pair): boolean {
    const same = (other: Pair) => other.query.every((value, i) => value === pair.query[i])
    if (this.#first.some(same)) return false
    const first = this.#first
    first.push({ query: pair.query.slice(), answer: pair.answer.slice() })
    const { shape, features } = this.#options
    if (features === 'patches' && first.length === SAMPLES) {
      this.#patches = Patches.learn(this.#core, { shape, samples: first.map(({ query }) => query) })
    }
    if (first.length < BLOCK) {
      // Two at a time, so that no single call takes long.
      const known = features !== 'patches' || this.#patches
      const next = known ? first.filter(({ point }) => !point).slice(0, 2) : []
      for (const each of next) each.point = this.#point(each.query)
      return true
    }
    const points = first.map(({ query, point }) => point ?? this.#point(query))
    points.forEach((point, i) => this.#put(point, i))
    const distances = points.map((point) => this.#distances(point, points.length))
    const pairs = distances.flatMap(({ plain }, i) => [...plain.subarray(0, i)]).sort((a, b) => a - b)
    this.#unit = pairs[pairs.length >> 1] || 1
    const regression = (mirror: boolean) => {
      this.#mirror = mirror
      const all = new KernelRegression(this.#core, this.#options.outputs, this.#noise)
      points.forEach((point, i) => {
        all.place(i, this.#similarities(distances[i]), this.#self(point), first[i].answer)
      })
      return all
    }
    let chosen = regression(false)
    if (this.#patches) {
      const other = regression(true)
      if (other.leaveOneOut().error < (1 - MIRROR_GAIN) * chosen.leaveOneOut().error) chosen = other
      else this.#mirror = false
    }
    this.#tell(chosen.leaveOneOut())
    this.#spread = spreadOf(first.map(({ answer }) => answer))
    chosen.settle()
    this.#regression = chosen
    this.#first = []
    this.#next = BLOCK
    return true
  }

  #check(query: Float32Array): void {
    const inputs = size(this.#options)
    if (query.length !== inputs) throw new RangeError(expected('query', `${inputs} values`, query.length))
  }

  #point(query: Float32Array): Point {
    const { features } = this.#options
    if (this.#patches) return mirrorParts(this.#patches.of(query))
    return { even: typeof features === 'function' ? ownFeatures(features, query, this.#width) : query }
  }

  #put({ even, odd }: Point, index = this.#next): void {
    this.#even.set(index, even)
    if (!odd) return
    this.#odd?.set(index, odd)
    this.#oddLengths[index] = squaredLength(odd)
  }

  #compare(point: Point) {
    const distances = this.#distances(point, this.size)
    const nearest = distances.plain.reduce((least, d) => Math.min(least, d), Number.POSITIVE_INFINITY)
    return { nearest, similarities: this.#similarities(distances), self: this.#self(point) }
  }

  /** Squared distances to the first `count` pairs, and to their mirror images. */
  #distances({ even, odd }: Point, count: number): { plain: Float32Array; mirrored?: Float32Array } {
    const same = this.#even.distances(even, count)
    if (!odd || !this.#odd) return { plain: same }
    const turned = this.#odd.distances(odd, count)
    const length = squaredLength(odd)
    return {
      plain: same.map((d, i) => d + turned[i]),
      mirrored: same.map((d, i) => d + Math.max(0, 2 * (length + this.#oddLengths[i]) - turned[i])),
    }
  }

  /** RBF of the squared distance over the mean one; with mirrors, the mean of both. */
  #similarities({ plain, mirrored }: { plain: Float32Array; mirrored?: Float32Array }): Float32Array {
    const rbf = (d: number) => Math.exp(-d / this.#unit)
    if (!this.#mirror || !mirrored) return plain.map(rbf)
    return plain.map((d, i) => (rbf(d) + rbf(mirrored[i])) / 2)
  }

  #self({ odd }: Point): number {
    return this.#mirror && odd ? (1 + Math.exp((-4 * squaredLength(odd)) / this.#unit)) / 2 : 1
  }
}

/** Pairs that fit: each takes its features, what the regression keeps, and one similarity to each of the others. */
function room(bytes: number, width: number, outputs: number): number {
  const fits = (count: number) => count * (width + KernelRegression.bytes(outputs, count)) <= bytes
  let [low, high] = [0, Math.floor(bytes / width)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

/** A copy of what the user's function gives. */
function ownFeatures(
  features: (query: Float32Array) => Float32Array,
  query: Float32Array,
  width?: number,
): Float32Array {
  const own = features(query)
  const fits = own instanceof Float32Array && own.length && own.every(Number.isFinite)
  if (fits && own.length === (width ?? own.length)) return own.slice()
  throw new TypeError(expected('features(query)', `a Float32Array of ${width ?? ''} finite values`, own))
}

/** A query to ask for the number of features with, like no other. */
function anything(inputs: number): Float32Array {
  const random = seeded(1)
  return Float32Array.from({ length: inputs }, () => random.next())
}

/** Variance of answers about their mean, per output. */
function spreadOf(answers: readonly Float32Array[]): number {
  const mean = answers[0].map((_, c) => answers.reduce((sum, answer) => sum + answer[c], 0) / answers.length)
  const squares = answers.map((answer) => squaredLength(answer.map((value, c) => value - mean[c])))
  return squares.reduce((sum, square) => sum + square, 0) / (answers.length * mean.length) || 1
}

function squaredLength(row: Float32Array): number {
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += row[i] * row[i]
  return sum
}

function concatenated(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0))
  let at = 0
  for (const row of rows) {
    all.set(row, at)
    at += row.length
  }
  return all
}

/** Log odds that the largest value is the largest in truth, were every value off by a normal error of its own. */
function logOdds(values: Float32Array, spread: number): number {
  const top = values.indexOf(values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY))
  let log = 0
  values.forEach((value, c) => {
    if (c !== top) log += Math.log(normal((values[top] - value) / (Math.SQRT2 * Math.max(spread, 1e-9))))
  })
  return log - Math.log(Math.max(1e-12, -Math.expm1(Math.min(log, -1e-12))))
}

/** The normal distribution function (Abramowitz, Stegun 26.2.17; error below 1e-7), for z >= 0. */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * z)
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return 1 - Math.exp((-z * z) / 2) * 0.3989422804014327 * tail
}
