/** A user's own code: the functions of the module that `approxifer evaluate --code ./mine.js` measures beside the package's codes. */

import type { Random } from '../base/random'

/**
 * A code of K queries that tolerates S stragglers and E liars, as plain functions; see docs/how-to/own-code.md. None of them may be async.
 *
 * Groups come one after another: `encode` for a group, then `locate` and `decode` for each set of its answers. A module may therefore keep
 * what it drew in `encode`.
 */
export interface CodeModule {
  /** N, the number of coded queries: a whole number from 1 to 10,000. */
  workers(k: number, s: number, e: number): number
  /** Results that must arrive before a group is decoded: from 1 to N - S. Liars are among them. */
  needs(k: number, s: number, e: number): number
  /**
   * Codes a group.
   *
   * @param queries  K arrays of one length, to be read only
   * @param n        N
   * @param random   seeded: the same seed gives the same numbers
   * @returns N arrays of that length, finite: new ones, or queries themselves
   */
  encode(queries: readonly Float32Array[], n: number, random: Random): readonly Float32Array[]
  /**
   * Makes the K answers of a group out of the answers to some of its coded queries.
   *
   * @param outputs    the model's answers to the surviving coded queries, all of one length; copies
   * @param survivors  the numbers of these coded queries, from 0 to N - 1, ascending
   * @param k          K
   * @param n          N
   * @returns K arrays of the outputs' length, finite
   */
  decode(outputs: readonly Float32Array[], survivors: readonly number[], k: number, n: number): readonly Float32Array[]
  /**
   * Finds liars. Called before each `decode` if E > 0; what it names is then left out.
   *
   * @param e  E
   * @returns at most E of `survivors`
   */
  locate?(
    outputs: readonly Float32Array[],
    survivors: readonly number[],
    e: number,
    k: number,
    n: number,
  ): readonly number[]
}
