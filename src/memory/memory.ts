/** Earlier queries and the model's own answers, from which a lost answer can be recovered without redundancy. */

import { expected } from '../base/check'
import { outputIn } from '../base/criterion'
import { withoutOutliers } from '../base/stats'
import { size } from '../base/tensor'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import { Deviations } from './deviations'
import type { Domain, MemoryOptions } from './domain'
import { DEFAULT_BYTES, domainOf, LEAST_PAIRS, needed, ownSizes, reduced, room, sizesOf } from './domain'
import { checkMemory, loadMemory, saveMemory } from './memory-state'
import { Renewal, renewed } from './metric-renewal'
import { begin, collect, type Known, type Pair, type Recollection } from './pairs'
import { hasPatches } from './patches'
import { finished } from './steps'
import { inUnits, outOfUnits } from './units'

export type { Features, MemoryOptions } from './domain'
export type { Recollection } from './pairs'

/** Squared distance to a remembered query, in squared length scales, below which a query is a duplicate. */
const DUPLICATE = 1e-4
/** How queries are compared is decided again where a worker that is forgotten gave more than this share of the answers: fewer had little say in it. */
const SAY = 1 / 16
/** Pairs after which new ones count: fewer in a small memory, since a new kind of query should be known soon. */
const SOON = 32
const SMALL = 2000

/**
 * `collecting`: until there are enough pairs to see what queries are like. `working`: while it is decided how they are
 * compared; what was known before is used meanwhile, if it may be. `ready`: pairs come one by one.
 */
type Phase = Still | Working

interface Working {
  is: 'working'
  pairs: readonly Pair[]
  known?: Known
  steps: Generator<void, Phase>
  /** The pairs that it is made of, by their places, default all: a worker may be forgotten meanwhile. */
  of: Still
  places?: readonly number[]
}

type Still = { is: 'collecting'; pairs: Pair[] } | { is: 'ready'; known: Known; recent: Renewal }

type Ready = Extract<Still, { is: 'ready' }>

export interface Remembered {
  /** Whether the pair was kept. */
  kept: boolean
  /** What the memory would have recovered for the query before it knew. */
  predicted?: Recollection
}

export class Memory {
  /** Pairs it has room for. */
  readonly capacity: number
  readonly #core: Core
  readonly #domain: Domain
  #phase: Phase = { is: 'collecting', pairs: [] }
  /** How much the model's answers differ from each other. */
  #deviations: Deviations

  /**
   * @param state  of `save`, of a memory with the same shape, outputs and features
   * @throws RangeError for sizes out of range, or a state of another memory, or one that is damaged
   */
  constructor(core: Core, options: MemoryOptions, state?: Uint8Array) {
    this.#core = core
    this.#domain = domainOf(options)
    this.capacity = this.#domain.capacity
    this.#deviations = new Deviations(this.#domain.criterion)
    const known = state && loadMemory(core, this.#domain, state)
    if (!known) return
    this.#deviations = finished(Deviations.over(this.#domain.criterion, known.regression.answers))
    this.#phase = this.#ready(known)
  }

  /** Whether a memory of these options, with features of its own choice, has room for the least that is of use. */
  static fits({ shape, outputs, bytes = DEFAULT_BYTES }: MemoryOptions): boolean {
    const features = hasPatches(shape) ? 'patches' : 'raw'
    return room(bytes, sizesOf(shape, outputs, features), LEAST_PAIRS) >= LEAST_PAIRS
  }

  /**
   * Whether a memory of these options would take what one saved, as far as that says what it is of.
   *
   * @throws RangeError, TypeError as the constructor
   */
  static check(options: MemoryOptions, state?: Uint8Array): void {
    const domain = domainOf(options)
    if (state) checkMemory(domain, state)
  }

  /** Bytes for `pairs` pairs, whichever of its own features the memory is to have. */
  static bytes({ shape, outputs }: MemoryOptions, pairs: number): number {
    const count = Math.max(pairs, LEAST_PAIRS)
    return Math.max(...ownSizes(shape, outputs).map((sizes) => needed(sizes, count)))
  }

  /** Pairs it holds. */
  get size(): number {
    const phase = this.#phase
    return this.#known?.size ?? (phase.is === 'ready' ? 0 : phase.pairs.length)
  }

  /** Whether it holds enough to recover from. */
  get ready(): boolean {
    return this.#known !== undefined
  }

  get #known(): Known | undefined {
    return this.#phase.is === 'collecting' ? undefined : this.#phase.known
  }

  /**
   * Keeps a query and its answer, unless one much like it is there already. Only the model's own answers may come in,
   * never recovered ones or lies.
   *
   * @param query, answer  copied
   * @param from           whose the answer is, for `forget`: the identity of a worker, since its name may change
   * @returns with a prediction, so that every answer can show how good these are, not only a late one
   */
  remember(query: Float32Array, answer: Float32Array, from?: string): Remembered {
    const remembered = this.place(query, answer, from)
    while (this.work()) {}
    return remembered
  }

  /** The same for callers that must not be held up: one pass over the memory; the rest is left to `work`. Before it comes to its end the next pair would have to wait for it. */
  place(query: Float32Array, answer: Float32Array, from?: string): Remembered {
    this.#check(query)
    const { outputs } = this.#domain
    if (answer.length !== outputs) throw new RangeError(expected('answer', `${outputs} values`, answer.length))
    const phase = this.#finished()
    const kept = reduced(query, this.#domain)
    if (!kept) return { kept: false }
    const pair = { query: kept, answer: inUnits(answer, this.#domain.judged), from }
    if (phase.is === 'ready') return this.#add(phase, pair)
    const { pairs } = phase
    const isNew = collect(pairs, pair)
    if (isNew && pairs.length === BLOCK) this.#phase = { is: 'working', pairs, steps: this.#begin(pairs), of: phase }
    return { kept: isNew }
  }

  *#begin(pairs: readonly Pair[]): Generator<void, Phase> {
    let first = [...pairs]
    for (const output of this.#domain.judged)
      first = yield* withoutOutliers(first, ({ answer }) => outputIn(answer, output))
    if (first.length < BLOCK) return { is: 'collecting', pairs: first }
    this.#deviations = yield* Deviations.over(
      this.#domain.criterion,
      first.map(({ answer }) => answer),
    )
    return this.#ready(yield* begin(this.#core, this.#domain, first))
  }

  #ready(known: Known): Ready {
    return { is: 'ready', known, recent: new Renewal(this.#domain, known.size) }
  }

  #add(phase: Ready, pair: Pair): Remembered {
    const { known, recent } = phase
    const { query, answer } = pair
    const isOutlier = this.#deviations.isOutlier(answer)
    this.#deviations.add(answer)
    if (isOutlier) return { kept: false }
    const point = known.similarity.point(query)
    const similarities = known.similarity.to(point, known.size)
    const isNew = similarities.nearest > DUPLICATE
    const isCollected = recent.see(known.size)
    if (!isNew && !isCollected) return { kept: false }
    const predicted = known.predict(similarities)
    if (!predicted) return { kept: false }
    const error = known.squares(predicted.answer, answer)
    if (isCollected && recent.collect(pair, known.pooled(error))) this.#reconsider(phase, this.#afresh(phase))
    if (!isNew) return { kept: false }
    known.observe({ error, variance: predicted.variance })
    known.put(point, similarities, pair)
    this.#advance(phase)
    return { kept: true, predicted: this.#told(predicted) }
  }

  #advance(phase: Ready): void {
    const { regression, next, size } = phase.known
    const every = size < SMALL && next === size ? SOON : BLOCK
    if (next % every === 0) regression.settle() // or 0, after the last and perhaps shorter block
    regression.advance()
    if (this.#phase.is === 'ready' && phase.recent.isDue(size)) this.#reconsider(phase, this.#restudy(phase))
  }

  /** What is known is used until there is something better. */
  #reconsider(phase: Ready, steps: Generator<void, Phase>): void {
    this.#phase = { is: 'working', pairs: [], known: phase.known, steps, of: phase }
  }

  *#afresh(phase: Ready): Generator<void, Phase> {
    const known = yield* phase.recent.afresh(this.#core)
    return known ? this.#ready(known) : phase
  }

  *#restudy({ known, recent }: Ready): Generator<void, Phase> {
    recent.plan(known.size)
    return { is: 'ready', known: (yield* renewed(this.#domain, known)) ?? known, recent }
  }

  /** Does a step of a few milliseconds of what `place` and `forget` left to do. @returns whether there is more of it */
  work(): boolean {
    if (this.#known?.regression.work()) return true
    if (this.#phase.is !== 'working') return false
    const { done, value } = this.#phase.steps.next()
    if (done) this.#phase = value ?? { is: 'collecting', pairs: [] } // none after the user's features threw
    return this.#phase.is === 'working'
  }

  #finished(): Still {
    while (this.work()) {}
    return this.#phase as Still
  }

  /**
   * Takes out all that came from a worker, as if it had never been. What can wait is left to `work`; until the others are solved anew
   * nothing is recovered. Then how queries are compared is decided again, too, where the worker had much say in it. With fewer
   * pairs than a memory begins with, all go.
   *
   * @returns pairs taken out, and the answers of the others, the oldest first
   */
  forget(from: string): { gone: number; left: Float32Array[] } {
    // What is under way is left where it is: with the worker's answers it would have to be done again.
    const { of: phase, places: all } = this.#phase.is === 'working' ? this.#phase : { of: this.#phase }
    if (phase.is === 'collecting') {
      const pairs = phase.pairs.filter((pair) => pair.from !== from)
      const gone = phase.pairs.length - pairs.length
      if (gone) this.#phase = { is: 'collecting', pairs }
      return { gone, left: pairs.map(({ answer }) => outOfUnits(answer, this.#domain.judged)) }
    }
    const { known, recent } = phase
    recent.forget(from)
    const before = all ?? known.places
    const places = before.filter((place) => known.from[place] !== from)
    const left = places.map((place) => outOfUnits(known.regression.answers[place], this.#domain.judged))
    const gone = before.length - places.length
    if (!gone) return { gone, left }
    recent.clear()
    const isDecided = this.#phase.is === 'ready' && gone <= SAY * known.size
    if (left.length < BLOCK) this.#phase = { is: 'collecting', pairs: [] }
    else this.#phase = { is: 'working', pairs: [], steps: this.#without(phase, places, isDecided), of: phase, places }
    return { gone, left }
  }

  /** @param places  of the pairs that are left  @param isDecided  how queries are compared */
  *#without({ known, recent }: Ready, places: readonly number[], isDecided: boolean): Generator<void, Phase> {
    const answers = places.map((place) => known.regression.answers[place])
    this.#deviations = yield* Deviations.over(this.#domain.criterion, answers)
    const left = yield* known.only(places)
    recent.plan(left.size)
    const phase: Ready = { is: 'ready', known: left, recent }
    return isDecided ? phase : { is: 'working', pairs: [], known: left, steps: this.#restudy(phase), of: phase }
  }

  /**
   * A query's answer as all that is remembered tells it: one pass over the memory.
   *
   * @returns undefined while the memory is not `ready`, or for a query of values so large that it cannot be compared
   */
  recover(query: Float32Array): Recollection | undefined {
    this.#check(query)
    const known = this.#known
    const kept = known && reduced(query, this.#domain)
    if (!kept) return undefined
    const predicted = known.predict(known.similarity.to(known.similarity.point(kept), known.size))
    return predicted && this.#told(predicted)
  }

  /** With the answer as the model gives it; errors stay in the units of the memory. */
  #told(predicted: Recollection): Recollection {
    return { ...predicted, answer: outOfUnits(predicted.answer, this.#domain.judged) }
  }

  /** Solves all that is left to be solved; `remember` does so by itself, a bit with every pair. */
  settle(): void {
    this.#finished()
    this.#known?.regression.finish()
  }

  /** All it knows, for the constructor. A memory that is not `ready` saves nothing. */
  save(): Uint8Array {
    this.#finished()
    return saveMemory(this.#domain, this.#known)
  }

  #check(query: Float32Array): void {
    const { features, sample } = this.#domain
    const inputs = typeof features === 'object' && sample ? sample.length : size(this.#domain)
    if (query.length !== inputs) throw new RangeError(expected('query', `${inputs} values`, query.length))
  }
}
