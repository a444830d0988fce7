/** How alike queries are, by their values or by features, and the remembered ones, ready to be compared with others. */

import { size } from '../base/tensor'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import { type Domain, ownFeatures } from './domain'
import { chooseMetric, studied } from './metric'
import { type Point, PointTable, toMirror } from './mirror'
import type { Pair } from './pairs'
import { Patches } from './patches'
import { KernelRegression } from './regression'
import { SIGNAL_FEATURES, Signals } from './signals'
import { PRODUCTS, paced, perStep } from './steps'
import type { Kernel, KernelName, Metric, TriedMetric } from './study'
import { kernels, scaled, squaredLengthScale } from './study'
import type { Archive } from './unpack'

/** What is compared in the end; the user's own features are values. */
export type Compared = 'values' | 'signals' | 'patches'

/** What makes the features of a query, unless these are its values or the user's own. */
type Embedding = Patches | Signals | undefined

/** Queries that patches are learned from: the latest, since those before may be test patterns. */
const SAMPLES = 64

/** What a query is like to the remembered ones. */
export interface Similarities {
  /** k(x, x') to each of them, 0..1. */
  similarities: Float32Array
  /** k(x, x). */
  kxx: number
  /** The least squared distance, in squared length scales. */
  nearest: number
}

/** Saved beside the arrays. `unit` is the squared length scale, `fading` the kernel. */
export interface SimilarityState {
  compared: Compared
  unit: number
  mirror: boolean
  fading: KernelName
}

export class Similarity {
  readonly points: PointTable
  /** Whether mirror images count as alike. */
  mirror = false
  readonly #core: Core
  readonly #domain: Domain
  readonly #embedding: Embedding
  /** Undefined for patches, of which all features count the same. */
  readonly #metric: Metric | undefined
  /** Of the kernel. */
  #squaredLengthScale = 1

  private constructor(core: Core, domain: Domain, embedding: Embedding, metric?: Metric) {
    this.#core = core
    this.#domain = domain
    this.#embedding = embedding
    this.#metric = metric
    this.points = new PointTable(core, domain.capacity, metric?.scales.length)
  }

  /** Decided by some queries and the answers to the first of them; it holds all. In steps. @param queries  reduced */
  static *learn(
    core: Core,
    domain: Domain,
    queries: readonly Float32Array[],
    answers: readonly Float32Array[],
  ): Generator<void, Similarity> {
    const { embedding, tried, vectors } = yield* decided(core, domain, queries, answers)
    const made = new Similarity(core, domain, embedding, tried)
    const pointOf = (i: number) => (vectors ? made.#scaled(vectors[i]) : made.point(queries[i]))
    yield* made.#fill(queries.length, pointOf)
    return made
  }

  /** The remembered queries at some places, in this order, as they are or under another metric; in steps. */
  *renewed(places: readonly number[], metric?: Metric): Generator<void, Similarity> {
    const made = new Similarity(this.#core, this.#domain, this.#embedding, metric ?? this.#metric)
    made.mirror = this.mirror
    made.#squaredLengthScale = this.#squaredLengthScale
    if (metric) yield* made.#fill(places.length, (i) => made.#scaled(this.#vector(places[i])))
    else
      yield* paced(places.length, perStep(4 * this.points.width), (i) => made.points.put(this.points.at(places[i]), i))
    return made
  }

  /** Which metric compares the remembered queries at some places best, and how good today's is; patches have none. */
  *reconsidered(
    places: readonly number[],
    pairs: readonly Pick<Pair, 'answer'>[],
  ): Generator<void, { best: TriedMetric; now: TriedMetric } | undefined> {
    const metric = this.#metric
    if (!metric) return undefined
    const { criterion, parts, shape } = this.#domain
    const { length } = metric.scales
    const some = places.slice(-studied(length))
    const answers = pairs.slice(-some.length).map(({ answer }) => answer)
    const rows: Float32Array[] = []
    yield* paced(some.length, perStep(length), (i) => rows.push(this.#vector(some[i])))
    const options = { criterion, parts: length === size({ shape }) ? parts : [length], known: [metric] }
    const { best, known } = yield* chooseMetric(this.#core, rows, answers, options)
    return { best, now: known[0] }
  }

  /** A regression on all that it holds, in steps. @param pairs  with the answers to these, in their order */
  *regressed(pairs: readonly Pick<Pair, 'answer'>[]): Generator<void, KernelRegression> {
    const regression = new KernelRegression(this.#core, this.#domain.outputs, this.noise)
    const operations = Math.max(16 * pairs.length, this.#domain.outputs)
    const every = Math.min(perStep(operations), Math.ceil(PRODUCTS / (pairs.length * this.points.width)))
    for (const [i, { answer }] of pairs.entries()) {
      const { similarities, kxx } = this.to(this.points.at(i), i)
      regression.place(i, similarities, kxx, answer)
      if (i % every === every - 1) yield
    }
    yield* regression.begin()
    return regression
  }

  /** Noise variance for the kernel's diagonal. With mirror images there are twice as many neighbours. */
  get noise(): number {
    const { noise } = this.#kernel
    return this.mirror ? noise / 2 : noise
  }

  get #kernel(): Kernel {
    return kernels[this.#metric?.kernel ?? 'smooth']
  }

  /** A query as it is compared; fresh. @param query  reduced */
  point(query: Float32Array): Point {
    const embedding = this.#embedding
    if (embedding instanceof Patches) return embedding.parts(query)
    return this.#scaled(vectorOf(query, this.#domain, embedding))
  }

  #scaled(vector: Float32Array): Float32Array {
    return scaled(vector, (this.#metric as Metric).scales)
  }

  /** A remembered query's values before they were scaled. */
  #vector(place: number): Float32Array {
    const { scales } = this.#metric as Metric
    return (this.points.at(place) as Float32Array).map((value, k) => value / scales[k])
  }

  /** To the first `count` remembered ones. */
  to(point: Point, count: number): Similarities {
    const { covariance } = this.#kernel
    const rate = 1 / this.#squaredLengthScale
    const similarities = new Float32Array(count)
    let nearest = Number.POSITIVE_INFINITY
    const { plain, turned } = this.points.distances(point, count)
    for (let i = 0; i < count; i++) {
      const own = covariance(rate * plain[i])
      similarities[i] = this.mirror && turned ? (own + covariance(rate * turned[i])) / 2 : own
      nearest = Math.min(nearest, plain[i])
    }
    const kxx = this.mirror ? (1 + covariance(rate * toMirror(point))) / 2 : 1
    return { similarities, kxx, nearest: rate * nearest }
  }

  /** Of a remembered query to the first `count`. */
  at(place: number, count: number): Similarities {
    return this.to(this.points.at(place), count)
  }

  get state(): SimilarityState {
    const compared = this.points.mirrors ? 'patches' : this.#embedding ? 'signals' : 'values'
    const { mirror } = this
    return { compared, unit: this.#squaredLengthScale, mirror, fading: this.#metric?.kernel ?? 'smooth' }
  }

  /** Arrays by name, for `load`. */
  save(count: number): Record<string, Float32Array | Float64Array | Int8Array> {
    const scales = this.#metric && { scales: this.#metric.scales }
    return { ...this.points.save(count), ...scales, ...this.#embedding?.save() }
  }

  /** @throws RangeError for what `save` never gave */
  static load(core: Core, domain: Domain, state: SimilarityState, archive: Archive, count: number): Similarity {
    const { shape, sample } = domain
    const patches = state.compared === 'patches' ? Patches.load(core, shape, archive) : undefined
    const signals = state.compared === 'signals' ? Signals.load(core, shape, archive) : undefined
    const width = signals ? SIGNAL_FEATURES : (sample?.length ?? size(domain))
    const metric = patches ? undefined : { scales: archive.take('scales', 'f4', width), kernel: state.fading }
    const made = new Similarity(core, domain, patches ?? signals, metric)
    made.#squaredLengthScale = state.unit
    made.mirror = state.mirror
    made.points.load(archive, count)
    return made
  }

  /** The first queries it holds, and by them the length scale. */
  *#fill(count: number, pointOf: (index: number) => Point): Generator<void> {
    yield* paced(count, this.#embedding ? 1 : perStep(4 * this.points.width), (i) => this.points.put(pointOf(i), i))
    const distances: Float32Array[] = []
    yield* paced(Math.min(count, BLOCK), perStep(BLOCK * this.points.width), (i) => {
      distances.push(this.points.distances(this.points.at(i), i).plain.slice())
    })
    this.#squaredLengthScale = yield* squaredLengthScale(distances)
  }
}

/** Vectors of the queries, where they are made already. Patches have no metric. */
interface Decided {
  embedding: Embedding
  tried?: TriedMetric
  vectors?: Float32Array[]
}

/** As images, signals or values, and under which metric: whatever predicts some answers best when each is left out. */
function* decided(
  core: Core,
  domain: Domain,
  queries: readonly Float32Array[],
  answers: readonly Float32Array[],
): Generator<void, Decided> {
  const { shape, parts, criterion, features, open, sample } = domain
  if (features === 'patches') return { embedding: yield* Patches.learn(core, shape, queries.slice(-SAMPLES)) }
  const ways: (Signals | undefined)[] = features === 'signals' ? [] : [undefined]
  if (features === 'signals' || open) ways.push(yield* Signals.learn(core, shape, queries))
  const ranked: Required<Decided>[] = []
  for (const embedding of ways) {
    const made = embedding || sample !== undefined
    const vectors: Float32Array[] = []
    for (const query of queries) {
      vectors.push(vectorOf(query, domain, embedding))
      if (made) yield
    }
    const options = { criterion, parts: made ? [vectors[0].length] : parts }
    const { best } = yield* chooseMetric(core, vectors.slice(0, answers.length), answers, options)
    ranked.push({ embedding, tried: best, vectors })
  }
  return ranked.reduce((best, each) => (each.tried.loss < best.tried.loss ? each : best))
}

/** The values of a query that are compared, before they are scaled. */
function vectorOf(
  query: Float32Array,
  { features, sample, early }: Domain,
  embedding: Signals | undefined,
): Float32Array {
  if (typeof features === 'function' && !early) return ownFeatures(features, query, sample?.length)
  return embedding ? embedding.of(query) : query
}
