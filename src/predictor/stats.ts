/** The statistics of a predictor. */

import type { WorkerEvidence } from '../events'
import type { BudgetStats } from '../layers/error-budget'
import type { SavingStats } from '../layers/savings'
import type { Agreement } from '../memory/agreements'
import type { WorkerStats } from '../pool/pool'
import type { Admission } from './admission'
import type { ModelVersion } from './version'

export interface PredictorStats {
  /** 'js' also where nothing is coded or learned: no core is loaded then. */
  core: 'wasm' | 'js'
  /** Queries waiting or in flight. */
  open: number
  exact: number
  recovered: number
  checked: number
  unverified: number
  audited: number
  /** Audited, unverified and recovered answers that were recalled: see the event `recalled`. */
  recalled: number
  /** Answers that the memory gave without a worker: see `reuse.maxError`. */
  remembered: number
  /** The error budget of the memory's answers. */
  budget: BudgetStats | undefined
  /**
   * What reuse saves and costs; `off` while it gives nothing, since it would not pay or the model is not deterministic. Undefined without `reuse`.
   */
  saving: SavingStats | undefined
  /** Queries that got the answer to an equal one; they are counted by status, too. */
  reused: number
  /** Queries that ended in an error, by its code. */
  failed: Record<string, number>
  /** Second requests for late queries, and those that were answered first. */
  hedges: { sent: number; won: number }
  /** After this time a query is late; undefined until enough were answered. */
  lateMs: number | undefined
  /** Pairs of query and answer in the memory. */
  memoryPairs: number
  /** How far answers without labels may differ to agree; undefined where there are labels, or until it is learned. */
  tolerance: number | undefined
  /** The same for each of several outputs. */
  tolerances: Record<string, number | undefined>
  /**
   * Why nothing approximate is given: it is a guess what the outputs mean, or the model's first answers contradict it. Undefined: nothing speaks
   * against it.
   */
  doubt: string | undefined
  /** How often recovered answers agreed with the model's own, which came late. */
  agreements: Agreement[]
  /** Each worker, with its record: see `WorkerEvidence`. */
  workers: (WorkerStats & WorkerEvidence)[]
}

export interface VersionCounts {
  /** How often the model was replaced. */
  renewals: number
  readonly hedges: { sent: number; won: number }
}

/** @param tenant  whose memory and budget it describes */
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
      .map(({ running, answered, ...stats }) => ({ ...stats, ...trust.evidence.of(stats.identity) })),
  }
}
