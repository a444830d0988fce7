/** Recommends the cheapest scheme for a tolerated loss, a straggler rate and a price per retry. */

import type { Policy } from '../base/choices'
import type { CodeName } from '../codec/names'
import { binomialBelow } from '../layers/error-rates'
import { CONFIDENT } from '../predictor/settings'
import type { Evaluation } from './scores'
import { percent, type Sureness, sureSentence } from './statistics'

export interface Wishes {
  /** Tolerated loss of accuracy against the model alone, in 0..1. */
  tolerate: number
  /** Share of answers that come too late. */
  stragglerRate: number
  /** Cost of a retry including its latency, in inferences. */
  retryPrice: number
  /** Confidence from which a recovered answer is sure. Default `CONFIDENT`. */
  minConfidence?: number
}

export interface Measurement {
  code: CodeName
  queries: number
  stragglers: number
  workers: number
  memory: number
  evaluation: Pick<Evaluation, 'accuracy' | 'confidence' | 'rivals' | 'memoryOptions'>
}

export interface Candidate {
  name: string
  policy: Policy
  /** Inferences per query, with retries at their price. */
  cost: number
  /** Loss of accuracy at the pessimistic end of the 95 % interval. */
  loss: number
  /** Whether its recovered answers are right often enough to be given at all. */
  fit: boolean
  /** Quality of its recovered answers. */
  recovered?: Sureness | undefined
  /** What late queries get, in shares of them; only with the policy `auto`. */
  late?: Late
  why: string
  /** Options of `createPredictor`, besides `model`. Without redundancy `workers` gives the number of workers. */
  use: string
}

/** A late query gets the recovered answer if that is sure, or else its own answer on a retry. */
export interface Late {
  recovered: number
  again: number
}

/** Least share of given answers that should be right, of those that the model alone gets right. */
const LEAST_RIGHT = 2 / 3
/** If a smaller share of recovered answers is sure, retrying all queries costs about the same and is exact. */
const LEAST_SURE = 0.1
/** Smaller shares of late queries are not mentioned. */
const LEAST_SHARE = 0.005

/** All measured candidates: first those within the tolerance, cheapest first, then the others. */
export function recommend(measured: readonly Measurement[], wishes: Wishes): Candidate[] {
  const { tolerate, stragglerRate: late, retryPrice } = wishes
  const retry: Candidate = {
    name: 'no code',
    policy: 'retry',
    cost: 1 + late * retryPrice,
    loss: 0,
    fit: true,
    why: `${percent(late)} of queries are asked twice`,
    use: options(1, 0, 'retry', false, wishes),
  }
  const alone = measured.filter(({ evaluation }) => evaluation.rivals.memoryAlone).slice(0, 1)
  const candidates = [
    retry,
    ...measured.flatMap((each) => coded(each, wishes)),
    ...alone.flatMap((each) => byMemory(each, wishes)),
  ]
  const worse = ({ loss, fit }: Candidate) => Number(loss > tolerate || !fit)
  return candidates.sort((a, b) => worse(a) - worse(b) || a.cost - b.cost)
}

/** Shares of lost answers that are recovered, and their quality. */
interface Recoveries {
  /** `among`: share of all queries that are late or lost. `ofLate`: share of these that is recovered; the others are retried. */
  among: number
  ofLate: number
  /** Inferences per query, without retries. */
  inferences: number
  /** Accuracy of the model alone, and of recovered answers at the pessimistic end. */
  base: number
  right: number
  recovered: Sureness | undefined
}

function byMemory({ memory, evaluation }: Measurement, wishes: Wishes): Candidate[] {
  const { accuracy, rivals, memoryOptions = {} } = evaluation
  const { accuracy: right = 0, ci95 = [0, 0], confidence } = rivals.memoryAlone ?? {}
  const source = { among: wishes.stragglerRate, ofLate: 1, inferences: 1, base: accuracy.base, right: ci95[0] }
  const use = (policy: Policy) => options(1, 0, policy, memoryOptions, wishes)
  const why = `lost answers are right in ${percent(right)}`
  return byPolicy(`no code, a memory of ${memory}`, { ...source, recovered: confidence }, why, use, wishes)
}

function coded(measured: Measurement, wishes: Wishes): Candidate[] {
  const { code, queries: K, stragglers: S, workers: N, memory, evaluation } = measured
  const { accuracy, confidence } = evaluation
  const { stragglerRate: late } = wishes
  if (!accuracy.recoveredCi95) return []
  const systematic = code === 'systematic'
  const remembers = evaluation.rivals.memoryAlone ? `, a memory of ${memory}` : ''
  const name = `${systematic ? '' : `code ${code}, `}K = ${K}, S = ${S}${remembers}`
  // Systematic code: a query is late, and few enough of the other rows are. Paper's code: every answer of a group at the quorum.
  const few = systematic ? binomialBelow(S, N - 1, late) : binomialBelow(S + 1, N, late)
  const source = {
    among: systematic ? late : 1,
    ofLate: few,
    inferences: N / K,
    base: accuracy.base,
    right: accuracy.recoveredCi95[0],
    recovered: confidence,
  }
  const why = `${systematic ? 'recovered' : 'all'} answers are right in ${percent(accuracy.recovered ?? 0)}`
  const remembering = remembers !== '' && (evaluation.memoryOptions ?? {})
  const use = (policy: Policy) => options(K, S, policy, remembering, wishes, code)
  const both = byPolicy(name, source, why, use, wishes)
  // With the policy `auto` a warm memory replaces parities: that is the candidate without a code.
  return remembers ? both.filter(({ policy }) => policy === 'recover') : both
}

/** Two candidates: one gives all recovered answers; the other, if there are confidences, only sure ones. */
function byPolicy(
  name: string,
  { among, ofLate, inferences, base, right, recovered }: Recoveries,
  why: string,
  use: (policy: Policy) => string,
  { tolerate, retryPrice, minConfidence = CONFIDENT }: Wishes,
): Candidate[] {
  const share = among * ofLate
  const beyond = among - share
  // If the tolerance would allow all of them to be wrong, it decides nothing: they must then be as good as sure ones.
  const leastOf = (wrong: number) => (wrong <= tolerate ? Math.max(minConfidence, LEAST_RIGHT) : LEAST_RIGHT)
  const least = leastOf(share * base)
  const recover: Candidate = {
    name,
    policy: 'recover',
    cost: inferences + beyond * retryPrice,
    loss: share * Math.max(0, base - right),
    fit: right >= least * base && (recovered?.agreement ?? 1) >= least, // a model that is often wrong is easily matched
    recovered,
    why,
    use: use('recover'),
  }
  if (!recovered) return [recover]
  const { share: sure, agreement = 0, ci95: [low] = [0] } = recovered.sure
  const auto: Candidate = {
    name,
    policy: 'auto',
    cost: inferences + (beyond + share * (1 - sure)) * retryPrice,
    loss: share * sure * (1 - low),
    fit: sure >= LEAST_SURE && low >= LEAST_RIGHT && agreement >= leastOf(share * sure * base),
    recovered,
    late: { recovered: ofLate * sure, again: 1 - ofLate * sure },
    why: sureSentence(recovered),
    use: use('auto'),
  }
  return [recover, auto]
}

/** The recommendation, with a reason if no recovered answers are fit to be given. */
export function advice(candidates: readonly Candidate[]): string {
  const [best] = candidates
  if (best.policy !== 'retry') return `${best.name}, policy ${best.policy}`
  const others = candidates.filter(({ policy }) => policy !== 'retry')
  if (!others.length || others.some(({ fit }) => fit)) return 'do not code this model: ask again instead'
  const sure = others.flatMap(({ recovered }) =>
    recovered && recovered.sure.share >= LEAST_SURE ? recovered.sure : [],
  )
  const these = !sure.length ? 'too few of them are sure' : 'those that are sure no less so'
  const seldom = 'of those that are sure too few were measured: more groups may tell'
  const unclear = sure.some(({ agreement = 0, ci95: [low] = [0] }) => agreement >= LEAST_RIGHT && low < LEAST_RIGHT)
  return `retry, do not recover; recovered answers are wrong too often, and ${unclear ? seldom : these}`
}

/** What a late query gets with the policy `auto` of the best candidate that has it, how often, and the cost. */
export function lateSentence(candidates: readonly Candidate[]): string | undefined {
  const auto = candidates.find(({ policy }) => policy === 'auto')
  if (!auto?.late) return undefined
  const { recovered, again } = auto.late
  const parts: [share: number, what: string][] = [
    [recovered, 'at once what is recovered, since it is sure'],
    [again, 'another worker’s answer, exact, after another turn'],
  ]
  const listed = parts.filter(([share]) => share >= LEAST_SHARE).map(([share, what]) => `${what} (${percent(share)})`)
  return `a late query gets, with ${auto.name} and the policy auto: ${listed.join(', ')}; ${auto.cost.toFixed(3)} inferences a query`
}

/** The quality of the first candidate's recovered answers; if it recovers none, of those that agree most often. */
export function worthOf([best, ...others]: readonly Candidate[]): string | undefined {
  const most = others.flatMap(({ recovered }) => recovered ?? []).sort((a, b) => b.agreement - a.agreement)
  const recovered = best.recovered ?? most[0]
  if (!recovered) return undefined
  return `recovered answers agree with the model in ${percent(recovered.agreement)} of cases; ${sureSentence(recovered)}`
}

/** Options as a user would write them; the memory and the systematic code are the default. */
function options(
  queries: number,
  stragglers: number,
  policy: Policy,
  memory: false | NonNullable<Evaluation['memoryOptions']>,
  { minConfidence = CONFIDENT }: Wishes,
  code: CodeName = 'systematic',
): string {
  const scheme = [`queries: ${queries}`, ...(stragglers ? [`stragglers: ${stragglers}`] : [])]
  if (code !== 'systematic') scheme.push(`preset: 'aaai22'`)
  const sure = policy === 'auto' && minConfidence !== CONFIDENT ? [`minConfidence: ${minConfidence}`] : []
  const { bytes, features } = memory || {}
  const remembering = [
    ...(bytes ? [`bytes: ${bytes}`] : []),
    ...(features ? [`features: ${typeof features === 'string' ? `'${features}'` : 'features'}`] : []),
  ]
  const holding = memory ? remembering.length && `memory: { ${remembering.join(', ')} }` : 'memory: false'
  const more = [...(policy === 'auto' ? sure : [`policy: '${policy}'`]), ...(holding ? [holding] : [])]
  return [...(stragglers ? [] : ['workers: 4']), `scheme: { ${scheme.join(', ')} }`, ...more].join(', ')
}
