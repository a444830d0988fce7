/** Where pairs are remembered: in this thread (inline.ts) or in one of their own (thread.ts). */

import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Recollection } from './memory'

/** A recollection, how sure it is, and what that goes by. */
export interface Rated extends Recollection {
  confidence: number | undefined
  signals: readonly number[] | undefined
}

/** A query, or what makes of one what it is compared by, and the model's own answer to it. */
export interface TrainingStep<Q = Float32Array> {
  query: Q
  own: Float32Array
  /** The identity of the worker that answered. */
  from: string | undefined
  spread: Spread
}

export interface Taken {
  /** As it is saved; undefined where nothing is remembered any more. */
  memory: Uint8Array | undefined
  /** What was graded of its recoveries. */
  graded: readonly Graded[]
}

export interface MemoryHost {
  readonly isWarm: boolean
  readonly pairs: number
  /** Moving average of what a lookup takes, ms; Infinity before the first. */
  readonly lookupMs: number
  /**
   * @param query   makes what the query is compared by, where there is time; empty where that cannot be
   * @param spread  how much the model's answers differ by now
   * @param done    once, before this returns or later
   */
  recall(
    query: () => Float32Array,
    spread: Spread,
    withinMs: number,
    done: (found: Rated | undefined, ms: number | undefined) => void,
  ): void
  /** Whether one more lesson would be taken. */
  readonly mayLearn: boolean
  /** @param bytes  that it holds on to  @returns whether there is time for it; else it is passed over */
  learn(step: TrainingStep<() => Float32Array>, bytes?: number): boolean
  /** Whether a recollection was right. */
  grade(graded: Graded): void
  /** @param done  how much the answers differ that are left; not told where the host is lost */
  forget(from: string, done: (left: DeviationState[]) => void): void
  renew(): void
  /** Behind the lessons that were given before. */
  take(): Promise<Taken>
  close(): void
}

/** Answers that may wait to be remembered: while a memory is cold, and later, when there are enough others. */
export const WAITING = { cold: 32, warm: 2 }

export const averaged = (mean: number, ms: number) => (Number.isFinite(mean) ? 0.9 * mean + 0.1 * ms : ms)
