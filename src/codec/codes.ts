/** Codes: which weighted sums of its queries a group sends to workers. */

import type { Scheme } from '../scheme'

/** N rows of K weights each; rows sum to 1, so that coded queries stay in the range of the queries. */
export type Code = (scheme: Scheme) => readonly Float64Array[]

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
  systematic({ queries: K, workers: N }) {
    const copies = K * Math.floor((N - K) / K)
    const rest = N - K - copies
    const units = Array.from({ length: K }, (_, i) => unitRow(K, i))
    const parity = (s: number) => {
      if (rest > K / 2) return [s, (s + 1) % K]
      return Array.from({ length: Math.ceil((K - s) / rest) }, (_, j) => s + j * rest)
    }
    return [
      ...units,
      ...Array.from({ length: copies }, (_, m) => unitRow(K, m % K)),
      ...Array.from({ length: rest }, (_, s) => mean(K, parity(s))),
    ]
  },
} satisfies Record<string, Code>

export type CodeName = keyof typeof codes

export const codeNames = Object.keys(codes) as CodeName[]

/** The weights of a query itself. */
export function unitRow(K: number, query: number): Float64Array {
  return mean(K, [query])
}

function mean(K: number, queries: readonly number[]): Float64Array {
  const row = new Float64Array(K)
  for (const j of queries) row[j] += 1 / queries.length
  return row
}
