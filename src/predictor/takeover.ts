/** The states of a candidate model: when it shadows, serves as a canary, takes over or is refused. */

import { wilson } from '../base/stats'
import type { ModelVersionReport } from '../events'
import type { IdentitiesView } from '../pool/identities'
import { Comparison } from './comparison'
import type { Takes } from './membership'
import type { ModelVersion } from './version'

/** Answers that are compared, and canary queries that are answered, before a model may take over. */
const ENOUGH = 100
/** A canary may fail on this share of its queries, or on this many. */
const FAILED = { share: 0.05, few: 5 }

interface Count {
  readonly size: number
  /** How many of them may take queries. */
  readonly usable: number
}

export interface ModelCandidate {
  readonly id: string
  readonly version: ModelVersion
  /** Its workers or, where some may lie, its machines. */
  readonly count: Count
  /** Machines decide which model serves, however many workers each has. */
  readonly machines: Pick<IdentitiesView, 'size' | 'usable' | 'trusted'>
  readonly comparison: Comparison
  readonly canary: { answered: number; failed: number }
  state: ModelVersionReport['state']
  /** It has served before. */
  isProven: boolean
  /** An operator refused it, or it disagreed: until an operator promotes it. */
  isRefused: boolean
  /** Shadow queries in flight. */
  unseen: number
}

export function candidateOf(id: string, version: ModelVersion, { counted }: Takes): ModelCandidate {
  const { criterion, signature, pool } = version.dependencies
  const count = counted === 'machines' ? pool.identities : pool
  const comparison = new Comparison(criterion, signature.outputs)
  const rest = { canary: { answered: 0, failed: 0 }, isProven: false, isRefused: false, unseen: 0 }
  return { id, version, count, machines: pool.identities, comparison, state: 'gathering', ...rest }
}

export function reportOf({ id, state, version, comparison, canary }: ModelCandidate): ModelVersionReport {
  const { compared, agreed } = comparison
  return { id, state, workers: version.dependencies.pool.size, compared, agreed, ...canary }
}

interface TakeoverRules {
  readonly shadow: number
  readonly canary: number
  readonly agreement: number
  /** What a model needs to answer. */
  readonly needs: Takes
  /** The serving model has been unreachable for so long that it counts as gone. */
  readonly isOver: boolean
}

/** Whether enough workers have it; with sampled verification one of them has to be trusted. */
export function isFit({ count, version }: ModelCandidate, { least }: Takes): boolean {
  return count.usable >= least && version.dependencies.sampled?.hasTrusted !== false
}

/** The machines that decide between two models: only trusted ones if there are any, or if any number of others may lie. */
function deciding(one: ModelCandidate, other: ModelCandidate, { liars }: Takes): readonly [own: Count, its: Count] {
  const [own, its] = [one.machines, other.machines]
  const isByTrust = liars === Number.POSITIVE_INFINITY || own.trusted.size + its.trusted.size > 0
  return isByTrust ? [own.trusted, its.trusted] : [own, its]
}

/** The state that a candidate should be in now; `serving`: it takes over. */
export function stateOf(
  entry: ModelCandidate,
  serving: ModelCandidate,
  rules: TakeoverRules,
): ModelVersionReport['state'] {
  if (!entry.count.size) return 'gone'
  if (entry.isRefused) return 'refused'
  const [{ usable }, { size }] = deciding(entry, serving, rules.needs)
  const isMore = usable > size
  if (!isFit(entry, rules.needs) || !usable) return 'gathering'
  // The serving model cannot be reached: there is nothing to compare with.
  const hasShown = rules.shadow + rules.canary > 0 && trialOf(entry, true, rules) === 'serving'
  const isAlone = !serving.count.usable && (isMore || !serving.count.size || rules.isOver || hasShown)
  if (isAlone) return 'serving'
  if (entry.isProven) return isMore ? 'serving' : 'gathering'
  return trialOf(entry, isMore, rules)
}

/** @param isMore  more machines have it than the serving model */
function trialOf(
  { comparison, canary }: ModelCandidate,
  isMore: boolean,
  rules: TakeoverRules,
): ModelVersionReport['state'] {
  const { compared, agreed } = comparison
  const { answered, failed } = canary
  const disagrees = compared >= ENOUGH && wilson(agreed, compared)[1] < rules.agreement
  if (disagrees || failed > Math.max(FAILED.few, FAILED.share * answered)) return 'refused'
  if (rules.shadow && (compared < ENOUGH || agreed < rules.agreement * compared)) return 'shadow'
  if (rules.canary && (answered < ENOUGH || !isMore)) return 'canary'
  if (isMore) return 'serving'
  return rules.shadow ? 'shadow' : 'gathering'
}
