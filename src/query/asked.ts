/** The attempts of one query: who was asked for what, and what came of it. */

import { ApproxiferError } from '../errors'
import type { Payload } from '../payload'
import type { Attempt } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { RowReport } from './report'

/** `parity`: of a group, not of one query. `trial`: to an ejected worker, whose answer is only compared. `copy`: sent ahead, in case the first gets lost. `clone`: the same, where machines idle. */
export type Purpose = 'first' | 'copy' | 'clone' | 'hedge' | 'retry' | 'proof' | 'trial' | 'parity'

/** An attempt, and what its query knows of it. */
export interface Asked {
  readonly attempt: Attempt<Payload, Payload>
  readonly row: number
  readonly purpose: Purpose
  /** Somebody waited when its outcome came. */
  onTime: boolean
  /** Its answer was shown to be a lie, or was compared with the right one. */
  verdict: 'none' | 'compared' | 'lie'
  /** Its worker may be asked again, though it failed: nobody else is left. */
  isForgiven: boolean
  /** Its query was ended, as where the model was replaced, or its worker lied: what is answered now tells nothing. */
  isVoid: boolean
}

export function newAsked(attempt: Attempt<Payload, Payload>, purpose: Purpose, row: number): Asked {
  return { attempt, row, purpose, onTime: false, verdict: 'none', isForgiven: false, isVoid: false }
}

export function answerOf({ attempt: { outcome }, isVoid }: Asked): Payload | undefined {
  return outcome?.kind === 'answered' && !isVoid ? outcome.answer : undefined
}

export function errorOf({ attempt: { outcome } }: Asked): ApproxiferError | undefined {
  return outcome?.kind === 'failed' ? outcome.error : undefined
}

/** The identity that failed on it, and is to blame. */
export function failureOf({ attempt: { outcome, worker } }: Asked): string | undefined {
  return outcome?.kind === 'failed' && outcome.blame !== 'nobody' && worker ? identityOf(worker) : undefined
}

export function workerOf({ attempt }: Asked): ModelWorker {
  return attempt.worker as ModelWorker
}

export function isLive({ attempt }: Asked): boolean {
  return attempt.phase !== 'settled'
}

export function isQueued({ attempt }: Asked): boolean {
  return attempt.phase === 'queued'
}

/** The identity that must not be asked again: none while no worker has it, or where none is to blame. */
export function blockedBy({ attempt, isForgiven }: Asked): string | undefined {
  const { outcome, worker } = attempt
  if (!worker || isForgiven) return undefined
  return outcome?.kind === 'failed' && outcome.blame === 'nobody' ? undefined : identityOf(worker)
}

/** Whether a worker that failed may be asked again: it may be over. An answer that is none is not, nor the silence of a worker that nobody restarts. */
export function isForgivable({ attempt: { outcome } }: Asked): boolean {
  if (outcome?.kind !== 'failed' || outcome.lost === 'silent') return false
  return outcome.error.code === 'WORKER' || outcome.error.code === 'OVERLOADED'
}

/** The error where no worker was to begin with it any more: it was too late. */
export function refusalOf({ attempt }: Asked): ApproxiferError | undefined {
  const { outcome, worker } = attempt
  return !worker && outcome?.kind === 'failed' && outcome.error.code === 'OVERLOADED' ? outcome.error : undefined
}

const EXTRAS: readonly Purpose[] = ['hedge', 'retry', 'clone']

/** What became of attempts that are over, but for those that nobody but who took them back knows of. @param rows  are added to */
export function rowReports(all: readonly Asked[], rows: RowReport[] = []): RowReport[] {
  for (const asked of all) {
    const { attempt, row, purpose, verdict } = asked
    const { worker, ranMs, phase } = attempt
    const isUnknown = !worker && EXTRAS.includes(purpose) && attempt.outcome?.kind === 'cancelled'
    if (phase !== 'settled' || isUnknown) continue
    const [suspected, ms] = [verdict === 'lie', worker ? ranMs : 0]
    rows.push({ row, worker: worker?.name ?? '', outcome: endOf(asked), suspected, ms, error: whyOf(asked) })
  }
  return rows
}

function endOf({ attempt: { outcome }, onTime }: Asked): RowReport['outcome'] {
  if (outcome?.kind === 'answered') return onTime ? 'onTime' : 'late'
  return outcome?.kind === 'failed' ? failure(outcome.error) : 'failed'
}

function whyOf({ attempt: { outcome, worker } }: Asked): ApproxiferError | undefined {
  if (outcome?.kind === 'answered') return undefined
  if (outcome?.kind === 'failed') return outcome.error
  if (worker) return new ApproxiferError('ABORTED', 'nobody waits for it any more')
  return new ApproxiferError('OVERLOADED', 'no worker had room for the row while it was wanted')
}

/** What an error counts as. */
export function failure({ code }: ApproxiferError): 'failed' | 'rejected' {
  return code === 'PROTOCOL' ? 'rejected' : 'failed'
}
