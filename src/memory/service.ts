/** The memory's one face: what the engine asks of what the model answered before, wherever that is kept. */

import type { Recovered } from '../prediction'

/** What the memory says of a query. */
export interface RecalledAnswer extends Recovered {
  /** The probability that the model's own answer would be as right; undefined until enough late answers have shown that. */
  readonly confidence: number | undefined
  /** Of what it was recalled: what an identity taught may have been taken out since. */
  readonly epoch: number
}

/** A recovery that nobody was given, and the model's own answer to the same query. */
export interface Rehearsal {
  readonly recovered: Recovered
  readonly own: Float32Array
  readonly from: string | undefined
}

/** For what it is asked. */
export interface RecallWant {
  /** Else the query gets nothing: there is more time for it. */
  readonly isLast: boolean
  /** Whether anybody still wants to know. */
  isWanted(): boolean
  /** Whether it would be given with so much confidence: where it rarely is, there is less time for others. */
  isSure(confidence: number | undefined): boolean
}

/** `warm`: late answers. `saving`: it answers before workers are asked. `idle`: neither, for now. */
export type MemoryUse = 'warm' | 'saving' | 'idle'

/** Queries and answers are vectors. Nobody writes to them. `from`: the identity of the worker that answered. */
export interface MemoryService {
  /** Whether it knows enough to be asked. */
  readonly isWarm: boolean
  /** @param told  once, before this returns or later; undefined where nothing is known of the query, or there is no time */
  recall(query: Float32Array, want: RecallWant, told: (said: RecalledAnswer | undefined) => void): void
  /** The same of a query whose answer it may check, however long that takes. */
  recallAhead(query: Float32Array, isWanted: () => boolean, told: (said: RecalledAnswer | undefined) => void): void
  /**
   * The same before a worker is asked, unless others' lookups would take longer than `withinMs`.
   *
   * @param told  also what it took, ms; undefined where nothing was looked up
   */
  recallFirst(
    query: Float32Array,
    want: { readonly withinMs: number; isWanted(): boolean },
    told: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void
  /** Moving averages of what a lookup takes, and a lesson, ms, Infinity before the first; and which shares of the time lessons may take, by `use`. */
  readonly costs: { readonly lookMs: number; readonly lessonMs: number; readonly shares: Record<MemoryUse, number> }
  /** What it is for by now. */
  use: MemoryUse
  /** Whether what was recalled may still be given and graded. */
  isCurrent(said: RecalledAnswer): boolean
  /** Of several recoveries of one query, also decoded ones, that of the highest confidence; asked of a memory that knows nothing, too. @param all  at least one */
  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined }
  /** The model's own answer has come: it teaches how often recoveries are right. @returns whether this one was; undefined where nobody can say yet */
  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined
  /** Whether what was recalled, or kept, is as right as the model's own answer; undefined where nobody can say yet. Teaches nothing. */
  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined
  /** As `grade`, for what was not given: it is learned from, but not counted. */
  rehearse(said: RecalledAnswer, own: Float32Array, from: string | undefined): void
  /**
   * The model's own answer, with time or without: at most times only a part of them is learned.
   *
   * @param said  what was recalled, and was not graded: it is rehearsed where there is no time
   */
  learn(query: Float32Array, own: Float32Array, from: string | undefined, said?: RecalledAnswer): void
  /** What recoveries would have been worth: each teaches how often they are right, once there is time. @param bytes  that these hold on to */
  study(rehearsals: Iterable<readonly Rehearsal[]>, bytes: number): void
}
