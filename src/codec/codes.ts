/** Codes: which weighted sums of its queries a group sends to workers. */

import type { Scheme } from '../scheme'

/** N rows of K weights each; rows sum to 1, so that coded queries stay in the range of the queries. */
export type Code = (scheme: Scheme) => readonly Float64Array[]

export const codes = {
  /** The paper's: Berrut's interpolant through the queries, at the workers' nodes. */
  berrut: (scheme) => scheme.encode,

  /**
   * The queries themselves, then N - K parities: answers that arrive are exact, the code only fills gaps.
   *
   * Few parities (at most K / 2): parity s is the mean of queries s, s + M, s + 2M, ... Means and not sums
   * keep a parity in the input range; strided and not overlapping, since a mean of fewer queries says more
   * about each of them. Many parities: means of pairs i, i + 1 + ⌊m / K⌋ (mod K). One query: repetition.
   */
  systematic({ queries: K, workers: N }) {
    const M = N - K
    const units = Array.from({ length: K }, (_, i) => unitRow(K, i))
    const parity = (m: number) => {
      if (K === 1) return [0]
      if (M <= K / 2) return Array.from({ length: Math.ceil((K - m) / M) }, (_, j) => m + j * M)
      return [m % K, (m + 1 + (Math.floor(m / K) % (K - 1))) % K]
    }
    return [...units, ...Array.from({ length: M }, (_, m) => mean(K, parity(m)))]
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
