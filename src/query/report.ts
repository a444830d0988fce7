/** What happened to a query, or a group: plain data for its callers. */

import { NONE } from '../arrays'
import { ApproxiferError } from '../errors'
import type { Recovered } from '../memory/confidence'
import type { Asked, Purpose } from './asked'
import type { Context } from './context'
import { type Ending, outcomeOf } from './prediction'
import type { Query } from './query'

/** What happened to one attempt. */
export interface RowReport {
  /** 0 .. N-1 as encoded; hedges and retries count on from N. */
  row: number
  /** Empty where no worker had room for it while somebody wanted it. */
  worker: string
  /** `late`: it came when nobody waited for it any more. `rejected`: it was no answer. */
  outcome: 'onTime' | 'late' | 'failed' | 'rejected'
  /** It was a lie, with proof; with the paper's code: it was dropped by the locator. */
  suspected: boolean
  /** From the moment that a worker began with it to the outcome. */
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

/** Complete when the last attempt has an outcome. */
export interface GroupReport {
  queries: number
  workers: number
  quorum: number
  core: 'wasm' | 'js'
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

/** What a group's code tells. */
type Times = Pick<GroupReport, 'encodeMs' | 'waitMs' | 'decodeMs' | 'core'> & {
  readonly survivors: readonly number[]
  readonly scheme: Pick<GroupReport, 'workers' | 'quorum'>
}

/** Of a group that has decoded nothing so far. */
export const undecided = { survivors: NONE as readonly number[], encodeMs: 0, waitMs: 0, decodeMs: 0 }

const EXTRAS: readonly Purpose[] = ['hedge', 'retry', 'clone']

/** What became of attempts that are over, but for those that nobody but who took them back knows of. @param rows  are added to */
export function rowReports(all: readonly Asked[], rows: RowReport[] = []): RowReport[] {
  for (const asked of all) {
    const { attempt, row, purpose, verdict } = asked
    const { worker, ranMs, phase } = attempt
    const isUnknown = !worker && EXTRAS.includes(purpose) && attempt.outcome?.kind === 'cancelled'
    if (phase !== 'settled' || isUnknown) continue
    const { outcome, error } = endOf(asked)
    const [suspected, ms] = [verdict === 'lie', worker ? ranMs : 0]
    rows.push({ row, worker: worker?.name ?? '', outcome, suspected, ms, error })
  }
  return rows
}

function endOf({ attempt: { outcome, worker }, onTime }: Asked): Pick<RowReport, 'outcome' | 'error'> {
  if (outcome?.kind === 'answered') return { outcome: onTime ? 'onTime' : 'late', error: undefined }
  if (outcome?.kind === 'failed') {
    const { error } = outcome
    return { outcome: error.code === 'PROTOCOL' ? 'rejected' : 'failed', error }
  }
  const error = worker
    ? new ApproxiferError('ABORTED', 'nobody waits for it any more')
    : new ApproxiferError('OVERLOADED', 'no worker had room for the row while it was wanted')
  return { outcome: 'failed', error }
}

/** @param others  attempts that are no query's */
export function groupReport(members: readonly Query[], others: readonly Asked[], measured: Times): GroupReport {
  const { scheme, survivors, ...rest } = measured
  const rows: RowReport[] = []
  const recoveries: RecoveryReport[] = []
  for (const { asked, recovery } of members) {
    rowReports(asked, rows)
    if (recovery?.report) recoveries.push(recovery.report)
  }
  rowReports(others, rows)
  return {
    queries: members.length,
    workers: scheme.workers,
    quorum: scheme.quorum,
    ...rest,
    outcome: outcomeOf(members.map(({ caller }) => caller.ending as Ending)),
    rows: rows.sort((a, b) => a.row - b.row),
    recoveries,
    survivors: [...survivors],
  }
}

/** Of a query that nobody was asked for. */
export function unaskedReport(core: 'wasm' | 'js'): GroupReport {
  const own = { queries: 1, workers: 0, quorum: 0, core, outcome: 'decoded', rows: [], recoveries: [] }
  return { ...own, ...undecided, survivors: [] }
}

/** Of a query that was alone. */
export function queryReport({ vote, asked, caller, recovery }: Query, { acceptance, core }: Context): GroupReport {
  const report = recovery?.report
  return {
    queries: 1,
    workers: vote ? asked.length : 1,
    quorum: acceptance.needed,
    core,
    outcome: outcomeOf([caller.ending as Ending]),
    rows: rowReports(asked),
    recoveries: report && (report.given || !vote) ? [report] : [], // a vote looks every query up
    survivors: [],
    encodeMs: 0,
    waitMs: 0,
    decodeMs: 0,
  }
}
