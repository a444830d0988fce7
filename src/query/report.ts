/** What happened to a group: plain data for its callers. */

import type { ApproxiferError } from '../errors'
import type { Recovered } from '../memory/confidence'
import type { Rule } from './decision'

/** What happened to one row of a group. */
export interface RowReport {
  /** 0 .. N-1 as encoded; hedges and retries count on from N. */
  row: number
  /** Empty where no worker had room for the row while somebody wanted it. */
  worker: string
  /** `late`: it came when nobody waited for it any more. `rejected`: it was no answer. */
  outcome: 'onTime' | 'late' | 'failed' | 'rejected'
  /** Dropped by the locator. */
  suspected: boolean
  /** From sending to the outcome. */
  ms: number
  /** Why it failed or was rejected. */
  error?: ApproxiferError | undefined
}

/** An answer that was recovered, and what became known of it. */
export interface RecoveryReport extends Omit<Recovered, 'answer'> {
  query: number
  /** The probability that the model's own label is the same; undefined until enough late answers taught it. */
  confidence?: number | undefined
  /** Whether the caller got it, rather than the model's own answer. */
  given: boolean
  /** Whether the model's own answer, which came later, has the same label. */
  agreed?: boolean | undefined
}

/** Complete when the group's last row has an outcome. */
export interface GroupReport {
  queries: number
  workers: number
  quorum: number
  core: 'wasm' | 'js'
  rule: Rule
  /** `decoded` where every caller was answered who did not leave, else the code of the first error that one got. */
  outcome: string
  rows: RowReport[]
  recoveries: RecoveryReport[]
  /** Rows that the answers were decoded from. */
  survivors: number[]
  encodeMs: number
  /** From closing the group to the decision to decode. */
  waitMs: number
  /** Locating and decoding. */
  decodeMs: number
}
