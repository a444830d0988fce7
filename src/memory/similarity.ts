/** How alike queries are, by their values or features; and the remembered queries, ready for comparison. */

import { size } from '../base/tensor'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import type { Domain } from './domain'
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

/** What is compared of queries; the user's own features count as values. */
export type Compared = 'values' | 'signals' | 'patches'

/** Computes features of queries; undefined: their values, or the user's own features, are compared. */
type Embedding = Patches | Signals | undefined

/** Filters are learned from this many of the first images: from the last ones, since the earlier ones may be test patterns. */
const SAMPLES = 64

/** How alike a query is to the remembered queries. */
export interface Similarities {
  /** k(x, x') to each remembered query, 0..1. */
  similarities: Float32Array
  /** k(x, x). */
  kxx: number
  /** The smallest squared distance, over the squared length scale. */
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
  /** Whether an image is as alike to the mirror image of another as to that image itself. */
  mirror = false
  readonly #core: Core
  readonly #domain: Domain
  readonly #embedding: Embedding
  /** Undefined for patches: all of their features count the same. */
  readonly #metric: Metric | undefined
  #squaredLengthScale = 1

  private constructor(core: Core, domain: Domain, embedding: Embedding, metric?: Metric) {
    this.#core = core
    this.#domain = domain
    this.#embedding = embedding
    this.#metric = metric
    this.points = new PointTable(core, domain.capacity, metric?.scales.length)
  }

  /** Decides by the first pairs how queries are compared, and holds their queries. In steps. */
  static *learn(core: Core, domain: Domain, pairs: readonly Pair[]): Generator<void, Similarity> {
    const { embedding, metric, vectors } = yield* decided(core, domain, pairs)
    const made = new Similarity(core, domain, embedding, metric)
    const pointOf = (i: number) => (vectors ? made.#scaled(vectors[i]) : made.point(pairs[i].query))
    yield* made.#fill(pairs.length, pointOf)
    return made
  }

  /** The remembered queries at these places, in this order. In steps. @param metric  default: the present one */
  *renewed(places: readonly number[], metric?: Metric): Generator<void, Similarity> {
    const made = new Similarity(this.#core, this.#domain, this.#embedding, metric ?? this.#metric)
    made.mirror = this.mirror
    made.#squaredLengthScale = this.#squaredLengthScale
    if (metric) yield* made.#fill(places.length, (i) => made.#scaled(this.#vector(places[i])))
    else
      yield* paced(places.length, perStep(4 * this.points.width), (i) => made.points.put(this.points.at(places[i]), i))
    return made
  }

  /** The best metric for the remembered queries at these places, and the present one, with their losses; undefined for patches. */
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
    const rows = some.map((place) => this.#vector(place))
    yield
    const options = { criterion, parts: length === size({ shape }) ? parts : [length], known: [metric] }
    const { best, known } = yield* chooseMetric(this.#core, rows, answers, options)
    return { best, now: known[0] }
  }

  /** A regression on the answers to all remembered queries. In steps. @param pairs  in the order of the queries */
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

  /** Noise variance for the kernel's diagonal; half of it with mirror images, which double the neighbours. */
  get noise(): number {
    const { noise } = this.#kernel
    return this.mirror ? noise / 2 : noise
  }

  get #kernel(): Kernel {
    return kernels[this.#metric?.kernel ?? 'smooth']
  }

  /** What is compared of a query; fresh. @param query  as `reduced` in domain.ts gives it */
  point(query: Float32Array): Point {
    const embedding = this.#embedding
    if (embedding instanceof Patches) return embedding.parts(query)
    return this.#scaled(embedding ? embedding.of(query) : query)
  }

  #scaled(vector: Float32Array): Float32Array {
    return scaled(vector, (this.#metric as Metric).scales)
  }

  /** A remembered query's values, unscaled. */
  #vector(place: number): Float32Array {
    const { scales } = this.#metric as Metric
    return (this.points.at(place) as Float32Array).map((value, k) => value / scales[k])
  }

  /** The similarities of a query to the first `count` remembered queries. */
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

  /** The similarities of a remembered query to the first `count` remembered queries. */
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

  /** @throws RangeError for arrays that `save` never gave */
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

  /** Fills the table, and sets the length scale by the distances in it. */
  *#fill(count: number, pointOf: (index: number) => Point): Generator<void> {
    yield* paced(count, this.#embedding ? 1 : perStep(4 * this.points.width), (i) => this.points.put(pointOf(i), i))
    const distances: Float32Array[] = []
    yield* paced(Math.min(count, BLOCK), perStep(BLOCK * this.points.width), (i) => {
      distances.push(this.points.distances(this.points.at(i), i).plain.slice())
    })
    this.#squaredLengthScale = squaredLengthScale(distances)
  }
}

interface Decided {
  embedding: Embedding
  /** Undefined for patches. */
  metric?: TriedMetric
  /** The values of all queries that are compared, if they are computed already. */
  vectors?: Float32Array[]
}

/** Chooses a metric, and whether values or signal features are compared, by leave-one-out error. In steps. */
function* decided(core: Core, domain: Domain, pairs: readonly Pair[]): Generator<void, Decided> {
  const { shape, parts, criterion, features, open, sample } = domain
  const queries = pairs.map(({ query }) => query)
  if (features === 'patches') return { embedding: yield* Patches.learn(core, shape, queries.slice(-SAMPLES)) }
  const answers = pairs.map(({ answer }) => answer)
  const ways: (Signals | undefined)[] = features === 'signals' ? [] : [undefined]
  if (features === 'signals' || open) ways.push(yield* Signals.learn(core, shape, queries))
  const ranked: Required<Decided>[] = []
  for (const embedding of ways) {
    const vectors: Float32Array[] = []
    for (const query of queries) {
      vectors.push(embedding ? embedding.of(query) : query)
      if (embedding) yield
    }
    const options = { criterion, parts: embedding || sample ? [vectors[0].length] : parts }
    const { best } = yield* chooseMetric(core, vectors, answers, options)
    ranked.push({ embedding, metric: best, vectors })
  }
  return ranked.reduce((best, each) => (each.metric.loss < best.metric.loss ? each : best))
}
