/** What becomes of a query's answer, and the report of what happened to it. */

import { NONE } from '../arrays'
import { ApproxiferError } from '../errors'
import {
  type Ending,
  type GroupReport,
  type Prediction,
  type RecoveryReport,
  type RowReport,
  type Status,
  statuses,
} from '../prediction'
import type { Tensors } from '../tensor'
import { identityOf, type ModelWorker } from '../workers/worker'
import { type Asked, type Purpose, workerOf } from './asked'
import type { Query } from './query'

/** What a query says of its answer. */
export interface Given extends Pick<Prediction, 'status' | 'confidence' | 'queuedMs' | 'ranMs' | 'hedged'> {
  /** By whom; those that have left by then, too. */
  workers: readonly ModelWorker[]
}

/** What a caller gets. Each by its name: a spread costs 1 kB. */
export function predictionOf(
  output: Tensors,
  {
    status,
    confidence,
    queuedMs,
    ranMs,
    hedged,
    workers: by,
  }: Omit<Given, 'workers'> & { readonly workers: readonly Pick<ModelWorker, 'name' | 'identity'>[] },
  { fingerprint, id, group }: Pick<Prediction, 'fingerprint' | 'id' | 'group'>,
): Prediction {
  const workers = by.map(({ name }) => name)
  const identities = by.map(identityOf)
  return { output, status, confidence, queuedMs, ranMs, hedged, workers, identities, fingerprint, id, group }
}

/** Of an answer that a worker gave. */
export function workersAnswer(query: Query, asked: Asked, status: Status, confidence: number | undefined): Given {
  const { startedAt, ranMs } = asked.attempt
  const queuedMs = startedAt - query.caller.since
  return { status, confidence, queuedMs, ranMs, hedged: isHedged(query), workers: [workerOf(asked)] }
}

/** Of one that was recovered now. @param workers  whose answers it is made of */
export function recoveredAnswer(query: Query, now: number, workers: readonly ModelWorker[]): Given {
  const sentAt = query.asked[0]?.attempt.startedAt || now
  const confidence = query.recovery?.confidence
  const [queuedMs, ranMs] = [sentAt - query.caller.since, now - sentAt]
  return { status: 'recovered', confidence, queuedMs, ranMs, hedged: isHedged(query), workers }
}

function isHedged({ asked }: Query): boolean {
  return asked.some(({ purpose, attempt }) => purpose === 'hedge' && attempt.worker)
}

const ANSWERED: readonly Ending[] = statuses

/** How a group ended: `decoded` where all have an answer; callers that left count only where all did. */
export function outcomeOf(endings: readonly Ending[]): string {
  let outcome = 'ABORTED'
  for (const ending of endings) {
    if (ANSWERED.includes(ending)) outcome = 'decoded'
    else if (ending !== 'ABORTED') return ending
  }
  return outcome
}

/** An answer that was not good enough at the deadline. */
export function unsure(why: string, output: Tensors, confidence: number | undefined): ApproxiferError {
  return new ApproxiferError('DEADLINE', `${why}; what was recovered is not confident enough`, {
    recovery: { output, confidence },
  })
}

/** What a group's code tells. */
type Times = Pick<GroupReport, 'encodeMs' | 'waitMs' | 'decodeMs' | 'core'> & {
  readonly survivors: readonly number[]
  readonly scheme: Pick<GroupReport, 'workers' | 'quorum'>
}

/** Of a group that has decoded nothing so far. */
export const undecided = { survivors: NONE as readonly number[], encodeMs: 0, waitMs: 0, decodeMs: 0 }

const EXTRAS: readonly Purpose[] = ['hedge', 'retry']

/** What became of attempts that are over, except extras that were cancelled before a worker had them. @param rows  are added to */
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

/** What a report of a query that was alone is made of. */
type Reported = Pick<Query, 'vote' | 'asked'> & {
  readonly caller: Pick<Query['caller'], 'ending'>
  readonly recovery: { readonly report: RecoveryReport | undefined } | undefined
}

/** Of a query that was alone. @param acceptance  how many workers have to agree */
export function queryReport(
  { vote, asked, caller, recovery }: Reported,
  { acceptance, core }: { readonly acceptance: { readonly needed: number }; readonly core: 'wasm' | 'js' },
): GroupReport {
  const report = recovery?.report
  return {
    queries: 1,
    workers: vote ? asked.length : 1,
    quorum: acceptance.needed,
    core,
    outcome: outcomeOf([caller.ending as Ending]),
    rows: rowReports(asked),
    recoveries: report && (report.given || !vote) ? [report] : [], // a vote looks every query up
    ...undecided,
    survivors: [],
  }
}
