/** The interface of what runs a memory: this thread (inline.ts) or a thread of the memory's own (thread.ts). */

import type { DeviationState } from '../base/stats'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { Recollection } from './memory'

/** A recollection with its confidence. */
export interface Rated extends Recollection {
  confidence: number | undefined
  /** The inputs of the calibration that gave the confidence. */
  signals: readonly number[] | undefined
}

/** The result of a lookup, and how long it took, ms. Both are undefined if there was no lookup. */
export type OnFound = (found: Rated | undefined, ms: number | undefined) => void

/** An answer to learn. */
export interface TrainingStep<Q = Float32Array> {
  /** The query's features, or a function that computes them. */
  query: Q
  /** The model's own answer. */
  own: Float32Array
  /** The identity of the worker that answered. */
  from: string | undefined
  spread: Spread
}

/** What a host adds to a saved state. */
export interface Taken {
  /** The saved memory; undefined if the memory was given up. */
  memory: Uint8Array | undefined
  /** The graded recoveries, the oldest first. */
  graded: readonly Graded[]
}

export interface MemoryHost {
  readonly isWarm: boolean
  /** The number of remembered pairs. */
  readonly pairs: number
  /** Moving average of the time of a lookup, ms; Infinity before the first. */
  readonly lookupMs: number
  /** Whether `learn` would accept an answer now. */
  readonly mayLearn: boolean
  /**
   * Looks a query up, if there is time.
   *
   * @param query   computes the query's features; empty if that fails
   * @param spread  how much the model's answers differ
   * @param done    called once, before this returns or later
   */
  recall(query: () => Float32Array, spread: Spread, withinMs: number, done: OnFound): void
  /** @param bytes  that query and answer hold  @returns false if the answer is not learned, since others wait */
  learn(step: TrainingStep<() => Float32Array>, bytes?: number): boolean
  /** Learns from a graded recovery how likely recoveries are right. */
  grade(graded: Graded): void
  /**
   * Removes what a worker's answers taught.
   *
   * @param done  called with the spread of the remaining answers; never called if the host is lost
   */
  forget(from: string, done: (left: DeviationState[]) => void): void
  /** Forgets everything. */
  renew(): void
  /** What is saved, after all answers that wait have been learned. */
  take(): Promise<Taken>
  close(): void
}

/** How many answers may wait to be learned. */
export const WAITING = { cold: 32, warm: 2 }

/** An exponential moving average. @param mean  before; Infinity if there is none */
export const averaged = (mean: number, ms: number) => (Number.isFinite(mean) ? 0.9 * mean + 0.1 * ms : ms)
