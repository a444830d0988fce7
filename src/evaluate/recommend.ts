/** Which scheme is the cheapest for a tolerated loss, a straggler rate and a price per retry. */

import type { CodeName } from '../codec/codes'
import type { Policy } from '../history/worth'
import type { Evaluation } from './scores'

export interface Wishes {
  /** Accuracy that may be lost against the model alone, in 0..1. */
  tolerate: number
  /** Share of answers that come too late. */
  stragglerRate: number
  /** What a retry costs, its latency included, in inferences. */
  retryPrice: number
}

/** What was measured of one code. */
export interface Measurement {
  code: CodeName
  queries: number
  stragglers: number
  workers: number
  memory: number
  evaluation: Pick<Evaluation, 'accuracy' | 'confidence' | 'rivals'>
}

export interface Candidate {
  name: string
  policy: Policy
  /** Inferences a query, retries at their price. */
  cost: number
  /** Accuracy lost, at the pessimistic end of the 95 % interval. */
  loss: number
  why: string
  /** How to get it: options of `createPredictor`, beside `model`. Without redundancy `workers` says how many there are. */
  use: string
}

/** All candidates that were measured, the cheapest within the tolerance first, then those beyond it. */
export function recommend(measured: readonly Measurement[], wishes: Wishes): Candidate[] {
  const { tolerate, stragglerRate: late, retryPrice } = wishes
  const retry: Candidate = {
    name: 'no code',
    policy: 'retry',
    cost: 1 + late * retryPrice,
    loss: 0,
    why: `${percent(late)} of queries are asked twice`,
    use: options(1, 0, 'retry', false),
  }
  const alone = measured.filter(({ evaluation }) => evaluation.rivals.memoryAlone)
  const candidates = [
    retry,
    ...measured.flatMap((each) => coded(each, late, retryPrice)),
    ...alone.slice(0, 1).map(byMemory),
  ]
  const worse = ({ loss }: Candidate) => Number(loss > tolerate)
  return candidates.sort((a, b) => worse(a) - worse(b) || a.cost - b.cost)

  function byMemory({ memory, evaluation: { accuracy, rivals } }: Measurement): Candidate {
    const right = rivals.memoryAlone?.ci95[0] ?? 0
    return {
      name: `no code, a memory of ${memory}`,
      policy: 'recover',
      cost: 1,
      loss: late * (accuracy.base - right),
      why: `lost answers are right in ${percent(rivals.memoryAlone?.accuracy ?? 0)}`,
      use: options(1, 0, 'recover', true),
    }
  }
}

function coded(measured: Measurement, late: number, retryPrice: number): Candidate[] {
  const { code, queries: K, stragglers: S, workers: N, memory, evaluation } = measured
  const { accuracy, confidence } = evaluation
  if (!accuracy.recoveredCi95) return []
  const systematic = code === 'systematic'
  const remembers = evaluation.rivals.memoryAlone ? `, a memory of ${memory}` : ''
  const name = `${systematic ? '' : `code ${code}, `}K = ${K}, S = ${S}${remembers}`
  // Systematic: a query is late, and few enough of the others are. Else every answer of a group at the quorum.
  const decoded = systematic ? late * atMost(S - 1, N - 1, late) : atMost(S, N, late)
  const beyond = (systematic ? late : 1) - decoded // these are asked again whatever the policy
  const recover: Candidate = {
    name,
    policy: 'recover',
    cost: N / K + beyond * retryPrice,
    loss: decoded * Math.max(0, accuracy.base - accuracy.recoveredCi95[0]),
    why: `${systematic ? 'recovered' : 'all'} answers are right in ${percent(accuracy.recovered ?? 0)}`,
    use: options(K, S, 'recover', remembers !== '', code),
  }
  if (!confidence) return [recover]
  const { share, agreement = 1 } = confidence.sure
  const guessed = decoded * (1 - accuracy.copied)
  const error = 1.96 * Math.sqrt((agreement * (1 - agreement) + 1e-3) / Math.max(1, share * confidence.tested))
  const auto: Candidate = {
    name,
    policy: 'auto',
    cost: N / K + (beyond + guessed * (1 - share)) * retryPrice,
    loss: guessed * share * Math.min(1, 1 - agreement + error),
    why: share
      ? `${percent(share)} of recovered answers are sure, ${percent(agreement)} of these right`
      : 'none is sure',
    use: options(K, S, 'auto', remembers !== '', code),
  }
  return [recover, auto]
}

/** As a user would write them; the memory and the systematic code are the default. */
function options(queries: number, stragglers: number, policy: Policy, memory: boolean, code: CodeName = 'systematic') {
  const scheme = [`queries: ${queries}`, ...(stragglers ? [`stragglers: ${stragglers}`] : [])]
  if (code !== 'systematic') scheme.push(`code: '${code}'`)
  const more = [...(policy === 'auto' ? [] : [`policy: '${policy}'`]), ...(memory ? [] : ['memory: false'])]
  return [...(stragglers ? [] : ['workers: 4']), `scheme: { ${scheme.join(', ')} }`, ...more].join(', ')
}

/** Probability of at most `most` of n, at probability p each. */
function atMost(most: number, n: number, p: number): number {
  if (p === 1) return Number(most >= n)
  let [term, sum] = [(1 - p) ** n, 0]
  for (let k = 0; k <= most; k++) {
    sum += term
    term *= ((n - k) / (k + 1)) * (p / (1 - p))
  }
  return Math.min(1, sum)
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`
