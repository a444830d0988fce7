/** A memory in the calling thread: a lookup is a function call, training takes its steps between other work. */

import type { Clock } from '../base/clock'
import type { Warn } from '../base/notices'
import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Experience } from './experience'
import { averaged, type MemoryHost, type Rated, type Taken, type TrainingStep, WAITING } from './host'
import { TimeBudget } from './time-budget'
import { Training } from './training'

export interface Shares {
  readonly lookups: number
  /** For training, of the time that lookups leave: while the memory is cold, and when it is warm. */
  readonly cold: number
  readonly warm: number
}

/**
 * For a thread that serves queries as well. A fifth for training a warm memory made the median answer of a model of .1 ms a tenth slower; unbounded
 * lookups blocked everything when queries came faster than workers answered.
 */
export const SHARED_THREAD: Shares = { lookups: 0.5, cold: 0.5, warm: 0.05 }
/** Time for lookups that may be saved up, ms. */
const BURST_MS = 10

/** Simulated milliseconds: of a lookup, of comparing an answer with the memory, and of each further training step. */
export interface Charges {
  readonly lookUp: number
  readonly comparing: number
  readonly step: number
}

export interface InlineOptions {
  readonly clock: Clock
  readonly shares: Shares
  /** This memory's part of the shares. Default: all. */
  readonly part?: number
  /** Called when a training step failed, which has no other effect. */
  readonly warn: Warn
  /** The simulated time of work, and who is told of it. */
  readonly charges?: Charges | undefined
  readonly spend?: ((ms: number) => void) | undefined
  /** Called when training has finished a pair, or has solved the pairs that are left after `forget`. */
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

  /** Training steps that wait, the current one included. */
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

  /** As `recall`, whatever time there is. */
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

  /** Also removes pairs that wait to be learned. */
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
