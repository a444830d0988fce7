/** The engine's interface to a memory, wherever it runs. */

import type { Recovered } from '../base/prediction'
import type { Agreement } from './agreements'

/** What the memory predicts for a query. */
export interface RecalledAnswer extends Recovered {
  /** The probability that the model's own answer would be as right; undefined until enough late answers have come. */
  readonly confidence: number | undefined
  /** The signals that the confidence is computed from, for `grade`. */
  readonly signals: readonly number[] | undefined
  /** Increases with each `forget`: older recollections are neither given nor graded. */
  readonly epoch: number
}

/** A recovery that was not given, and the model's own answer to the same query. */
export interface Rehearsal {
  readonly recovered: Recovered
  readonly own: Float32Array
  readonly from: string | undefined
}

export interface MemoryStats {
  /** Pairs of query and answer in the memory. */
  readonly pairs: number
  /** How far answers without labels may differ to agree; undefined with labels, or until it is learned. */
  readonly tolerance: number | undefined
  /** The same for each of several outputs. */
  readonly tolerances: Record<string, number | undefined>
  /** How often recovered answers agreed with the model's own, which came late. */
  readonly agreements: Agreement[]
}

/** Queries and answers are vectors. Nobody writes to them. `from`: the identity of the worker that answered. */
export interface MemoryService {
  /** Whether it knows enough to be asked. */
  readonly isWarm: boolean
  /** Moving average of what a lookup takes, ms; Infinity before the first. */
  readonly lookupMs: number
  /**
   * What it knows of a query.
   *
   * @param withinMs  where the lookups before it would take longer, it is not looked up
   * @param done      once, before this returns or later; undefined where nothing is known of the query, or there is no time. And what the lookup took, ms; undefined where there was none
   */
  recall(
    query: Float32Array,
    withinMs: number,
    done: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void
  /** Whether what was recalled may still be given and graded. */
  isCurrent(said: RecalledAnswer): boolean
  /** Of several recoveries of one query, also decoded ones, that of the highest confidence; asked of a memory that knows nothing, too. @param all  at least one */
  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined }
  /** The model's own answer has come: it teaches how often recoveries are right. @returns whether this one was; undefined where nobody can say yet */
  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined
  /** Whether what was recalled, or kept, is as right as the model's own answer; undefined where nobody can say yet. Teaches nothing. */
  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined
  /** As `grade`, for what was not given: it is learned from, but not counted. */
  rehearse(said: Recovered, own: Float32Array, from: string | undefined): void
  /**
   * The model's own answer, with time or without: where many wait to be learned it is passed over.
   *
   * @param said  what was recalled, and was not graded: it is rehearsed where there is no time
   */
  learn(query: Float32Array, own: Float32Array, from: string | undefined, said?: RecalledAnswer): void
  /** What recoveries would have been worth: each teaches how often they are right, once there is time. @param bytes  that these hold on to */
  study(rehearsals: Iterable<readonly Rehearsal[]>, bytes: number): void
  /** Takes out what an identity's answers taught, as if they had never come: from here on nothing of it is given or graded. */
  forget(from: string): void
  /** Forgets all: the model is another. */
  renew(): void
  /** All that was learned, the last answer included, for the option `state`. @throws ApproxiferError WORKER where the memory is lost meanwhile */
  save(): Promise<Uint8Array>
  stats(): MemoryStats
  /** Whoever waits for something, or asks for it later, is told that there is nothing. */
  close(): void
}
