/** The engine's interface to a memory, wherever it runs. */

import type { Recovered } from '../base/prediction'
import type { Agreement } from './agreements'

/** The memory's prediction for a query. */
export interface RecalledAnswer extends Recovered {
  /** The probability that the answer is right; undefined until enough recoveries were graded. */
  readonly confidence: number | undefined
  /** The inputs of the calibration that gave the confidence; needed by `grade`. */
  readonly signals: readonly number[] | undefined
  /** Increases with each `forget`; recollections of an older epoch are neither given nor graded. */
  readonly epoch: number
}

/** A recovery that was not given, and the model's own answer to the same query. */
export interface Rehearsal {
  readonly recovered: Recovered
  readonly own: Float32Array
  readonly from: string | undefined
}

export interface MemoryStats {
  /** The number of remembered pairs. */
  readonly pairs: number
  /** The largest difference between an answer without labels and the model's own that counts as right; undefined with labels, and until it is learned. */
  readonly tolerance: number | undefined
  /** The tolerance of each output, if there are several. */
  readonly tolerances: Record<string, number | undefined>
  /** How often recovered answers were right, by the model's own answers that came later. */
  readonly agreements: Agreement[]
}

/** Queries and answers are vectors that nobody changes. `from` is the identity of the worker that answered. */
export interface MemoryService {
  /** Whether it knows enough to recover answers. */
  readonly isWarm: boolean
  /** Moving average of what a lookup takes, ms; Infinity before the first. */
  readonly lookupMs: number
  /**
   * Predicts the answer to a query.
   *
   * @param withinMs  there is no lookup if earlier lookups would take a large part of this time
   * @param done      called once, before this returns or later, with the prediction, and with the time of the lookup in ms. The prediction is undefined
   *   if the memory knows too little or there is no time; the time is undefined if there was no lookup
   */
  recall(
    query: Float32Array,
    withinMs: number,
    done: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void
  /** Whether a recollection may still be given and graded. */
  isCurrent(said: RecalledAnswer): boolean
  /** The recovery of the highest confidence. @param all  recoveries of one query, from the memory or decoded; at least one */
  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined }
  /** Learns from the model's own answer whether a given recovery was right. @returns whether it was; undefined until the tolerance is known */
  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined
  /** Whether an answer is as right as the model's own; undefined until the tolerance is known. Nothing is learned from it. */
  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined
  /** As `grade`, for a recovery that was not given: it is learned from, but not counted in `stats`. */
  rehearse(said: Recovered, own: Float32Array, from: string | undefined): void
  /**
   * Learns the model's own answer, unless many answers wait to be learned.
   *
   * @param said  a recollection of the query that was not graded; it is rehearsed if the answer is not learned
   */
  learn(query: Float32Array, own: Float32Array, from: string | undefined, said?: RecalledAnswer): void
  /** Rehearses recoveries when there is time. @param bytes  that they hold */
  study(rehearsals: Iterable<readonly Rehearsal[]>, bytes: number): void
  /** Removes what a worker's answers taught, as if they had never come. Recollections from before are neither given nor graded. */
  forget(from: string): void
  /** Forgets everything, since the model has changed. */
  renew(): void
  /** All that was learned, the last answer included, for the option `state`. @throws ApproxiferError WORKER if the memory is lost meanwhile */
  save(): Promise<Uint8Array>
  stats(): MemoryStats
  /** Lookups that are open or come later find nothing. */
  close(): void
}
