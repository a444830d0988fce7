/** The report of what happened to a query, or to a group of them: made once no attempt runs any more. */

import { NONE } from './arrays'
import { ApproxiferError } from './errors'
import type { Attempt } from './pool/attempt'
import { type Ending, type GroupReport, type RowReport, statuses } from './prediction'
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

/** A query's attempts, its first one as row `first`, the others from `next` on, but for those that were taken back before a worker had them. */
export function rowsOf({ attempts, trial, lies }: Tried, first = 0, next = 1): RowReport[] {
  const rows: RowReport[] = []
  for (const [at, attempt] of attempts.entries()) {
    const isUnknown = at > 0 && !attempt.worker && attempt.outcome?.kind === 'cancelled'
    if (!isUnknown) rows.push(rowOf(attempt, at ? next++ : first, lies.includes(attempt)))
  }
  if (trial) rows.push(rowOf(trial, next, lies.includes(trial)))
  return rows
}

/** @param suspected  it was a lie; with the paper's code: it was dropped by the locator */
export function rowOf(attempt: Attempt, row: number, suspected = false): RowReport {
  const { worker, ranMs } = attempt
  return { row, worker: worker?.name ?? '', ...endOf(attempt), suspected, ms: worker ? ranMs : 0 }
}

function endOf({ outcome, worker, onTime }: Attempt): Pick<RowReport, 'outcome' | 'error'> {
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
  const { recovery, attempts, trial } = tried
  return {
    queries: 1,
    workers: needed > 1 ? attempts.length + Number(trial !== undefined) : Math.min(1, attempts.length),
    quorum: attempts.length ? needed : 0,
    core,
    outcome: outcomeOf([tried]),
    rows: rowsOf(tried),
    recoveries: recovery && (recovery.given || needed === 1) ? [recovery] : [], // where workers have to agree all are looked up
    ...undecided,
    survivors: [],
  }
}

/** @param others  rows that are no query's */
export function groupReport(
  queries: readonly Tried[],
  others: readonly RowReport[],
  {
    core,
    scheme,
    survivors,
    ...times
  }: GroupMeasures & {
    readonly core: 'wasm' | 'js'
    readonly scheme: { readonly workers: number; readonly quorum: number }
  },
): GroupReport {
  const { workers, quorum } = scheme
  const rows = [...others]
  for (const [number, tried] of queries.entries()) rows.push(...rowsOf(tried, number, Math.max(workers, rows.length)))
  return {
    ...{ queries: queries.length, workers, quorum, core, outcome: outcomeOf(queries) },
    rows: rows.sort((a, b) => a.row - b.row),
    recoveries: queries.flatMap(({ recovery }, query) => (recovery ? { ...recovery, query } : [])),
    survivors: [...survivors],
    ...times,
  }
}
