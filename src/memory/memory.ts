/** Earlier queries with the model's own answers, from which a lost answer is recovered without another inference. */

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
import { begin, collect, type Known, type Pair, type Recollection } from './pairs'
import { hasPatches } from './patches'
import { Renewal, type RenewalSteps } from './renewal'
import { inUnits, outOfUnits } from './units'

export type { Features, MemoryOptions } from './domain'
export type { Recollection } from './pairs'

/** A query is a duplicate below this squared distance to a remembered query, over the squared length scale. */
const DUPLICATE = 1e-4
/** After a worker that gave more than this share of the answers is forgotten, the metric is chosen again: fewer answers had little influence on it. */
const INFLUENCE = 1 / 16
/** New pairs are used for predictions from every 32nd pair on in a small memory, since a new kind of query should be known soon; else from every full block on. */
const SOON = 32
const SMALL = 2000

/** The first pairs are collected until there are enough to see what queries are like. */
interface Collecting {
  is: 'collecting'
  pairs: Pair[]
}

/** Pairs are added one by one. */
interface Ready {
  is: 'ready'
  known: Known
  renewal: Renewal
}

/** It is being decided how queries are compared, or pairs are being removed. */
interface Working {
  is: 'working'
  pairs: readonly Pair[]
  /** What is used meanwhile. */
  known?: Known
  steps: Generator<void, Phase>
  /** The phase before, from which `forget` starts. */
  before: Collecting | Ready
  /** The pairs that are kept of the phase before, by their places; default: all. */
  places?: readonly number[]
}

type Phase = Collecting | Ready | Working

export interface Remembered {
  /** Whether the pair was kept. */
  kept: boolean
  /** The prediction for the query before its answer was known. */
  predicted?: Recollection
}

export class Memory {
  /** The number of pairs that it has room for. */
  readonly capacity: number
  readonly #core: Core
  readonly #domain: Domain
  #phase: Phase = { is: 'collecting', pairs: [] }
  /** The spread of the model's answers, by which outliers are recognised. */
  #deviations: Deviations

  /**
   * @param state  what `save` of a memory with the same shape, outputs and features gave
   * @throws RangeError for sizes out of range, and for a state that is damaged or of another memory
   */
  constructor(core: Core, options: MemoryOptions, state?: Uint8Array) {
    this.#core = core
    this.#domain = domainOf(options)
    this.capacity = this.#domain.capacity
    this.#deviations = new Deviations(this.#domain.criterion)
    const known = state && loadMemory(core, this.#domain, state)
    if (!known) return
    this.#deviations = Deviations.over(this.#domain.criterion, known.regression.answers)
    this.#phase = this.#ready(known)
  }

  /** Whether a memory with these options, and without features of the user's, has room for the least useful number of pairs. */
  static fits({ shape, outputs, bytes = DEFAULT_BYTES }: MemoryOptions): boolean {
    const features = hasPatches(shape) ? 'patches' : 'raw'
    return room(bytes, sizesOf(shape, outputs, features), LEAST_PAIRS) >= LEAST_PAIRS
  }

  /**
   * Checks whether a memory with these options fits a saved state, by the state's header alone.
   *
   * @throws RangeError, TypeError as the constructor
   */
  static check(options: MemoryOptions, state?: Uint8Array): void {
    const domain = domainOf(options)
    if (state) checkMemory(domain, state)
  }

  /** The bytes that `pairs` pairs need, whatever features but the user's the memory chooses. */
  static bytes({ shape, outputs }: MemoryOptions, pairs: number): number {
    const count = Math.max(pairs, LEAST_PAIRS)
    return Math.max(...ownSizes(shape, outputs).map((sizes) => needed(sizes, count)))
  }

  /** The number of pairs that it holds. */
  get size(): number {
    const phase = this.#phase
    return this.#known?.size ?? (phase.is === 'ready' ? 0 : phase.pairs.length)
  }

  /** Whether it holds enough pairs to recover answers. */
  get ready(): boolean {
    return this.#known !== undefined
  }

  get #known(): Known | undefined {
    return this.#phase.is === 'collecting' ? undefined : this.#phase.known
  }

  /**
   * Keeps a query and its answer, unless there is a duplicate of the query. Only the model's own answers may be remembered, never recoveries or lies.
   *
   * @param query, answer  copied
   * @param from           the identity of the worker that gave the answer, for `forget`; a name may change
   * @returns a prediction as well, so that every answer tells how good predictions are, not only a late one
   */
  remember(query: Float32Array, answer: Float32Array, from?: string): Remembered {
    const remembered = this.place(query, answer, from)
    while (this.work()) {}
    return remembered
  }

  /** As `remember`, for callers that must not wait: it takes one pass over the memory, and `work` does the rest. The next pair waits until that is done. */
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
    if (isNew && pairs.length === BLOCK)
      this.#phase = { is: 'working', pairs, steps: this.#begin(pairs), before: phase }
    return { kept: isNew }
  }

  *#begin(pairs: readonly Pair[]): Generator<void, Phase> {
    let first = [...pairs]
    for (const output of this.#domain.judged)
      first = yield* withoutOutliers(first, ({ answer }) => outputIn(answer, output))
    if (first.length < BLOCK) return { is: 'collecting', pairs: first }
    const answers = first.map(({ answer }) => answer)
    this.#deviations = Deviations.over(this.#domain.criterion, answers)
    return this.#ready((yield* begin(this.#core, this.#domain, first)).known)
  }

  #ready(known: Known): Ready {
    return { is: 'ready', known, renewal: new Renewal(this.#core, this.#domain, known.size) }
  }

  #add(phase: Ready, pair: Pair): Remembered {
    const { known, renewal } = phase
    const { query, answer } = pair
    const isOutlier = this.#deviations.isOutlier(answer)
    this.#deviations.add(answer)
    if (isOutlier) return { kept: false }
    const point = known.similarity.point(query)
    const similarities = known.similarity.to(point, known.size)
    const predicted = known.predict(similarities)
    if (!predicted) return { kept: false }
    const error = known.squares(predicted.answer, answer)
    const isNew = similarities.nearest > DUPLICATE
    if (isNew) {
      known.observe({ error, variance: predicted.variance })
      known.put(point, similarities, pair)
      this.#advance(known)
    }
    // Duplicates as well: to filters of test patterns all images may look alike.
    const deciding = renewal.see(pair, known.pooled(error), known)
    if (deciding) this.#decide(phase, deciding)
    return isNew ? { kept: true, predicted: this.#toCaller(predicted) } : { kept: false }
  }

  #advance({ regression, next, size }: Known): void {
    const every = size < SMALL && next === size ? SOON : BLOCK
    if (next % every === 0) regression.settle() // next is 0 after the last block, which may be shorter
    regression.advance()
  }

  /** Decides again how queries are compared, in steps. The present memory is used until there is a better one. */
  #decide(before: Ready, deciding: RenewalSteps): void {
    this.#phase = { is: 'working', pairs: [], known: before.known, steps: this.#decided(before, deciding), before }
  }

  *#decided(phase: Ready, deciding: RenewalSteps): Generator<void, Phase> {
    return { ...phase, known: (yield* deciding) ?? phase.known }
  }

  /** Does a step of a few milliseconds of what `place` and `forget` left to do. @returns whether more steps remain */
  work(): boolean {
    if (this.#known?.regression.work()) return true
    if (this.#phase.is !== 'working') return false
    const { done, value } = this.#phase.steps.next()
    if (done) this.#phase = value ?? { is: 'collecting', pairs: [] } // no value after the user's features threw
    return this.#phase.is === 'working'
  }

  #finished(): Collecting | Ready {
    while (this.work()) {}
    return this.#phase as Collecting | Ready
  }

  /**
   * Removes all pairs whose answers a worker gave, as if they had never come. What takes long is left to `work`; until the remaining pairs are solved
   * anew, nothing is recovered. If the worker gave many of the answers, the metric is chosen again afterwards. With fewer pairs than a memory begins
   * with, all pairs go.
   *
   * @returns the number of removed pairs, and the answers of the others, the oldest first
   */
  forget(from: string): { gone: number; left: Float32Array[] } {
    // Steps that are under way are dropped: they use the worker's answers.
    const { before: phase, places: all } = this.#phase.is === 'working' ? this.#phase : { before: this.#phase }
    if (phase.is === 'collecting') {
      const pairs = phase.pairs.filter((pair) => pair.from !== from)
      const gone = phase.pairs.length - pairs.length
      if (gone) this.#phase = { is: 'collecting', pairs }
      return { gone, left: pairs.map(({ answer }) => outOfUnits(answer, this.#domain.judged)) }
    }
    const { known, renewal } = phase
    const candidates = all ?? known.places
    const places = candidates.filter((place) => known.from[place] !== from)
    const left = places.map((place) => outOfUnits(known.regression.answers[place], this.#domain.judged))
    const gone = candidates.length - places.length
    renewal.clear()
    if (!gone) return { gone, left }
    const isDecided = this.#phase.is === 'ready' && gone <= INFLUENCE * known.size
    if (left.length < BLOCK) this.#phase = { is: 'collecting', pairs: [] }
    else
      this.#phase = { is: 'working', pairs: [], steps: this.#without(phase, places, isDecided), before: phase, places }
    return { gone, left }
  }

  /** @param places  of the remaining pairs  @param isDecided  whether the metric stays */
  *#without({ known, renewal }: Ready, places: readonly number[], isDecided: boolean): Generator<void, Phase> {
    const answers = places.map((place) => known.regression.answers[place])
    this.#deviations = Deviations.over(this.#domain.criterion, answers)
    const left = yield* known.only(places)
    renewal.plan(left.size)
    const before: Ready = { is: 'ready', known: left, renewal }
    if (isDecided) return before
    return { is: 'working', pairs: [], known: left, steps: this.#decided(before, renewal.restudy(left)), before }
  }

  /**
   * Predicts the answer to a query, in one pass over the memory.
   *
   * @returns undefined while the memory is not `ready`, and for a query whose values are too large to be compared
   */
  recover(query: Float32Array): Recollection | undefined {
    this.#check(query)
    const known = this.#known
    const kept = known && reduced(query, this.#domain)
    if (!kept) return undefined
    const predicted = known.predict(known.similarity.to(known.similarity.point(kept), known.size))
    return predicted && this.#toCaller(predicted)
  }

  /** With the answer in the model's units; errors stay in the memory's. */
  #toCaller(predicted: Recollection): Recollection {
    return { ...predicted, answer: outOfUnits(predicted.answer, this.#domain.judged) }
  }

  /** Does all the work that is due at once, so that predictions use every pair; `remember` spreads it over the pairs to come. */
  settle(): void {
    this.#finished()
    this.#known?.regression.finish()
  }

  /** All pairs, for the constructor. A memory that is not `ready` saves none. */
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
