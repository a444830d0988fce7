/**
 * Earlier queries and the model's own answers to them: what a lost answer can be recovered from without any
 * redundancy. Bounded, serialisable, without a clock.
 */

import type { Core } from '../core/core'
import { ARRAY_BYTES, type Table } from '../core/rows'
import { PIECE, tableBytes } from '../core/wasm'
import { type Criterion, criterionFor, difference } from '../criterion'
import { checkInteger, checkNames, checkWord, expected } from '../errors'
import { seeded } from '../random'
import * as saved from '../saved'
import { size } from '../tensor'
import { type Archive, pack, unpack } from './archive'
import {
  chooseMetric,
  type FadingName,
  fadingNames,
  fadings,
  type Metric,
  PRODUCTS,
  scaled,
  studied,
  studyBytes,
  type Tried,
  unitOf,
} from './metric'
import { labelOdds } from './odds'
import {
  filterBytes,
  hasPatches,
  learningBytes,
  mirrorParts,
  PART_STEP,
  PATCH_FEATURES,
  Patches,
  shrunk,
  shrunkSize,
} from './patches'
import { BLOCK, KernelRegression, type Predicted } from './regression'
import { isSignal, SIGNAL_FEATURES, Signals, signalBytes } from './signals'
import { plausible, Spread } from './spread'

/** How queries are compared: by their values, as images or signals by their patches, or by the user's own features. */
export type Features = 'raw' | 'patches' | 'signals' | ((query: Float32Array) => Float32Array)

export const featureNames = ['raw', 'patches', 'signals'] as const

export interface MemoryOptions {
  /** Shape of a query; one number where it has none. */
  shape: readonly number[]
  /** Lengths of the inputs that a query is made of. Default: one. */
  parts?: readonly number[] | undefined
  /** Values in an answer. */
  outputs: number
  /** When a recovered answer is right. Default: when the largest of all its values is the model's; one value has no label. */
  criterion?: Criterion | undefined
  /** What it may hold, all in all. Default 64 MiB. */
  bytes?: number | undefined
  /**
   * Default: 'patches' for images of up to 4 channels, at least 12 x 12; for signals of 256 samples or more, [L] or [C, L] with
   * up to 4 channels, 'raw' or 'signals', whichever predicts the first answers better; else 'raw'. How much each of the values
   * or features counts is learned, but for 'patches'.
   */
  features?: Features | undefined
}

/** A recovered answer; see `Recovered` in worth.ts. The caller owns it. */
export interface Recollection extends Predicted {
  source: 'memory'
  /** Root mean square error of its values to be expected, by what the memory got wrong before. */
  error: number
  /** Log odds that its label is the model's own, were the values off by that much; undefined where there is no label. */
  odds: number | undefined
}

const optionNames = ['shape', 'parts', 'outputs', 'criterion', 'bytes', 'features']

/** What a memory may hold where nothing else is said. */
export const DEFAULT_BYTES = 64 * 2 ** 20
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
/** Whether queries should be compared in another way is asked again when there are twice as many; by how much it must be better. */
const RESTUDY = 2
const BETTER = 0.01
/** Pairs after which new ones count while there are few: a new kind of query should not stay unknown for long. */
const SOON = 32
const SMALL = 2000
/** What an error leaves of the older ones. */
const FADE = 0.999
/** More than the variances of all errors come to. */
const MOST_TOLD = 10 / (1 - FADE)
/** Share of its bytes that the first queries may take, until the user's own features of them are asked for. */
const EARLY = 1 / 8
/** Squared, the share by which a feature may differ from what it was where it was saved. */
const SAME = 1e-6

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

/** What is kept of a query, see `#looked`, and its answer. */
interface Pair {
  query: Float32Array
  answer: Float32Array
}

const compared = ['values', 'signals', 'patches'] as const

/** Saved beside the arrays. */
interface Content {
  options: Kind
  /** Pairs; 0: it is not ready, and saves nothing else. */
  size: number
  next: number
  unit: number
  mirror: boolean
  told: Told
  fading: FadingName
  compared: (typeof compared)[number]
}

/** What a state must have in common with a memory that takes it. */
interface Kind {
  shape: readonly number[]
  outputs: number
  labels: string
  features: string
}

export class Memory {
  /** Pairs it has room for. */
  readonly capacity: number
  readonly #core: Core
  readonly #options: {
    shape: readonly number[]
    parts: readonly number[]
    outputs: number
    criterion: Criterion
    features: Features
    /** Where the first answers decide whether a query is a signal. */
    open: boolean
  }
  readonly #bytes: number
  readonly #sizes: Sizes
  /** What the user's own features give for a query of ours. */
  readonly #sample: Float32Array | undefined
  /** Whether they are asked for at once: so many queries are too large to keep until the memory begins. */
  readonly #early: boolean = false
  #even!: Table
  readonly #odd: Table | undefined
  #signals: Signals | undefined
  /** How much each value counts; of patches all the same. */
  #scales: Float32Array | undefined
  #fading: FadingName = 'smooth'
  /** Pairs at which is asked again how queries should be compared. */
  #restudyAt = Number.POSITIVE_INFINITY
  /** The first pairs, until there are enough of them to see what queries look like. */
  #first: Pair[] = []
  /** What is being decided. */
  #underway: Generator<void> | undefined
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
  /** What the model's answers are like. */
  #answers = new Spread()
  #told: Told = { error: 0, variance: 0 }

  /**
   * @param state  of `save`, of a memory with the same shape, outputs and features
   * @throws RangeError for sizes out of range, or a state of another memory, or one that is damaged
   */
  constructor(core: Core, options: MemoryOptions, state?: Uint8Array) {
    checkNames('', options, optionNames)
    const { shape } = options
    if (!Array.isArray(shape)) throw new TypeError(expected('shape', 'an array of lengths', shape))
    shape.forEach((length, i) => checkInteger(`shape[${i}]`, length, 1))
    const inputs = size({ shape })
    const outputs = checkInteger('outputs', options.outputs, 1)
    const { criterion = criterionFor(outputs) } = options
    if (criterion.kind === 'label')
      checkInteger('criterion.classes', criterion.positions * criterion.classes, 2, outputs)
    else if (criterion.kind !== 'tolerance')
      throw new TypeError(expected('criterion.kind', "'label' | 'tolerance'", criterion))
    const bytes = checkInteger('bytes', options.bytes ?? DEFAULT_BYTES, 1)
    const open = options.features === undefined && isSignal(shape)
    const features = options.features ?? (hasPatches(shape) ? 'patches' : 'raw')
    if (typeof features !== 'function') checkWord('features', features, featureNames)
    if (features === 'patches' && !hasPatches(shape)) {
      throw new RangeError(`features: expected 'raw' for shape [${shape}], got 'patches'`)
    }
    if (features === 'signals' && !isSignal(shape)) {
      throw new RangeError(`features: expected 'raw' for shape [${shape}], got 'signals'`)
    }
    const parts = options.parts ?? [inputs]
    if (parts.reduce((sum, length) => sum + length, 0) !== inputs) {
      throw new RangeError(expected('parts', `lengths that add up to ${inputs}`, parts))
    }
    this.#core = core
    this.#options = { shape, parts, outputs, criterion, features, open }
    if (typeof features === 'function') {
      this.#sample = ownFeatures(features, anything(inputs))
      this.#early = 4 * inputs * BLOCK > EARLY * bytes
    }
    this.#sizes = sizesOf(shape, outputs, features, this.#sample)
    if (open) this.#sizes = { ...this.#sizes, kind: 'signals', width: Math.max(inputs, SIGNAL_FEATURES) }
    if (this.#early) this.#sizes = { ...this.#sizes, kept: this.#sizes.width }
    this.#bytes = bytes
    this.capacity = room(bytes, this.#sizes)
    if (this.capacity < LEAST) {
      throw new RangeError(`bytes: expected >= ${footprint(this.#sizes, LEAST)}, for ${LEAST} pairs, got ${bytes}`)
    }
    if (features === 'patches') {
      this.#even = core.table(PATCH_FEATURES / 2, this.capacity, PART_STEP)
      this.#odd = core.table(PATCH_FEATURES / 2, this.capacity, PART_STEP)
    }
    if (state) this.#load(state)
  }

  /** Whether a memory of these options, with features of its own choice, has room for the least that is of use. */
  static fits({ shape, outputs, bytes = DEFAULT_BYTES }: MemoryOptions): boolean {
    const features = hasPatches(shape) ? 'patches' : 'raw'
    return room(bytes, sizesOf(shape, outputs, features)) >= LEAST
  }

  /** Bytes for so many pairs, whichever of its own features it is to have. */
  static bytes({ shape, outputs }: MemoryOptions, pairs: number): number {
    const count = Math.max(pairs, LEAST)
    return Math.max(...ownSizes(shape, outputs).map((sizes) => footprint(sizes, count)))
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
    const remembered = this.take(query, answer)
    while (this.work()) {}
    return remembered
  }

  /**
   * The same, for who must not be held up: it leaves what can wait to `work`. While that has more to do the next pair
   * would have to wait for it.
   */
  take(query: Float32Array, answer: Float32Array): { kept: boolean; foretold?: Recollection } {
    this.#check(query)
    const { outputs } = this.#options
    if (answer.length !== outputs) throw new RangeError(expected('answer', `${outputs} values`, answer.length))
    while (this.work()) {}
    if (!this.#regression) return { kept: this.#collect(query, answer) }
    const absurd = this.#answers.isAbsurd(answer)
    this.#answers.see(answer)
    if (absurd) return { kept: false }
    const point = this.#point(this.#looked(query))
    const { nearest, similarities, self } = this.#compare(point)
    if (nearest <= DUPLICATE * this.#unit) return { kept: false }
    const foretold = this.#recollect(this.#regression.predict(similarities, self))
    const error = difference(foretold.answer, answer) ** 2
    this.#tell({ error, variance: foretold.variance })
    this.#put(point)
    const place = this.#next
    this.#regression.place(place, similarities, self, answer)
    this.#next = (place + 1) % this.capacity
    const every = this.size < SMALL && this.#next === this.size ? SOON : BLOCK
    if (this.#next % every === 0) this.#regression.settle() // or 0, after the last and perhaps shorter block
    this.#regression.advance()
    if (this.#scales && this.size >= this.#restudyAt) this.#underway = this.#restudy(this.#scales, this.#regression)
    return { kept: true, foretold }
  }

  /** Does a step of a few milliseconds of what `take` left to do. @returns whether there is more of it */
  work(): boolean {
    if (this.#regression?.work()) return true
    if (this.#underway?.next().done) this.#underway = undefined
    return this.#underway !== undefined
  }

  /**
   * A query's answer as all that is remembered tells it: one pass over the memory.
   *
   * @returns undefined while the memory is not `ready`
   */
  recover(query: Float32Array): Recollection | undefined {
    this.#check(query)
    if (!this.#regression) return undefined
    const { similarities, self } = this.#compare(this.#point(this.#looked(query)))
    return this.#recollect(this.#regression.predict(similarities, self))
  }

  #recollect(predicted: Predicted): Recollection {
    const { criterion } = this.#options
    const error = Math.sqrt(this.#squaredError(predicted.variance))
    const odds = criterion.kind === 'label' ? labelOdds(predicted.answer, criterion, error) : undefined
    return { ...predicted, source: 'memory', error, odds }
  }

  #tell({ error, variance }: Told): void {
    const told = this.#told
    if (!Number.isFinite(error) || !Number.isFinite(variance)) return
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
    while (this.work()) {}
    this.#regression?.finish()
  }

  /** All it knows, for the constructor. A memory that is not `ready` saves nothing. */
  save(): Uint8Array {
    const size = this.#regression ? this.size : 0
    const content: Content = {
      options: this.#kind,
      size,
      next: this.#next,
      unit: this.#unit,
      mirror: this.#mirror,
      told: this.#told,
      fading: this.#fading,
      compared: this.#patches ? 'patches' : this.#signals ? 'signals' : 'values',
    }
    if (!this.#regression) return pack('memory', content, {})
    const rows = (table: Table) => {
      const all = concatenated(Array.from({ length: size }, (_, i) => table.get(i)))
      return this.#odd ? Int8Array.from(all, (value) => value / PART_STEP) : all
    }
    return pack('memory', content, {
      ...this.#regression.save(),
      even: rows(this.#even),
      ...(this.#odd && { odd: rows(this.#odd) }),
      ...(this.#scales && { scales: this.#scales }),
      ...(this.#patches ?? this.#signals)?.save(),
      ...(this.#sample && { sample: this.#sample }),
    })
  }

  get #kind(): Kind {
    const { shape, outputs, criterion, features, open } = this.#options
    const labels = criterion.kind === 'label' ? `${criterion.positions} of ${criterion.classes}` : 'none'
    const chosen = open ? 'raw or signals' : features
    return { shape, outputs, labels, features: typeof chosen === 'function' ? `${this.#sizes.width} own` : chosen }
  }

  #load(bytes: Uint8Array): void {
    const archive = unpack('memory', bytes)
    const { size, next, unit, mirror, told, fading, compared } = this.#checked(archive.content)
    if (!size) return archive.end()
    const { shape, outputs } = this.#options
    this.#checkSample(archive)
    this.#mirror = mirror
    this.#fading = fading
    this.#regression = KernelRegression.load(this.#core, outputs, this.#noise, archive, size)
    this.#next = size < this.capacity ? size : next % this.capacity
    this.#unit = unit
    this.#told = told
    for (let i = 0; i < this.size; i++) this.#answers.see(this.#regression.answerOf(i))
    this.#spread = spreadOf(Array.from({ length: BLOCK }, (_, i) => this.#regression?.answerOf(i) as Float32Array))
    if (compared === 'patches') this.#patches = Patches.load(this.#core, shape, archive)
    if (compared === 'signals') this.#signals = Signals.load(this.#core, shape, archive)
    this.#loadPoints(archive, size)
    archive.end()
    for (const i of [BLOCK - 1, size >> 1, size - 1]) this.#checkSimilarities(i)
    this.#planRestudy()
  }

  #loadPoints(archive: Archive, count: number): void {
    const width = this.#patches
      ? this.#sizes.width / 2
      : this.#signals
        ? SIGNAL_FEATURES
        : (this.#sample?.length ?? size(this.#options))
    if (!this.#patches) {
      this.#scales = archive.take('scales', 'f4', width)
      this.#even = this.#core.table(width, this.capacity)
    }
    const even = archive.take('even', this.#odd ? 'i1' : 'f4', count * width)
    const odd = this.#odd && archive.take('odd', 'i1', count * width)
    const step = this.#odd ? PART_STEP : 1
    const row = (all: Float32Array | Int8Array, i: number) =>
      Float32Array.from(all.subarray(i * width, (i + 1) * width), (value) => step * value)
    for (let i = 0; i < count; i++) {
      this.#put(odd ? { even: row(even, i), odd: row(odd, i) } : { even: row(even, i) }, i)
    }
  }

  #checked(value: unknown): Content {
    const names = ['options', 'size', 'next', 'unit', 'mirror', 'told', 'fading', 'compared']
    const content = saved.object('memory', value, names)
    const options = saved.object('memory.options', content.options, Object.keys(this.#kind))
    for (const [name, own] of Object.entries(this.#kind)) saved.same(`memory.options.${name}`, own, options[name])
    const size = saved.integer('memory.size', content.size, 0, Number.MAX_SAFE_INTEGER)
    if (size > this.capacity) throw saved.refused('memory.size', `at most ${this.capacity} pairs, for its bytes`, size)
    if (size && size < BLOCK) throw saved.refused('memory.size', `0, or ${BLOCK} or more`, size)
    const told = saved.object('memory.told', content.told, ['error', 'variance'])
    const mirror = saved.flag('memory.mirror', content.mirror)
    if (mirror && !this.#odd) throw saved.refused('memory.mirror', 'false without patches', 'true')
    return {
      options: this.#kind,
      size,
      next: saved.integer('memory.next', content.next, 0, size),
      unit: saved.number('memory.unit', content.unit, size && Number.MIN_VALUE, saved.MOST),
      mirror,
      told: {
        error: saved.number('memory.told.error', told.error, 0, saved.MOST_SQUARE),
        variance: saved.number('memory.told.variance', told.variance, 0, MOST_TOLD),
      },
      fading: saved.word('memory.fading', content.fading, fadingNames),
      compared: saved.word('memory.compared', content.compared, size ? this.#ways : compared),
    }
  }

  /** How a memory of these options may compare queries when it is ready. */
  get #ways(): readonly Content['compared'][] {
    const { features, open } = this.#options
    if (open) return ['values', 'signals']
    return [features === 'patches' || features === 'signals' ? features : 'values']
  }

  /** Other features may be as many: to the same query they give other values. The last digits are the engine's. */
  #checkSample(archive: Archive): void {
    const own = this.#sample
    if (!own) return
    const other = archive.take('sample', 'f4', own.length)
    const off = own.map((value, i) => value - other[i])
    if (squaredLength(off) > SAME * squaredLength(own)) {
      throw saved.refused('memory.options.features', 'a function that gives what it gave when it was saved', 'others')
    }
  }

  /** Whether unit, mirror, features and kernel belong together. */
  #checkSimilarities(index: number): void {
    const odd = this.#odd?.get(index)
    const { similarities } = this.#compare({ even: this.#even.get(index), ...(odd && { odd }) })
    if (!this.#regression?.agrees(index, similarities)) {
      throw saved.refused('kernel', `the similarities of pair ${index} to the others`, 'others')
    }
  }

  /** With mirror images as neighbours there is twice as much to tell a query from. */
  get #noise(): number {
    const { noise } = fadings[this.#fading]
    return this.#mirror ? noise / 2 : noise
  }

  /** Collects the first pairs until there are enough of them. */
  #collect(query: Float32Array, answer: Float32Array): boolean {
    const looked = this.#looked(query)
    const same = (other: Pair) => other.query.every((value, i) => value === looked[i])
    if (this.#first.some(same)) return false
    this.#first.push({ query: looked === query ? query.slice() : looked, answer: answer.slice() })
    if (this.#first.length === BLOCK) this.#underway = this.#begin()
    return true
  }

  /** Decides from the first pairs how queries are compared, in steps of a few milliseconds. */
  *#begin(): Generator<void> {
    const first = plausible(this.#first, ({ answer }) => answer)
    this.#first = first
    if (first.length < BLOCK) return // until there are enough of them
    for (const { answer } of first) this.#answers.see(answer)
    const { shape, features } = this.#options
    if (features === 'patches') {
      const samples = first.slice(0, SAMPLES).map(({ query }) => query)
      this.#patches = yield* Patches.learn(this.#core, shape, samples)
    }
    const vectors = this.#patches ? undefined : yield* this.#decide()
    const points: Point[] = []
    for (const [i, { query }] of first.entries()) {
      points.push(vectors ? { even: scaled(vectors[i], this.#scales as Float32Array) } : this.#point(query))
      this.#put(points[points.length - 1], points.length - 1)
      yield
    }
    const distances: { plain: Float32Array; mirrored?: Float32Array }[] = []
    for (const point of points) {
      distances.push(this.#distances(point, points.length))
      if (distances.length % 8 === 0) yield
    }
    this.#unit = unitOf(distances.map(({ plain }) => plain))
    yield
    const tried = []
    for (const mirror of this.#patches ? [false, true] : [false]) {
      this.#mirror = mirror
      const regression = new KernelRegression(this.#core, this.#options.outputs, this.#noise)
      for (const [i, point] of points.entries()) {
        regression.place(i, this.#similarities(distances[i]), this.#self(point), first[i].answer)
        if (i % 32 === 31) yield
      }
      tried.push({ mirror, regression, told: yield* regression.leaveOneOut() })
    }
    const [plain, other = plain] = tried
    const { mirror, regression: chosen, told } = other.told.error < (1 - MIRROR_GAIN) * plain.told.error ? other : plain
    this.#mirror = mirror
    yield* chosen.begin()
    this.#tell(told)
    this.#spread = spreadOf(first.map(({ answer }) => answer))
    this.#regression = chosen
    this.#first = []
    this.#next = BLOCK
    this.#planRestudy()
  }

  #check(query: Float32Array): void {
    const inputs = size(this.#options)
    if (query.length !== inputs) throw new RangeError(expected('query', `${inputs} values`, query.length))
  }

  /** What of a query is kept to begin with. */
  #looked(query: Float32Array): Float32Array {
    const { shape, features } = this.#options
    if (typeof features === 'function' && this.#early) return ownFeatures(features, query, this.#sizes.width)
    return features === 'patches' ? shrunk(query, shape) : query
  }

  #point(query: Float32Array): Point {
    if (this.#patches) return mirrorParts(this.#patches.of(query))
    return { even: scaled(this.#vector(query, this.#signals), this.#scales as Float32Array) }
  }

  #vector(query: Float32Array, signals: Signals | undefined): Float32Array {
    const { features } = this.#options
    if (typeof features === 'function' && !this.#early) return ownFeatures(features, query, this.#sizes.width)
    return signals?.of(query) ?? query
  }

  /** By the first pairs, how queries are compared: as signals or not, and which of their values count. @returns these values */
  *#decide(): Generator<void, Float32Array[]> {
    const { shape, parts, criterion, features, open } = this.#options
    const first = this.#first
    const answers = first.map(({ answer }) => answer)
    const ways: (Signals | undefined)[] = features === 'signals' ? [] : [undefined]
    if (features === 'signals' || open) {
      const queries = first.map(({ query }) => query)
      ways.push(yield* Signals.learn(this.#core, shape, queries))
    }
    const ranked: { tried: Tried; signals: Signals | undefined; vectors: Float32Array[] }[] = []
    for (const signals of ways) {
      const vectors: Float32Array[] = []
      for (const { query } of first) {
        vectors.push(this.#vector(query, signals))
        if (signals || typeof features === 'function') yield
      }
      const inputs = signals || typeof features === 'function' ? [vectors[0].length] : parts
      const { best: tried } = yield* chooseMetric(this.#core, vectors, answers, { criterion, parts: inputs })
      ranked.push({ tried, signals, vectors })
    }
    const { tried, signals, vectors } = ranked.reduce((best, each) => (each.tried.loss < best.tried.loss ? each : best))
    this.#signals = signals
    this.#scales = tried.scales
    this.#fading = tried.fading
    this.#even = this.#core.table(tried.scales.length, this.capacity)
    return vectors
  }

  /** Asks again how queries are compared, now that more are known; all that is remembered is then looked at anew. */
  *#restudy(scales: Float32Array, regression: KernelRegression): Generator<void> {
    const remembered = this.size
    this.#planRestudy()
    const { criterion, parts, shape } = this.#options
    const vector = (i: number) => this.#even.get(i).map((value, k) => value / scales[k])
    const rows: Float32Array[] = []
    const answers: Float32Array[] = []
    const count = Math.min(remembered, studied(scales.length))
    for (let k = 0; k < count; k++) {
      const i = (this.#next - count + k + remembered) % remembered
      rows.push(vector(i))
      answers.push(regression.answerOf(i))
      if (k % 64 === 63) yield
    }
    const known = [{ scales, fading: this.#fading }]
    const inputs = scales.length === size({ shape }) ? parts : [scales.length]
    const { best, known: now } = yield* chooseMetric(this.#core, rows, answers, { criterion, parts: inputs, known })
    if (best.loss > now[0].loss - BETTER) return
    yield* this.#regrow(best, remembered, vector, regression)
  }

  /** As long as there is room for all that is remembered beside what there is. */
  #planRestudy(): void {
    const { size, capacity } = this
    const next = Math.min(RESTUDY * size, capacity)
    const fits = size < capacity && restudying(this.#sizes, next) <= this.#bytes
    this.#restudyAt = fits ? next : Number.POSITIVE_INFINITY
  }

  /** All that is remembered under another metric, beside what there is, which is then replaced. */
  *#regrow(
    { scales, fading }: Metric,
    count: number,
    vector: (index: number) => Float32Array,
    old: KernelRegression,
  ): Generator<void> {
    const { similarity, noise } = fadings[fading]
    const table = this.#core.table(scales.length, this.capacity)
    for (let i = 0; i < count; i++) {
      table.set(i, scaled(vector(i), scales))
      if (i % 64 === 63) yield
    }
    const unit = unitOf(Array.from({ length: Math.min(count, BLOCK) }, (_, i) => table.distances(table.get(i), i)))
    yield
    const regression = new KernelRegression(this.#core, this.#options.outputs, noise)
    const every = Math.ceil(PRODUCTS / (count * scales.length))
    for (let i = 0; i < count; i++) {
      const similarities = table.distances(table.get(i), i).map((d) => similarity(d / unit))
      regression.place(i, similarities, 1, old.answerOf(i))
      if (i % every === every - 1) yield
    }
    yield* regression.begin()
    const told = yield* regression.leaveOneOut()
    this.#even = table
    this.#scales = scales
    this.#fading = fading
    this.#unit = unit
    this.#regression = regression
    this.#told = { error: 0, variance: 0 }
    this.#tell(told)
  }

  #put({ even, odd }: Point, index = this.#next): void {
    this.#even.set(index, even)
    if (!odd) return
    this.#odd?.set(index, odd)
    this.#oddLengths[index] = squaredLength(odd)
  }

  #compare(point: Point) {
    const distances = this.#distances(point, this.size)
    let nearest = Number.POSITIVE_INFINITY
    for (const d of distances.plain) nearest = Math.min(nearest, d)
    return { nearest, similarities: this.#similarities(distances), self: this.#self(point) }
  }

  /** Squared distances to the first `count` pairs, and to their mirror images. */
  #distances({ even, odd }: Point, count: number): { plain: Float32Array; mirrored?: Float32Array } {
    const same = this.#even.distances(even, count)
    if (!odd || !this.#odd) return { plain: same }
    const turned = this.#odd.distances(odd, count)
    const length = squaredLength(odd)
    const [plain, mirrored] = [new Float32Array(count), new Float32Array(count)]
    for (let i = 0; i < count; i++) {
      plain[i] = same[i] + turned[i]
      mirrored[i] = same[i] + Math.max(0, 2 * (length + this.#oddLengths[i]) - turned[i])
    }
    return { plain, mirrored }
  }

  /** RBF of the squared distance over the mean one; with mirrors, the mean of both. */
  #similarities({ plain, mirrored }: { plain: Float32Array; mirrored?: Float32Array }): Float32Array {
    const { similarity } = fadings[this.#fading]
    const rate = 1 / this.#unit
    const out = new Float32Array(plain.length)
    if (!this.#mirror || !mirrored) for (let i = 0; i < out.length; i++) out[i] = similarity(rate * plain[i])
    else
      for (let i = 0; i < out.length; i++) out[i] = (similarity(rate * plain[i]) + similarity(rate * mirrored[i])) / 2
    return out
  }

  #self({ odd }: Point): number {
    return this.#mirror && odd ? (1 + Math.exp((-4 * squaredLength(odd)) / this.#unit)) / 2 : 1
  }
}

/** What decides how many bytes a pair takes. */
interface Sizes {
  shape: readonly number[]
  outputs: number
  kind: Content['compared']
  /** Of the features, and of what is kept of a query until the memory begins: numbers of values. */
  width: number
  kept: number
}

function sizesOf(shape: readonly number[], outputs: number, features: Features, own?: Float32Array): Sizes {
  const kept = size({ shape })
  if (features === 'patches') return { shape, outputs, kind: features, width: PATCH_FEATURES, kept: shrunkSize(shape) }
  if (features === 'signals') return { shape, outputs, kind: features, width: SIGNAL_FEATURES, kept }
  return { shape, outputs, kind: 'values', width: own?.length ?? kept, kept }
}

/** Pairs that fit. */
function room(bytes: number, sizes: Sizes): number {
  let [low, high] = [0, Math.floor(bytes / sizes.width)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (footprint(sizes, middle) <= bytes) low = middle
    else high = middle - 1
  }
  return low
}

/** Bytes of a memory of at most `count` pairs: of what it begins with, or of what it has in the end. */
function footprint(sizes: Sizes, count: number): number {
  return Math.max(beginning(sizes), grown(sizes, count))
}

/** Bytes of tables and regression, and of what the core works in. */
function grown({ shape, outputs, kind, width }: Sizes, count: number): number {
  const tables = kind === 'patches' ? 2 * tableBytes(width / 2, count, PART_STEP) : tableBytes(width, count)
  const filters = kind === 'patches' ? filterBytes(shape) : 0
  return PIECE + filters + tables + KernelRegression.bytes(outputs, count)
}

/**
 * Bytes of the first pairs, and of what it takes to decide how they are compared: with patches, two regressions are tried;
 * else the features of all are beside the queries.
 */
function beginning(sizes: Sizes): number {
  const { shape, outputs, kind, width, kept } = sizes
  const first = BLOCK * (4 * (kept + outputs) + 2 * ARRAY_BYTES)
  const points = BLOCK * (4 * width + 2 * ARRAY_BYTES)
  const begun = points + grown(sizes, BLOCK)
  if (kind === 'patches') return first + Math.max(learningBytes(shape), begun + KernelRegression.bytes(outputs, BLOCK))
  const learning = kind === 'signals' ? signalBytes(shape) : 0
  return first + points + Math.max(learning, studyBytes(BLOCK, width, outputs), begun)
}

/** Bytes while so many pairs are studied again, and then remembered anew beside the old ones. */
function restudying(sizes: Sizes, count: number): number {
  if (sizes.kind === 'patches') return 0
  const { outputs, width } = sizes
  const some = Math.min(count, studied(width))
  const rows = some * (4 * width + ARRAY_BYTES)
  return grown(sizes, count) + rows + Math.max(studyBytes(some, width, outputs), grown(sizes, count))
}

/** Of the features that a memory may choose by itself. */
function ownSizes(shape: readonly number[], outputs: number): Sizes[] {
  const kinds: Features[] = [
    'raw',
    ...(hasPatches(shape) ? (['patches'] as const) : []),
    ...(isSignal(shape) ? (['signals'] as const) : []),
  ]
  return kinds.map((kind) => sizesOf(shape, outputs, kind))
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
  const outputs = answers[0].length
  let square = 0
  for (let c = 0; c < outputs; c++) {
    let mean = 0
    for (const answer of answers) mean += answer[c] / answers.length
    for (const answer of answers) square += (answer[c] - mean) ** 2
  }
  return square / (answers.length * outputs) || 1
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
