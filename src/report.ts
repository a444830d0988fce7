/** The report of what happened to a query, or to a group of them: made once no attempt runs any more. */

import { NONE } from './base/arrays'
import { ApproxiferError } from './base/errors'
import { type Ending, type GroupReport, type RecoveryReport, type RowReport, statuses } from './base/prediction'
import type { Attempt } from './pool/attempt'
import type { Tried } from './service'

/** What a group's code did. */
export interface GroupMeasures {
  /** Rows that the answers were decoded from. */
  readonly survivors: readonly number[]
  readonly encodeMs: number
  readonly waitMs: number
  readonly decodeMs: number
}

/** Of a group that has decoded nothing so far. */
export const undecided: GroupMeasures = { survivors: NONE, encodeMs: 0, waitMs: 0, decodeMs: 0 }

/** A query's attempts but for the first, from row `next` on, without those that were taken back before a worker had them. @param rows  are added to */
function moreRows({ attempts, lies }: Tried, next: number, rows: RowReport[]): void {
  for (let at = 1; at < attempts.length; at++) {
    const attempt = attempts[at]
    const isUnknown = !attempt.worker && attempt.outcome?.kind === 'cancelled'
    if (!isUnknown) rows.push(rowOf(attempt, next++, lies.includes(attempt)))
  }
}

/** Each by its name: a spread costs a microsecond. @param suspected  it was a lie; with the paper's code: it was dropped by the locator */
export function rowOf(attempt: Attempt, row: number, suspected = false): RowReport {
  const { worker, ranMs } = attempt
  const [outcome, error] = [howItEnded(attempt), whyItFailed(attempt)]
  return { row, worker: worker?.name ?? '', outcome, error, suspected, ms: worker ? ranMs : 0 }
}

function howItEnded({ outcome, onTime }: Attempt): RowReport['outcome'] {
  if (outcome?.kind === 'answered') return onTime ? 'onTime' : 'late'
  return outcome?.kind === 'failed' && outcome.error.code === 'PROTOCOL' ? 'rejected' : 'failed'
}

function whyItFailed({ outcome, worker }: Attempt): ApproxiferError | undefined {
  if (outcome?.kind === 'answered') return undefined
  if (outcome?.kind === 'failed') return outcome.error
  return worker
    ? new ApproxiferError('ABORTED', 'nobody waits for it any more')
    : new ApproxiferError('OVERLOADED', 'no worker had room for the row while it was wanted')
}

const ANSWERED: readonly Ending[] = statuses

/** How a group ended: `decoded` where all have an answer; callers that left count only where all did. */
function outcomeOf(queries: readonly Tried[]): string {
  let outcome = 'ABORTED'
  for (const { ending } of queries) {
    if (ending && ANSWERED.includes(ending)) outcome = 'decoded'
    else if (ending && ending !== 'ABORTED') return ending
  }
  return outcome
}

/** Of a query that was alone. @param needed  how many workers had to agree; where nobody was asked none had to */
export function queryReport(tried: Tried, core: 'wasm' | 'js', needed: number): GroupReport {
  const { recovery, attempts, trial, lies } = tried
  const rows: RowReport[] = []
  if (attempts.length) rows.push(rowOf(attempts[0], 0, lies.includes(attempts[0])))
  moreRows(tried, 1, rows)
  return {
    queries: 1,
    workers: needed > 1 ? attempts.length + Number(trial !== undefined) : Math.min(1, attempts.length),
    quorum: attempts.length ? needed : 0,
    core,
    outcome: outcomeOf([tried]),
    rows,
    recoveries: recovery && (recovery.given || needed === 1) ? [recovery] : [], // where workers have to agree all are looked up
    survivors: [],
    encodeMs: 0,
    waitMs: 0,
    decodeMs: 0,
  }
}

/** @param others  rows that are no query's, between those of the queries and those of their later attempts */
export function groupReport(
  queries: readonly Tried[],
  others: readonly RowReport[],
  measured: GroupMeasures & {
    readonly core: 'wasm' | 'js'
    readonly scheme: { readonly workers: number; readonly quorum: number }
  },
): GroupReport {
  const { core, scheme, survivors, encodeMs, waitMs, decodeMs } = measured
  const { workers, quorum } = scheme
  const rows: RowReport[] = []
  const recoveries: RecoveryReport[] = []
  for (let number = 0; number < queries.length; number++) {
    const { attempts, lies, recovery } = queries[number]
    if (attempts.length) rows.push(rowOf(attempts[0], number, lies.includes(attempts[0])))
    if (recovery) recoveries.push({ ...recovery, query: number })
  }
  for (const row of others.length > 1 ? [...others].sort((a, b) => a.row - b.row) : others) rows.push(row)
  for (const tried of queries) if (tried.attempts.length > 1) moreRows(tried, Math.max(workers, rows.length), rows)
  return {
    queries: queries.length,
    workers,
    quorum,
    core,
    outcome: outcomeOf(queries),
    rows,
    recoveries,
    survivors: [...survivors],
    encodeMs,
    waitMs,
    decodeMs,
  }
}
