/** A memory in the calling thread: a lookup is a function call, and training takes its steps between other work. */

import type { Clock } from '../base/clock'
import type { Warn } from '../base/notices'
import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Experience } from './experience'
import { averaged, type MemoryHost, type OnFound, type Rated, type Taken, type TrainingStep, WAITING } from './host'
import { TimeBudget } from './time-budget'
import { Training } from './training'

/** Shares of a thread's time, 0..1. */
export interface Shares {
  readonly lookups: number
  /** For training a cold memory, and a warm one, of the time that lookups leave. */
  readonly cold: number
  readonly warm: number
}

/**
 * For a thread that serves queries as well. When training a warm memory had a fifth of the time, the median answer of a model of .1 ms was a tenth
 * slower. When lookups had all of it, nothing else ran if queries came faster than workers answered.
 */
export const SHARED_THREAD: Shares = { lookups: 0.5, cold: 0.5, warm: 0.05 }
/** The most time for lookups that is saved up, ms. */
const BURST_MS = 10

/** Simulated milliseconds of a lookup, of comparing an answer with the memory, and of each further training step. */
export interface Charges {
  readonly lookUp: number
  readonly comparing: number
  readonly step: number
}

export interface InlineOptions {
  readonly clock: Clock
  readonly shares: Shares
  /** This memory's part of the shares, 0..1. Default 1. */
  readonly part?: number
  /** Called when an answer could not be learned, which has no other effect. */
  readonly warn: Warn
  /** What work takes in simulated time, and what is called with it. */
  readonly charges?: Charges | undefined
  readonly spend?: ((ms: number) => void) | undefined
  /** Called when an answer was learned, and when the remaining pairs were solved after `forget`. */
  readonly onLearned?: () => void
}

export class InlineMemory implements MemoryHost {
  lookupMs = Number.POSITIVE_INFINITY
  readonly #experience: Experience
  readonly #clock: Clock
  readonly #training: Training
  readonly #lookups: TimeBudget
  readonly #onLearned: () => void
  readonly #spend: (what: keyof Charges) => void

  constructor(experience: Experience, options: InlineOptions) {
    const { clock, shares, part = 1, warn, onLearned = () => {}, charges, spend } = options
    this.#spend = (what) => charges && spend?.(charges[what])
    this.#experience = experience
    this.#clock = clock
    this.#onLearned = onLearned
    this.#lookups = new TimeBudget(clock, () => part * shares.lookups, BURST_MS)
    const share = () => part * shares[experience.memory === 'cold' ? 'cold' : 'warm']
    this.#training = new Training(clock, share, (why) => warn(`an answer was not learned: ${why}`))
  }

  get isWarm(): boolean {
    return this.#experience.memory === 'warm'
  }

  get pairs(): number {
    return this.#experience.remembered
  }

  /** Answers that wait to be learned, the current one included. */
  get waiting(): number {
    return this.#training.waiting
  }

  recall(query: () => Float32Array, spread: Spread, _withinMs: number, done: OnFound): void {
    if (!this.isWarm || !this.#lookups.has) return done(undefined, undefined)
    const start = this.#clock.now()
    const compared = query()
    const found = compared.length ? this.lookUp(compared, spread) : undefined
    const ms = this.#clock.now() - start
    this.#lookups.take(ms)
    done(found, ms)
  }

  /** As `recall`, whether or not there is time. */
  lookUp(query: Float32Array, spread: Spread): Rated | undefined {
    const { confidence } = this.#experience
    const start = this.#clock.now()
    this.#spend('lookUp')
    confidence.assume(spread)
    const recalled = this.#experience.recall(query)
    const rated = recalled && { ...recalled, ...confidence.rated({ ...recalled, missing: 1 }) }
    const ms = this.#clock.now() - start
    this.lookupMs = averaged(this.lookupMs, ms)
    this.#training.time.yield(ms)
    return rated
  }

  get mayLearn(): boolean {
    return this.#experience.memory !== 'none' && this.waiting < WAITING[this.isWarm ? 'warm' : 'cold']
  }

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
    this.#onLearned()
  }

  grade(graded: Graded): void {
    this.#experience.confidence.learn('memory', graded)
  }

  /** Also drops the answers that wait to be learned. @returns as it calls `done` */
  forget(from: string, done?: (left: DeviationState[]) => void): DeviationState[] {
    this.#training.stop()
    this.#training.add(this.#solving(this.#experience.forget(from)), 0)
    const left = this.#experience.confidence.deviations
    done?.(left)
    return left
  }

  *#solving(steps: Generator<void>): Generator<void> {
    yield* steps
    this.#onLearned()
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
