/** Where the memory runs: in this thread (inline.ts) or in one of its own (thread.ts). */

import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Recollection } from './memory'

/** A recollection with its confidence, and the signals that it is computed from. */
export interface Rated extends Recollection {
  confidence: number | undefined
  signals: readonly number[] | undefined
}

/** A query, or a function that computes its features, and the model's own answer. */
export interface TrainingStep<Q = Float32Array> {
  query: Q
  own: Float32Array
  /** The identity of the worker that answered. */
  from: string | undefined
  spread: Spread
}

export interface Taken {
  /** The saved memory; undefined if there is none any more. */
  memory: Uint8Array | undefined
  /** The graded recoveries. */
  graded: readonly Graded[]
}

export interface MemoryHost {
  readonly isWarm: boolean
  readonly pairs: number
  /** Moving average of the time of a lookup, ms; Infinity before the first. */
  readonly lookupMs: number
  /**
   * @param query   computes the query's features, if there is time; empty if that fails
   * @param spread  how much the model's answers differ
   * @param done    called once, before this returns or later
   */
  recall(
    query: () => Float32Array,
    spread: Spread,
    withinMs: number,
    done: (found: Rated | undefined, ms: number | undefined) => void,
  ): void
  /** Whether one more training step would be accepted. */
  readonly mayLearn: boolean
  /** @param bytes  that it holds  @returns whether it is accepted; else the answer is not learned */
  learn(step: TrainingStep<() => Float32Array>, bytes?: number): boolean
  /** Whether a recollection was right. */
  grade(graded: Graded): void
  /** @param done  called with the spread of the remaining answers; not called if the host is lost */
  forget(from: string, done: (left: DeviationState[]) => void): void
  renew(): void
  /** After all training steps before it. */
  take(): Promise<Taken>
  close(): void
}

/** Training steps that may wait: while the memory is cold, and when it is warm. */
export const WAITING = { cold: 32, warm: 2 }

export const averaged = (mean: number, ms: number) => (Number.isFinite(mean) ? 0.9 * mean + 0.1 * ms : ms)
