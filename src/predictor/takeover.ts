/** The states of a candidate model: when it shadows, serves as a canary, takes over or is refused. */

import { wilson } from '../base/stats'
import type { IdentitiesView } from '../pool/identities'
import { Comparison } from './comparison'
import type { Takes } from './membership'
import type { ModelVersionReport } from './options'
import type { ModelVersion } from './version'

/** Answers that are compared, and queries that are answered, before a model may take over. */
const ENOUGH = 100
/** Queries of callers that it may fail on, as a share, and where there are few. */
const FAILED = { share: 0.05, few: 5 }

interface Count {
  readonly size: number
  /** Of these, how many may take rows. */
  readonly usable: number
}

export interface ModelCandidate {
  readonly id: string
  readonly version: ModelVersion
  /** Of its workers, or where some may lie of their machines: what can answer. */
  readonly count: Count
  /** They decide which model serves, however many workers each has. */
  readonly machines: Pick<IdentitiesView, 'size' | 'usable' | 'trusted'>
  readonly comparison: Comparison
  readonly canary: { answered: number; failed: number }
  state: ModelVersionReport['state']
  /** It has served. */
  isProven: boolean
  /** By somebody, or since it answers otherwise: until somebody wants it all the same. */
  isRefused: boolean
  /** Queries under way that nobody waits for. */
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
  /** What it takes to answer. */
  readonly needs: Takes
  /** The one that serves has been out of reach for so long that it counts as gone. */
  readonly isOver: boolean
}

/** Whether it can answer as was asked for; where answers are sampled somebody has to prove them. */
export function isFit({ count, version }: ModelCandidate, { least }: Takes): boolean {
  return count.usable >= least && version.dependencies.sampled?.hasTrusted !== false
}

/** Machines of two that decide between them: the user's own alone where there are any, or where any number of others may lie. */
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
  // There is nothing to be compared with.
  const hasShown = rules.shadow + rules.canary > 0 && trialOf(entry, true, rules) === 'serving'
  const isAlone = !serving.count.usable && (isMore || !serving.count.size || rules.isOver || hasShown)
  if (isAlone) return 'serving'
  if (entry.isProven) return isMore ? 'serving' : 'gathering'
  return trialOf(entry, isMore, rules)
}

/** @param isMore  more machines have it than have the one that serves */
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
