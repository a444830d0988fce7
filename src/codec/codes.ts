/** Codes: which weighted sums of its queries a group sends to workers. */

import type { Scheme } from '../base/scheme'
import type { CodeName } from './names'

/** By name: N rows of K weights each; rows sum to 1, so that coded queries stay in the range of the queries. */
export const codes = {
  /** The paper's: Berrut's interpolant through the queries, at the workers' nodes. */
  berrut: (scheme) => scheme.encode,

  /**
   * The queries themselves, then M = N - K parities: answers that arrive are exact, the code only fills gaps.
   *
   * Parities are first copies of all queries, as often as M allows: a copy is exact, and in all a mean of few queries says
   * less than a copy of some. Of the R = M mod K others, few (at most K / 2): parity s is the mean of queries s, s + R,
   * s + 2R, ...; means and not sums keep a parity in the input range, strided and not overlapping, since a mean of fewer
   * queries says more about each of them. Many: means of pairs s, s + 1 (mod K).
   */
  systematic: ({ queries: K, workers: N }) => [...unitRows(K), ...parities(K, N - K)],
} satisfies Record<CodeName, (scheme: Scheme) => readonly Float64Array[]>

/** The M parities of K queries that the systematic code has. */
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

/** The weights of all queries themselves: views of one row of zeros and a 1, since of 1,000 queries rows of their own are 8 MB. */
function unitRows(K: number): Float64Array[] {
  const row = new Float64Array(2 * K - 1)
  row[K - 1] = 1
  return Array.from({ length: K }, (_, i) => row.subarray(K - 1 - i, 2 * K - 1 - i))
}

/** The weights of a query itself. */
export function unitRow(K: number, query: number): Float64Array {
  return mean(K, [query])
}

function mean(K: number, queries: readonly number[]): Float64Array {
  const row = new Float64Array(K)
  for (const j of queries) row[j] += 1 / queries.length
  return row
}
