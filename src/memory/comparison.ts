/** How queries are compared, and the remembered ones as they are compared: by which values or features, how much each counts. */

import { joined } from '../arrays'
import { expected } from '../check'
import type { Core } from '../core/core'
import { multiplied, type Table } from '../core/rows'
import type { Criterion } from '../criterion'
import { size } from '../tensor'
import type { Archive } from './archive'
import { chooseMetric, type FadingName, fadings, type Metric, scaled, studied, type Tried, unitOf } from './metric'
import { mirrorParts, PART_STEP, PATCH_FEATURES, Patches } from './patches'
import { BLOCK, KernelRegression, PRODUCTS, QUICK_PRODUCTS } from './regression'
import { SIGNAL_FEATURES, Signals } from './signals'
import { finished } from './steps'

/** How queries are compared: by their values, as images or signals by their patches, or by the user's own features. */
export type Features = 'raw' | 'patches' | 'signals' | ((query: Float32Array) => Float32Array)

/** What it comes to. */
export const compared = ['values', 'signals', 'patches'] as const

export type Compared = (typeof compared)[number]

/** What is compared. */
export interface Subject {
  readonly shape: readonly number[]
  readonly parts: readonly number[]
  readonly outputs: number
  readonly criterion: Criterion
  readonly features: Features
  /** Where the first answers decide whether a query is a signal. */
  readonly open: boolean
  /** Values that the user's own features give, and whether they were asked for before a query comes here. */
  readonly own: number | undefined
  readonly early: boolean
  /** Queries that it is to have room for. */
  readonly capacity: number
}

/** Queries that patches are learned from. */
const SAMPLES = 64

/** One query as it is compared: mirror images differ in the sign of `odd`. */
export interface Point {
  even: Float32Array
  odd?: Float32Array
}

/** Saved beside the arrays. */
export interface ComparisonState {
  compared: Compared
  unit: number
  mirror: boolean
  fading: FadingName
}

export class Comparison {
  /** Whether mirror images count as alike. */
  mirror = false
  readonly #core: Core
  readonly #subject: Subject
  readonly #learned: Patches | Signals | undefined
  /** How much each value counts; of patches all the same. */
  readonly #scales: Float32Array | undefined
  readonly #fading: FadingName
  readonly #even: Table
  readonly #odd: Table | undefined
  /** Squared lengths of the odd parts. */
  readonly #oddLengths: number[] = []
  /** Median squared distance of the first queries: one odd query must not make all the others alike. */
  #unit = 1

  private constructor(core: Core, subject: Subject, learned: Patches | Signals | undefined, metric?: Metric) {
    this.#core = core
    this.#subject = subject
    this.#learned = learned
    this.#scales = metric?.scales
    this.#fading = metric?.fading ?? 'smooth'
    const { capacity } = subject
    if (metric) this.#even = core.table(metric.scales.length, capacity)
    else {
      this.#even = core.table(PATCH_FEATURES / 2, capacity, PART_STEP)
      this.#odd = core.table(PATCH_FEATURES / 2, capacity, PART_STEP)
    }
  }

  /**
   * Decides by some queries and the answers to the first of them, in steps of a few milliseconds; all are the first that it holds.
   *
   * @param queries  images shrunk; own features where they are asked for early
   */
  static *learn(
    core: Core,
    subject: Subject,
    queries: readonly Float32Array[],
    answers: readonly Float32Array[],
  ): Generator<void, Comparison> {
    if (subject.features === 'patches') {
      // Of the latest: what came before may be a test pattern.
      const patches = yield* Patches.learn(core, subject.shape, queries.slice(-SAMPLES))
      const made = new Comparison(core, subject, patches)
      yield* made.#fill(queries.length, (i) => mirrorParts(patches.of(queries[i])))
      return made
    }
    const { tried, signals, vectors } = yield* decided(core, subject, queries, answers)
    const made = new Comparison(core, subject, signals, tried)
    yield* made.#fill(vectors.length, (i) => ({ even: scaled(vectors[i], tried.scales) }))
    return made
  }

  /** The remembered queries at some places in this order, under the same metric or another; in steps. */
  *renewed(places: readonly number[], metric?: Metric): Generator<void, Comparison> {
    const own = this.#scales && { scales: this.#scales, fading: this.#fading }
    const made = new Comparison(this.#core, this.#subject, this.#learned, metric ?? own)
    made.mirror = this.mirror
    const { scales } = metric ?? {}
    yield* made.#fill(places.length, (i) => {
      return scales ? { even: scaled(this.#vector(places[i]), scales) } : this.#point(places[i])
    })
    return made
  }

  /**
   * Asks again, by some of the remembered queries, which metric compares them best.
   *
   * @param places   the latest of which are looked at, where they are many
   * @param answers  to them
   * @returns the best, and what the present one is worth; undefined for patches, which have none
   */
  *reconsidered(
    places: readonly number[],
    answerOf: (place: number) => Float32Array,
  ): Generator<void, { best: Tried; now: Tried } | undefined> {
    const scales = this.#scales
    if (!scales) return undefined
    const { criterion, parts, shape } = this.#subject
    const some = places.slice(-studied(scales.length))
    const rows: Float32Array[] = []
    for (const place of some) {
      rows.push(this.#vector(place))
      if (rows.length % 64 === 0) yield
    }
    const known = [{ scales, fading: this.#fading }]
    const inputs = scales.length === size({ shape }) ? parts : [scales.length]
    const choice = yield* chooseMetric(this.#core, rows, some.map(answerOf), { criterion, parts: inputs, known })
    return { best: choice.best, now: choice.known[0] }
  }

  /** A regression on all that it holds, in steps. @param answers  to these, in their order */
  *regressed(answers: readonly Float32Array[]): Generator<void, KernelRegression> {
    const regression = new KernelRegression(this.#core, this.#subject.outputs, this.noise)
    const width = this.#scales?.length ?? PATCH_FEATURES
    const every = Math.max(1, Math.ceil(PRODUCTS / (answers.length * width)))
    for (const [i, answer] of answers.entries()) {
      const { similarities, self } = finished(this.to(this.#point(i), i))
      regression.place(i, similarities, self, answer)
      if (i % every === every - 1) yield
    }
    yield* regression.begin()
    return regression
  }

  /** On the kernel's diagonal. With mirror images as neighbours there is twice as much to tell a query from. */
  get noise(): number {
    const { noise } = fadings[this.#fading]
    return this.mirror ? noise / 2 : noise
  }

  get unit(): number {
    return this.#unit
  }

  /** Whether queries may be alike to their mirror images. */
  get mirrors(): boolean {
    return this.#odd !== undefined
  }

  /** A query as it is compared, in steps; fresh. */
  *point(query: Float32Array): Generator<void, Point> {
    if (this.#learned instanceof Patches) {
      const features = this.#learned.of(query) // at once: who looks between its steps would find half of it written over
      yield
      return mirrorParts(features)
    }
    return { even: scaled(vectorOf(query, this.#subject, this.#learned), this.#scales as Float32Array) }
  }

  /** Remembers it at a place, over whatever was there. */
  put({ even, odd }: Point, place: number): void {
    this.#even.set(place, even)
    if (!odd) return
    this.#odd?.set(place, odd)
    this.#oddLengths[place] = squaredLength(odd)
  }

  /** To the first `count` remembered ones: the least squared distance over the unit, and similarities; and that to itself. In steps. */
  *to(point: Point, count: number): Generator<void, { nearest: number; similarities: Float32Array; self: number }> {
    const { similarity } = fadings[this.#fading]
    const rate = 1 / this.#unit
    const similarities = new Float32Array(count)
    let nearest = Number.POSITIVE_INFINITY
    const pairs = Math.max(1, Math.floor(QUICK_PRODUCTS / (this.#scales?.length ?? PATCH_FEATURES)))
    for (let from = 0; from < count; from += pairs) {
      if (from) yield
      const { plain, mirrored } = this.#distances(point, Math.min(from + pairs, count), from)
      for (let i = 0; i < plain.length; i++) {
        const own = similarity(rate * plain[i])
        similarities[from + i] = this.mirror && mirrored ? (own + similarity(rate * mirrored[i])) / 2 : own
        nearest = Math.min(nearest, plain[i])
      }
    }
    const { odd } = point
    const self = this.mirror && odd ? (1 + Math.exp(-4 * rate * squaredLength(odd))) / 2 : 1
    return { nearest: rate * nearest, similarities, self }
  }

  /** Similarities of a remembered query to the first `count`. */
  at(place: number, count: number): Float32Array {
    return finished(this.to(this.#point(place), count)).similarities
  }

  get state(): ComparisonState {
    const kind = this.#odd ? 'patches' : this.#learned ? 'signals' : 'values'
    return { compared: kind, unit: this.#unit, mirror: this.mirror, fading: this.#fading }
  }

  /** Arrays by name, for `load`. */
  save(count: number): Record<string, Float32Array | Float64Array | Int8Array> {
    const rows = (table: Table) => {
      const all = joined(
        Array.from({ length: count }, (_, i) => table.get(i)),
        Float32Array,
      )
      return this.#odd ? new Int8Array(multiplied(all, 1 / PART_STEP)) : all
    }
    return {
      even: rows(this.#even),
      ...(this.#odd && { odd: rows(this.#odd) }),
      ...(this.#scales && { scales: this.#scales }),
      ...this.#learned?.save(),
    }
  }

  /** @throws RangeError for what `save` never gave */
  static load(core: Core, subject: Subject, state: ComparisonState, archive: Archive, count: number): Comparison {
    const { shape, own } = subject
    const patches = state.compared === 'patches' ? Patches.load(core, shape, archive) : undefined
    const signals = state.compared === 'signals' ? Signals.load(core, shape, archive) : undefined
    const width = patches ? PATCH_FEATURES / 2 : signals ? SIGNAL_FEATURES : (own ?? size(subject))
    const metric = patches ? undefined : { scales: archive.take('scales', 'f4', width), fading: state.fading }
    const made = new Comparison(core, subject, patches ?? signals, metric)
    made.#unit = state.unit
    made.mirror = state.mirror
    const part = (name: string) => {
      const all = archive.take(name, patches ? 'i1' : 'f4', count * width)
      const step = patches ? PART_STEP : 1
      return (i: number) => multiplied(all.subarray(i * width, (i + 1) * width), step)
    }
    const [even, odd] = [part('even'), patches && part('odd')]
    for (let i = 0; i < count; i++) made.put(odd ? { even: even(i), odd: odd(i) } : { even: even(i) }, i)
    return made
  }

  /** The first queries it holds, and by them the unit. */
  *#fill(count: number, pointOf: (index: number) => Point): Generator<void> {
    for (let i = 0; i < count; i++) {
      this.put(pointOf(i), i)
      if (i % 32 === 31 || this.#learned) yield
    }
    const distances: Float32Array[] = []
    for (let i = 0; i < Math.min(count, BLOCK); i++) {
      distances.push(this.#distances(this.#point(i), i).plain)
      if (i % 8 === 7) yield
    }
    this.#unit = unitOf(distances)
    yield
  }

  /** A remembered one. */
  #point(place: number): Point {
    const even = this.#even.get(place)
    return this.#odd ? { even, odd: this.#odd.get(place) } : { even }
  }

  /** Its values before they were scaled. */
  #vector(place: number): Float32Array {
    const scales = this.#scales as Float32Array
    return this.#even.get(place).map((value, k) => value / scales[k])
  }

  /** Squared distances to queries from .. to - 1, and to their mirror images. */
  #distances({ even, odd }: Point, to: number, from = 0): { plain: Float32Array; mirrored?: Float32Array } {
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
}

/** As signals or not, and which values count: whatever predicts some answers best when each is left out. */
function* decided(
  core: Core,
  subject: Subject,
  queries: readonly Float32Array[],
  answers: readonly Float32Array[],
): Generator<void, { tried: Tried; signals: Signals | undefined; vectors: Float32Array[] }> {
  const { shape, parts, criterion, features, open } = subject
  const ways: (Signals | undefined)[] = features === 'signals' ? [] : [undefined]
  if (features === 'signals' || open) ways.push(yield* Signals.learn(core, shape, queries))
  const ranked: { tried: Tried; signals: Signals | undefined; vectors: Float32Array[] }[] = []
  for (const signals of ways) {
    const vectors: Float32Array[] = []
    for (const query of queries) {
      vectors.push(vectorOf(query, subject, signals))
      if (signals || typeof features === 'function') yield
    }
    const inputs = signals || typeof features === 'function' ? [vectors[0].length] : parts
    const known = vectors.slice(0, answers.length)
    const { best: tried } = yield* chooseMetric(core, known, answers, { criterion, parts: inputs })
    ranked.push({ tried, signals, vectors })
  }
  return ranked.reduce((best, each) => (each.tried.loss < best.tried.loss ? each : best))
}

function vectorOf(query: Float32Array, { features, own, early }: Subject, signals: Signals | undefined): Float32Array {
  if (typeof features === 'function' && !early) return ownFeatures(features, query, own)
  return signals?.of(query) ?? query
}

/** A copy of what the user's function gives. */
export function ownFeatures(
  features: (query: Float32Array) => Float32Array,
  query: Float32Array,
  width?: number,
): Float32Array {
  const own = features(query)
  const fits = own instanceof Float32Array && own.length && own.every(Number.isFinite)
  if (fits && own.length === (width ?? own.length)) return own.slice()
  throw new TypeError(expected('features(query)', `a Float32Array of ${width ?? ''} finite values`, own))
}

export function squaredLength(row: Float32Array): number {
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += row[i] * row[i]
  return sum
}
