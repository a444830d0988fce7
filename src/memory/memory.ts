/**
 * Earlier queries and the model's own answers to them: what a lost answer can be recovered from without any
 * redundancy. Bounded, serialisable, without a clock.
 */

import { checkInteger, checkLengths, checkNames, checkWord, expected } from '../check'
import type { Core } from '../core/core'
import { type Criterion, criterionFor } from '../criterion'
import { seeded } from '../random'
import * as saved from '../saved'
import { RunningDeviation, rmsDifference, withoutOutliers } from '../stats'
import { allFinite, size } from '../tensor'
import { type Archive, pack, unpack } from './archive'
import {
  Comparison,
  type ComparisonState,
  compared,
  type Features,
  ownFeatures,
  type Subject,
  squaredLength,
} from './comparison'
import { beginning, footprint, grown, needed, ownSizes, restudying, room, type Sizes, sizesOf } from './footprint'
import { fadingNames } from './metric'
import { labelOdds } from './odds'
import { hasPatches, isLegible, shrunk } from './patches'
import { BLOCK, KernelRegression, type Predicted } from './regression'
import { isSignal, SIGNAL_FEATURES } from './signals'
import { finished } from './steps'

export type { Features }

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
   * Default: 'patches' for images, channels before height and width or behind, at least 12 x 12; for signals of 256 samples or
   * more, [L] or [C, L] with up to 4 channels, 'raw' or 'signals', whichever predicts the first answers better; else 'raw'. How
   * much each of the values or features counts is learned, but for 'patches'.
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
/**
 * Whether to begin afresh is asked when so many times as many queries were seen. Its error must be below such a share of the
 * answers' variance, or it knows nothing either; and by such a share below what it is now: after 140 queries of noise it is by
 * .1 (Fashion), .13 (MNIST), .37 (CIFAR).
 */
const AFRESH = 2
const KNOWING = 0.8
const FRESHER = 0.05
/** Pairs after which new ones count while there are few: a new kind of query should not stay unknown for long. */
const SOON = 32
const SMALL = 2000
/** What an error leaves of the older ones. */
const FADE = 0.999
/** Less than one variance and its noise come to, and more than all of them do. */
const LEAST_TOLD = NOISE / 2
const MOST_TOLD = 10 / (1 - FADE)
/** Share of its bytes that the first queries may take, until the user's own features of them are asked for. */
const EARLY = 1 / 8
/** Squared, the share by which a feature may differ from what it was where it was saved. */
const SAME = 1e-6
/** Workers that can be told apart in a saved state. */
const MOST_WORKERS = 2 ** 16 - 2

/** What it would have answered before it was told, summed up, the older the less: per output squared errors, variances. */
interface Told {
  error: number
  variance: number
}

/** What is kept of a query, see `#looked`, and its answer. */
interface Pair {
  query: Float32Array
  answer: Float32Array
  /** The worker that gave it. */
  from: string | undefined
}

/** All that is known once there is enough of it; replaced as a whole. */
interface Known {
  comparison: Comparison
  regression: KernelRegression
  /** The worker that each answer came from. */
  from: (string | undefined)[]
  told: Told
  /** Variance of the first answers about their mean, per output. */
  spread: number
  /** Where the next pair goes: when full, over the oldest. */
  next: number
}

/** Saved beside the arrays. */
interface Content extends ComparisonState {
  options: Kind
  /** Pairs; 0: it is not ready, and saves nothing else. */
  size: number
  next: number
  told: Told
  /** Those that pairs came from. */
  workers: string[]
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
  readonly #subject: Subject
  readonly #bytes: number
  readonly #sizes: Sizes
  /** What the user's own features give for a query of ours. */
  readonly #sample: Float32Array | undefined
  #known: Known | undefined
  /** The first pairs, until there are enough of them to see what queries look like; later the latest, see `#watch`. */
  #latest: Pair[] = []
  /** What is being decided. */
  #underway: Generator<void> | undefined
  /** Pairs at which is asked again how queries should be compared. */
  #restudyAt = Number.POSITIVE_INFINITY
  /** Queries seen since it began, and after how many of them the next ones are watched. */
  #seen = 0
  #watchAfter = 0
  /** Mean squared error of what was foretold of the latest ones, those of the first half apart. */
  #erred = 0
  /** What the model's answers are like. */
  #answers = new RunningDeviation()

  /**
   * @param state  of `save`, of a memory with the same shape, outputs and features
   * @throws RangeError for sizes out of range, or a state of another memory, or one that is damaged
   */
  constructor(core: Core, options: MemoryOptions, state?: Uint8Array) {
    checkNames('', options, optionNames)
    const { shape } = options
    if (!Array.isArray(shape)) throw new TypeError(expected('shape', 'an array of lengths', shape))
    checkLengths('shape', shape)
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
    this.#sample = typeof features === 'function' ? ownFeatures(features, anything(inputs)) : undefined
    const own = this.#sample?.length
    const early = own !== undefined && 4 * inputs * BLOCK > EARLY * bytes
    const sizes = sizesOf(shape, outputs, features, this.#sample)
    if (open) Object.assign(sizes, { kind: 'signals', width: Math.max(inputs, SIGNAL_FEATURES) })
    if (early) sizes.kept = sizes.width
    this.#core = core
    this.#sizes = sizes
    this.#bytes = bytes
    this.capacity = room(bytes, sizes, LEAST)
    if (this.capacity < LEAST) {
      throw new RangeError(`bytes: expected >= ${footprint(sizes, LEAST)}, for ${LEAST} pairs, got ${bytes}`)
    }
    this.#subject = { shape, parts, outputs, criterion, features, open, own, early, capacity: this.capacity }
    if (state) this.#load(state)
  }

  /** Whether a memory of these options, with features of its own choice, has room for the least that is of use. */
  static fits({ shape, outputs, bytes = DEFAULT_BYTES }: MemoryOptions): boolean {
    const features = hasPatches(shape) ? 'patches' : 'raw'
    return room(bytes, sizesOf(shape, outputs, features), LEAST) >= LEAST
  }

  /** Bytes for so many pairs, whichever of its own features it is to have. */
  static bytes({ shape, outputs }: MemoryOptions, pairs: number): number {
    const count = Math.max(pairs, LEAST)
    return Math.max(...ownSizes(shape, outputs).map((sizes) => needed(sizes, count)))
  }

  /** Pairs it holds. */
  get size(): number {
    return this.#known?.regression.size ?? this.#latest.length
  }

  /** Whether it holds enough to recover from. */
  get ready(): boolean {
    return this.#known !== undefined
  }

  /**
   * Keeps a query and its answer, unless one much like it is there already. Only the model's own answers may
   * come in, never recovered ones or lies.
   *
   * @param query, answer  copied
   * @param from           the worker that gave the answer, for `forget`
   * @returns whether it was kept, and what it would have recovered for the query before it knew: how good it is can
   *   be learned from every answer, not only from late ones
   */
  remember(query: Float32Array, answer: Float32Array, from?: string): { kept: boolean; foretold?: Recollection } {
    const remembered = finished(this.take(query, answer, from))
    while (this.work()) {}
    return remembered
  }

  /**
   * The same, for who must not be held up: in steps, the last of which leaves what can wait to `work`. While that has more to do
   * the next pair would have to wait for it. Between the steps others may `recover`, and nothing else.
   */
  *take(
    query: Float32Array,
    answer: Float32Array,
    from?: string,
  ): Generator<void, { kept: boolean; foretold?: Recollection }> {
    this.#check(query)
    const { outputs } = this.#subject
    if (answer.length !== outputs) throw new RangeError(expected('answer', `${outputs} values`, answer.length))
    while (this.work()) {}
    const pair = { query: this.#looked(query), answer, from }
    if (!this.#isLegible(pair.query)) return { kept: false }
    const known = this.#known
    if (!known) return { kept: this.#collect(pair) }
    const absurd = this.#answers.isOutlier(answer)
    this.#answers.add(answer)
    if (absurd) return { kept: false }
    const { comparison, regression } = known
    const point = yield* comparison.point(pair.query)
    const likeness = yield* comparison.to(point, this.size)
    const isNew = likeness.nearest > DUPLICATE
    const watched = ++this.#seen > this.#watchAfter && this.#hasRoom
    if (!isNew && !watched) return { kept: false }
    const foretold = this.#recollect(known, yield* regression.predict(likeness.similarities, likeness.self))
    if (!foretold) return { kept: false }
    const error = rmsDifference(foretold.answer, answer) ** 2
    if (watched) this.#watch(pair, error)
    if (!isNew) return { kept: false }
    tell(known.told, { error, variance: foretold.variance })
    comparison.put(point, known.next)
    regression.place(known.next, likeness.similarities, likeness.self, answer)
    known.from[known.next] = from
    this.#advance(known)
    return { kept: true, foretold }
  }

  /** A pair was placed. */
  #advance(known: Known): void {
    const { regression } = known
    known.next = (known.next + 1) % this.capacity
    const every = this.size < SMALL && known.next === this.size ? SOON : BLOCK
    if (known.next % every === 0) regression.settle() // or 0, after the last and perhaps shorter block
    regression.advance()
    if (this.size >= this.#restudyAt) this.#underway ??= this.#restudy(known)
  }

  /** Does a step of a few milliseconds of what `take` left to do. @returns whether there is more of it */
  work(): boolean {
    if (this.#known?.regression.work()) return true
    if (this.#underway?.next().done) this.#underway = undefined
    return this.#underway !== undefined
  }

  /**
   * Takes out all that came from a worker, as if it had never been: also how queries are compared is decided without it. What
   * can wait is left to `work`; until that is done nothing is recovered. Where less is left than a memory begins with, it
   * begins anew.
   *
   * @returns pairs taken out, and the answers of the others, the oldest first
   */
  forget(from: string): { gone: number; left: Float32Array[] } {
    while (this.work()) {}
    const before = this.#latest.length
    this.#latest = this.#latest.filter((pair) => pair.from !== from)
    const known = this.#known
    if (!known) return { gone: before - this.#latest.length, left: this.#latest.map(({ answer }) => answer) }
    const left = this.#inOrder(known).filter((place) => known.from[place] !== from)
    const answers = left.map((place) => known.regression.answerOf(place))
    const gone = this.size - left.length
    if (!gone) return { gone, left: answers }
    this.#known = undefined
    this.#latest = []
    this.#erred = 0
    this.#answers = new RunningDeviation()
    for (const answer of answers) this.#answers.add(answer)
    if (left.length >= BLOCK) this.#underway = this.#without(known, left, answers)
    return { gone, left: answers }
  }

  *#without(
    { comparison, regression, from }: Known,
    left: readonly number[],
    answers: Float32Array[],
  ): Generator<void> {
    const choice = yield* comparison.reconsidered(left, (place) => regression.answerOf(place))
    const renewed = yield* comparison.renewed(left, choice?.best)
    yield* this.#use(
      renewed,
      answers,
      left.map((place) => from[place]),
    )
  }

  /**
   * A query's answer as all that is remembered tells it: one pass over the memory.
   *
   * @returns undefined while the memory is not `ready`, or for a query of values so large that it cannot be compared
   */
  recover(query: Float32Array): Recollection | undefined {
    return finished(this.recovering(query))
  }

  /** The same in steps, between which the memory must not change. */
  *recovering(query: Float32Array): Generator<void, Recollection | undefined> {
    this.#check(query)
    const known = this.#known
    if (!known) return undefined
    const looked = this.#looked(query)
    if (!this.#isLegible(looked)) return undefined
    const { comparison, regression } = known
    const point = yield* comparison.point(looked)
    const { similarities, self } = yield* comparison.to(point, this.size)
    return this.#recollect(known, yield* regression.predict(similarities, self))
  }

  /** Undefined where it is not finite: of values that f32 has no room for, or by a state that somebody forged. */
  #recollect(known: Known, predicted: Predicted): Recollection | undefined {
    const { criterion } = this.#subject
    const error = Math.sqrt(squaredError(known, predicted.variance))
    if (!Number.isFinite(error) || !allFinite(predicted.answer)) return undefined
    const odds = criterion.kind === 'label' ? labelOdds(predicted.answer, criterion, error) : undefined
    return { ...predicted, source: 'memory', error, odds }
  }

  /** Solves all that is left to be solved, for who has the time; `remember` goes on by itself, a bit with every pair. */
  settle(): void {
    while (this.work()) {}
    this.#known?.regression.finish()
  }

  /** All it knows, for the constructor. A memory that is not `ready` saves nothing. */
  save(): Uint8Array {
    while (this.work()) {}
    const known = this.#known
    if (!known) return pack('memory', { ...NOTHING, options: this.#kind }, {})
    const { comparison, regression, from, told, next } = known
    const workers = [...new Set(from)].filter((worker) => worker !== undefined).slice(0, MOST_WORKERS)
    const content: Content = { ...comparison.state, options: this.#kind, size: this.size, next, told, workers }
    const indices = new Map(workers.map((worker, i) => [worker, i + 1]))
    return pack('memory', content, {
      ...regression.save(),
      origins: Uint16Array.from(from, (worker) => indices.get(worker as string) ?? 0),
      ...comparison.save(this.size),
      ...(this.#sample && { sample: this.#sample }),
    })
  }

  get #kind(): Kind {
    const { shape, outputs, criterion, features, open, own } = this.#subject
    const labels = criterion.kind === 'label' ? `${criterion.positions} of ${criterion.classes}` : 'none'
    const chosen = open ? 'raw or signals' : features
    return { shape, outputs, labels, features: typeof chosen === 'function' ? `${own} own` : chosen }
  }

  #load(bytes: Uint8Array): void {
    const archive = unpack('memory', bytes)
    const content = this.#checked(archive.content)
    const { size, next, told, workers } = content
    if (!size) return archive.end()
    this.#checkSample(archive)
    const comparison = Comparison.load(this.#core, this.#subject, content, archive, size)
    const regression = KernelRegression.load(this.#core, this.#subject.outputs, comparison.noise, archive, size)
    const from = [...archive.take('origins', 'u2', size)].map((index, i) => {
      return saved.integer(`origins[${i}]`, index, 0, workers.length) ? workers[index - 1] : undefined
    })
    archive.end()
    for (const place of [BLOCK - 1, size >> 1, size - 1]) {
      if (regression.agrees(place, comparison.at(place, size))) continue
      throw saved.refused('kernel', `the similarities of pair ${place} to the others`, 'others')
    }
    const answers = Array.from({ length: size }, (_, i) => regression.answerOf(i))
    for (const answer of answers) this.#answers.add(answer)
    const spread = spreadOf(answers.slice(0, BLOCK))
    this.#known = {
      comparison,
      regression,
      from,
      told,
      spread,
      next: size < this.capacity ? size : next % this.capacity,
    }
    this.#plan()
  }

  #checked(value: unknown): Content {
    const content = saved.object('memory', value, Object.keys(NOTHING))
    const options = saved.object('memory.options', content.options, Object.keys(this.#kind))
    for (const [name, own] of Object.entries(this.#kind)) saved.same(`memory.options.${name}`, own, options[name])
    const size = saved.integer('memory.size', content.size, 0, Number.MAX_SAFE_INTEGER)
    if (size > this.capacity) throw saved.refused('memory.size', `at most ${this.capacity} pairs, for its bytes`, size)
    if (size && size < BLOCK) throw saved.refused('memory.size', `0, or ${BLOCK} or more`, size)
    const told = saved.object('memory.told', content.told, ['error', 'variance'])
    const mirror = saved.flag('memory.mirror', content.mirror)
    if (mirror && this.#subject.features !== 'patches') {
      throw saved.refused('memory.mirror', 'false without patches', 'true')
    }
    return {
      options: this.#kind,
      size,
      next: saved.integer('memory.next', content.next, 0, size),
      unit: saved.number('memory.unit', content.unit, size && saved.LEAST, saved.MOST),
      mirror,
      told: {
        error: saved.number('memory.told.error', told.error, 0, saved.MOST_SQUARE),
        variance: saved.number('memory.told.variance', told.variance, size && LEAST_TOLD, MOST_TOLD),
      },
      fading: saved.word('memory.fading', content.fading, fadingNames),
      compared: saved.word('memory.compared', content.compared, size ? this.#ways : compared),
      workers: saved.list('memory.workers', content.workers, MOST_WORKERS).map((worker, i) => {
        return saved.text(`memory.workers[${i}]`, worker)
      }),
    }
  }

  /** How a memory of these options may compare queries when it is ready. */
  get #ways(): readonly Content['compared'][] {
    const { features, open } = this.#subject
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

  /** Collects the first pairs until there are enough of them. */
  #collect(pair: Pair): boolean {
    const added = this.#add(pair)
    if (added && this.#latest.length === BLOCK) this.#underway = this.#begin()
    return added
  }

  /** To the latest ones, unless it is among them; copied. */
  #add({ query, answer, from }: Pair): boolean {
    if (this.#latest.some((other) => other.query.every((value, i) => value === query[i]))) return false
    this.#latest.push({ query: query.slice(), answer: answer.slice(), from })
    return true
  }

  /** Begins with the first pairs, in steps of a few milliseconds. */
  *#begin(): Generator<void> {
    const first = withoutOutliers(this.#latest, ({ answer }) => answer)
    this.#latest = first
    if (first.length < BLOCK) return // until there are enough of them
    for (const { answer } of first) this.#answers.add(answer)
    const known = yield* this.#learned(first)
    this.#latest = []
    this.#known = known
    this.#plan()
  }

  /**
   * What some pairs tell: how queries are compared, and what that says of their answers.
   *
   * @param deciding  so many of the answers decide which metric it is
   */
  *#learned(pairs: readonly Pair[], deciding = pairs.length): Generator<void, Known> {
    const answers = pairs.map(({ answer }) => answer)
    const queries = pairs.map(({ query }) => query)
    const comparison = yield* Comparison.learn(this.#core, this.#subject, queries, answers.slice(0, deciding))
    let regression = yield* comparison.regressed(answers)
    let told = yield* regression.leaveOneOut()
    if (comparison.mirrors) {
      comparison.mirror = true
      const other = yield* comparison.regressed(answers)
      const otherTold = yield* other.leaveOneOut()
      comparison.mirror = otherTold.error < (1 - MIRROR_GAIN) * told.error
      if (comparison.mirror) [regression, told] = [other, otherTold]
    }
    const from = pairs.map((pair) => pair.from)
    return knownOf(comparison, regression, answers, from, told, this.capacity)
  }

  /** All that is remembered, the oldest first. */
  #inOrder({ next, regression }: Known): number[] {
    const { size } = regression
    const oldest = size < this.capacity ? 0 : next
    return Array.from({ length: size }, (_, i) => (oldest + i) % size)
  }

  /** Asks again how queries are compared, now that more are known; all that is remembered is then looked at anew. */
  *#restudy(known: Known): Generator<void> {
    this.#planRestudy()
    const { comparison, regression, from } = known
    const places = this.#inOrder(known)
    const choice = yield* comparison.reconsidered(places, (place) => regression.answerOf(place))
    if (!choice || choice.best.loss > choice.now.loss - BETTER) return
    const answers = places.map((place) => regression.answerOf(place))
    const renewed = yield* comparison.renewed(places, choice.best)
    yield* this.#use(
      renewed,
      answers,
      places.map((place) => from[place]),
    )
  }

  /** Takes a comparison of all that is remembered for what is known. */
  *#use(comparison: Comparison, answers: Float32Array[], from: (string | undefined)[]): Generator<void> {
    const regression = yield* comparison.regressed(answers)
    const told = yield* regression.leaveOneOut()
    this.#known = knownOf(comparison, regression, answers, from, told, this.capacity)
    this.#planRestudy()
  }

  /**
   * Queries are seen that may be unlike those it began with, which decided how queries are compared: test patterns, say. Of
   * 128 distinct ones each is foretold as it comes; if they alone, compared afresh, would have told more of each other as they
   * came, it begins afresh with these.
   *
   * @param error  mean squared, of what was foretold of this one
   */
  #watch(pair: Pair, error: number): void {
    if (!this.#add(pair)) return
    const { length } = this.#latest
    if (length > BLOCK / 2) this.#erred += error / (BLOCK / 2)
    if (length === BLOCK) this.#underway = this.#afresh(this.#latest, this.#erred)
  }

  *#afresh(latest: Pair[], erred: number): Generator<void> {
    this.#latest = []
    this.#erred = 0
    this.#watchAfter = AFRESH * this.#seen
    const tried = yield* this.#learned(latest, BLOCK / 2) // those it is judged by must not decide
    const error = yield* tried.regression.leaveLaterOut()
    const knows = error < KNOWING * tried.spread
    if (!knows || error > erred - FRESHER * tried.spread) return
    this.#known = tried.comparison.mirrors ? tried : yield* this.#learned(latest)
    this.#plan()
  }

  /** Whether there is room for another beginning beside what there is. */
  get #hasRoom(): boolean {
    return grown(this.#sizes, Math.min(this.size + BLOCK, this.capacity)) + beginning(this.#sizes) <= this.#bytes
  }

  /** When it asks itself again whether it is any good. */
  #plan(): void {
    this.#seen = 0
    this.#watchAfter = 0
    this.#planRestudy()
  }

  /** As long as there is room for all that is remembered beside what there is. */
  #planRestudy(): void {
    const { size, capacity } = this
    const next = Math.min(RESTUDY * size, capacity)
    const fits = size < capacity && restudying(this.#sizes, next) <= this.#bytes
    this.#restudyAt = fits ? next : Number.POSITIVE_INFINITY
  }

  #check(query: Float32Array): void {
    const inputs = size(this.#subject)
    if (query.length !== inputs) throw new RangeError(expected('query', `${inputs} values`, query.length))
  }

  /** What of a query is kept to begin with. */
  #looked(query: Float32Array): Float32Array {
    const { shape, features, early, own } = this.#subject
    if (typeof features === 'function' && early) return ownFeatures(features, query, own)
    return features === 'patches' ? shrunk(query, shape) : query
  }

  #isLegible(looked: Float32Array): boolean {
    return this.#subject.features !== 'patches' || isLegible(looked)
  }
}

/** What is known of some pairs, as it is compared; the regression is on all of them. */
function knownOf(
  comparison: Comparison,
  regression: KernelRegression,
  answers: readonly Float32Array[],
  from: (string | undefined)[],
  leftOut: Told,
  capacity: number,
): Known {
  const told = { error: 0, variance: 0 }
  tell(told, leftOut)
  return {
    comparison,
    regression,
    from,
    told,
    spread: spreadOf(answers.slice(0, BLOCK)),
    next: answers.length % capacity,
  }
}

function tell(told: Told, { error, variance }: Told): void {
  if (!Number.isFinite(error) || !Number.isFinite(variance)) return
  told.error = FADE * told.error + error
  told.variance = FADE * told.variance + variance + NOISE
}

/**
 * The squared error to expect: in proportion to the variance, as measured, and for strangers (variance 1) the spread of
 * the answers as well: of a smooth model the memory errs so little at home that proportion alone would be sure of anything.
 */
function squaredError({ told, spread }: Known, variance: number): number {
  return (told.error / told.variance) * (variance + NOISE) + spread * variance ** STRANGE
}

/** What a memory saves that knows nothing. */
const NOTHING = {
  size: 0,
  next: 0,
  unit: 0,
  mirror: false,
  told: { error: 0, variance: 0 },
  fading: 'smooth',
  compared: 'values',
  workers: [],
  options: {} as Kind,
} satisfies Content

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
