/** Codes: the weighted sums of its queries that a group sends to workers. */

import type { Scheme } from '../base/scheme'
import type { CodeName } from './names'

/** Each code gives N rows of K weights. A row's weights sum to 1, so that coded queries stay in the range of the queries. */
export const codes = {
  /** The paper's: Berrut's interpolant through the queries, at the workers' nodes. */
  berrut: (scheme) => scheme.encode,

  /**
   * The queries themselves, then M = N - K parities: answers that arrive are exact, and the code only fills gaps.
   *
   * The first parities are copies of all queries, as many times as M allows: a copy is exact, and a mean of few queries says less overall
   * than copies of some. Then follow R = M mod K means. If R is at most K / 2, mean s is over the queries s, s + R, s + 2R, ...: means
   * instead of sums keep a parity in the range of inputs, and disjoint sets have the fewest queries, so that each mean says the most about
   * each query. If R is larger, the means are over pairs s, s + 1 (mod K).
   */
  systematic: ({ queries: K, workers: N }) => [...unitRows(K), ...parities(K, N - K)],
} satisfies Record<CodeName, (scheme: Scheme) => readonly Float64Array[]>

/** The M parities of the systematic code for K queries. */
export function parities(K: number, M: number): Float64Array[] {
  const copies = K * Math.floor(M / K)
  const rest = M - copies
  const parity = (s: number) => {
    if (rest > K / 2) return [s, (s + 1) % K]
    return Array.from({ length: Math.ceil((K - s) / rest) }, (_, j) => s + j * rest)
  }
  const units = copies ? unitRows(K) : []
  return [
    ...Array.from({ length: copies }, (_, m) => units[m % K]),
    ...Array.from({ length: rest }, (_, s) => mean(K, parity(s))),
  ]
}

/** Rows of weights of the queries themselves. All are views of a single row of zeros and a 1, since 1,000 rows of their own would take 8 MB. */
function unitRows(K: number): Float64Array[] {
  const row = new Float64Array(2 * K - 1)
  row[K - 1] = 1
  return Array.from({ length: K }, (_, i) => row.subarray(K - 1 - i, 2 * K - 1 - i))
}

/** The row of weights that gives a query itself. */
export function unitRow(K: number, query: number): Float64Array {
  return mean(K, [query])
}

function mean(K: number, queries: readonly number[]): Float64Array {
  const row = new Float64Array(K)
  for (const j of queries) row[j] += 1 / queries.length
  return row
}
