/** A memory in the thread that asks it: a lookup is a function, a lesson takes its steps in turns with everything else. */

import type { Clock } from '../base/clock'
import type { Warn } from '../base/notices'
import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Experience } from './experience'
import { averaged, type MemoryHost, type Rated, type Taken, type TrainingStep, WAITING } from './host'
import { TimeBudget } from './time-budget'
import { Training } from './training'

/** Parts of a thread's time. */
export interface Shares {
  /** For lookups. */
  readonly lookups: number
  /** For lessons, of what lookups leave: while a memory is cold, and later. */
  readonly cold: number
  readonly warm: number
}

/**
 * Of a thread that serves queries as well. A fifth for lessons of a warm memory made the median answer of a model of .1 ms a tenth slower; lookups
 * without a bound held everything where more queries came than workers could answer.
 */
export const SHARED_THREAD: Shares = { lookups: 0.5, cold: 0.5, warm: 0.05 }
/** Lookups that may be saved up, ms. */
const BURST_MS = 10

/** Milliseconds that a lookup takes, and of a lesson to compare an answer with what is remembered, and each further step. */
export interface Charges {
  readonly lookUp: number
  readonly comparing: number
  readonly step: number
}

export interface InlineOptions {
  readonly clock: Clock
  readonly shares: Shares
  /** Part of the shares that is this memory's. Default: all. */
  readonly part?: number
  /** Told of a lesson that failed; it costs nothing else. */
  readonly warn: Warn
  /** What work takes where time is made, and what is told of it. */
  readonly charges?: Charges | undefined
  readonly spend?: ((ms: number) => void) | undefined
  /** Told when a lesson has come to its end, or all is solved without what was forgotten. */
  readonly learned?: () => void
}

export class InlineMemory implements MemoryHost {
  lookupMs = Number.POSITIVE_INFINITY
  readonly #experience: Experience
  readonly #clock: Clock
  readonly #training: Training
  readonly #looking: TimeBudget
  readonly #learned: () => void
  readonly #spend: (what: keyof Charges) => void

  constructor(experience: Experience, options: InlineOptions) {
    const { clock, shares, part = 1, warn, learned = () => {}, charges, spend } = options
    this.#spend = (what) => charges && spend?.(charges[what])
    this.#experience = experience
    this.#clock = clock
    this.#learned = learned
    this.#looking = new TimeBudget(clock, () => part * shares.lookups, BURST_MS)
    const share = () => part * shares[experience.memory === 'cold' ? 'cold' : 'warm']
    this.#training = new Training(clock, share, (why) => warn(`an answer was not learned: ${why}`))
  }

  get isWarm(): boolean {
    return this.#experience.memory === 'warm'
  }

  get pairs(): number {
    return this.#experience.remembered
  }

  /** Lessons that wait, the one under way included. */
  get waiting(): number {
    return this.#training.waiting
  }

  recall(
    query: () => Float32Array,
    spread: Spread,
    _withinMs: number,
    done: (found: Rated | undefined, ms: number | undefined) => void,
  ): void {
    if (!this.isWarm || !this.#looking.has) return done(undefined, undefined)
    const start = this.#clock.now()
    const compared = query()
    const found = compared.length ? this.lookUp(compared, spread) : undefined
    const ms = this.#clock.now() - start
    this.#looking.take(ms)
    done(found, ms)
  }

  /** The same, whatever time there is. */
  lookUp(query: Float32Array, spread: Spread): Rated | undefined {
    const { confidence } = this.#experience
    const start = this.#clock.now()
    this.#spend('lookUp')
    confidence.assume(spread)
    const said = this.#experience.recall(query)
    const rated = said && { ...said, ...confidence.rated({ ...said, missing: 1 }) }
    const ms = this.#clock.now() - start
    this.lookupMs = averaged(this.lookupMs, ms)
    this.#training.time.yield(ms)
    return rated
  }

  get mayLearn(): boolean {
    return this.#experience.memory !== 'none' && this.waiting < WAITING[this.isWarm ? 'warm' : 'cold']
  }

  /** @param bytes  that it holds on to */
  learn(step: TrainingStep<() => Float32Array>, bytes = step.own.byteLength): boolean {
    return this.mayLearn && this.#training.add(this.#train(step), bytes)
  }

  *#train({ query, own, from, spread }: TrainingStep<() => Float32Array>): Generator<void> {
    const compared = query()
    if (!compared.length) return
    this.#experience.confidence.assume(spread)
    this.#spend('comparing')
    for (const _ of this.#experience.train(compared, own, from)) {
      yield
      this.#spend('step')
    }
    this.#learned()
  }

  grade(graded: Graded): void {
    this.#experience.confidence.learn('memory', graded)
  }

  /** Also what waits to be learned, with what else does. */
  forget(from: string, done: (left: DeviationState[]) => void): void {
    this.#training.stop()
    this.#training.add(this.#solving(this.#experience.forget(from)), 0)
    done(this.#experience.confidence.deviations)
  }

  *#solving(steps: Generator<void>): Generator<void> {
    yield* steps
    this.#learned()
  }

  renew(): void {
    this.#training.stop()
    this.#experience.renew()
  }

  async take(): Promise<Taken> {
    this.#training.finish()
    return this.#experience.take()
  }

  close(): void {
    this.#training.stop()
  }
}
