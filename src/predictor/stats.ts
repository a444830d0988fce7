/** What a predictor tells of itself. */

import type { BudgetStats } from '../layers/error-budget'
import type { SavingStats } from '../layers/savings'
import type { Agreement } from '../memory/agreements'
import type { WorkerStats } from '../pool/pool'
import type { WorkerEvidence } from '../trust/evidence'
import type { Admission } from './admission'
import type { ModelVersion } from './version'

export interface PredictorStats {
  /** 'js' also where nothing is coded or learned: no core is loaded then. */
  core: 'wasm' | 'js'
  /** Queries waiting or under way. */
  open: number
  exact: number
  recovered: number
  checked: number
  unverified: number
  audited: number
  /** Of these, and of unverified and recovered ones, those that were recalled: see `onRecall`. */
  recalled: number
  /** The memory's, which nobody was asked for: see `reuse.maxError`. */
  remembered: number
  /** How many of the remembered answers may be wrong, and what is known of them. */
  budget: BudgetStats | undefined
  /** What reuse spares, and what it costs; `off` where it gives nothing for now, since that would not pay or the model does not answer the same twice. Undefined without `reuse`. */
  saving: SavingStats | undefined
  /** Of all these, queries that had the answer to an equal one. */
  reused: number
  /** Queries that ended in an error, by its code. */
  failed: Record<string, number>
  /** Second requests for late queries, and those of them that were answered first. */
  hedges: { sent: number; won: number }
  /** How long a query waits until it is late; undefined before enough were answered. */
  lateMs: number | undefined
  /** Queries remembered. */
  memoryPairs: number
  /** How far off an answer without a label may be to agree; undefined where there are labels, or nothing learned it yet. */
  tolerance: number | undefined
  /** The same of each of several outputs. */
  tolerances: Record<string, number | undefined>
  /** Why nothing approximate is given: what is to be said of outputs that are read by a guess, or against the model's first answers. Undefined: nothing. */
  doubt: string | undefined
  /** How often recovered answers agreed with the model's own, which came late. */
  agreements: Agreement[]
  /** Each worker, and what is held against it; see `WorkerEvidence`. */
  workers: (WorkerStats & WorkerEvidence)[]
}

export interface VersionCounts {
  /** How often the model was replaced. */
  renewals: number
  readonly hedges: { sent: number; won: number }
}

/** @param tenant  whose memory it tells of */
export function statsOf(version: ModelVersion, admission: Admission, tenant: string): PredictorStats {
  const { coder, pool, lateness, trust, criterion } = version.dependencies
  const { learned, errors } = version.tenants.known(tenant) ?? {}
  const memory = learned?.stats()
  const { remembered, ...counts } = admission.stats()
  return {
    core: coder.core,
    ...counts,
    remembered,
    budget: errors?.stats,
    saving: version.reuse?.saving(errors),
    recalled: version.dependencies.given?.recalled ?? 0,
    reused: version.reuse?.given ?? 0,
    hedges: { ...version.counts.hedges },
    lateMs: lateness.ages?.hedgeMs,
    memoryPairs: memory?.pairs ?? 0,
    tolerance: memory?.tolerance ?? (criterion.kind === 'tolerance' ? criterion.tolerance : undefined),
    tolerances: memory?.tolerances ?? {},
    doubt: version.dependencies.first.doubt,
    agreements: memory?.agreements ?? [],
    workers: pool
      .stats()
      .map(({ slots, running, answered, ...stats }) => ({ ...stats, ...trust.evidence.of(stats.identity) })),
  }
}
