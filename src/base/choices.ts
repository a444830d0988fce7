/** What a caller may choose for a query, such as what it gets when its answer is late or lost. */

import { checkWord, outOfRange } from './check'

/**
 * What a query gets when its answer is late or lost. `recover`: a recovery. `retry`: another worker's answer, at once if the first worker
 * failed, or within the hedging budget if it is late; the answer is exact. `auto`: a recovery if it is confident enough, else as `retry`.
 */
export type Policy = 'recover' | 'retry' | 'auto'

export const policies: readonly Policy[] = ['recover', 'retry', 'auto']

/**
 * @throws TypeError, RangeError if it is no policy, if it would take a single answer for proven although workers may lie, or if it would
 * retry queries that the paper's code never sends uncoded
 */
export function checkPolicy(policy: Policy, code: string, byzantine: number): Policy {
  checkWord('policy', policy, policies)
  const isPaper = policy === 'retry' && code !== 'systematic'
  if (policy === 'recover' || (!byzantine && !isPaper)) return policy
  const where = byzantine
    ? 'byzantine > 0, where one answer proves nothing'
    : 'the paper’s code, which decodes every answer and asks nobody again'
  throw outOfRange(`policy: expected 'recover' with ${where}, got '${policy}'`)
}

/** The default: `auto` if queries are sent uncoded and no worker may lie, else `recover`. */
export function defaultPolicy(code: string, byzantine: number): Policy {
  return code === 'systematic' && !byzantine ? 'auto' : 'recover'
}

/** What happens to a recovery that is not confident enough at the deadline: 'fail' puts it into an error, 'give' returns it. */
export const atDeadlines = ['fail', 'give'] as const
export type AtDeadline = (typeof atDeadlines)[number]

/** What a query gets if no worker can answer it in time: an error, or the memory's answer within `reuse.maxError`. */
export const onOverloads = ['fail', 'remember'] as const

/** A caller's choices for a query, or the predictor's defaults for all queries. */
export interface Choices {
  /**
   * What happens to a query whose answer is missing; see `Policy`. Default 'auto' with a scheme, also if workers may lie, 'retry' without a
   * scheme, 'recover' with the paper's code.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9; 0.98 if answers are proven. */
  minConfidence?: number
  /**
   * What a query gets at its deadline if it has neither an answer nor a recovery of `minConfidence`. 'fail': the error DEADLINE, with the
   * best recovery in `recovery`. 'give': that recovery, with status `recovered`; if answers are proven and none agree, the first worker's
   * answer, with status `unverified`. Default 'fail'.
   */
  atDeadline?: AtDeadline
  /**
   * What a query gets that no worker can answer in time. 'fail': the error OVERLOADED. 'remember': the memory's answer, if that is
   * confident, within `reuse.maxError`; a query with `ask` gets it only if it sets this option itself. Default 'fail'.
   */
  onOverload?: (typeof onOverloads)[number]
}

/** A caller's choices for one query; the predictor's options replace what is missing. */
export interface OwnChoices extends Choices {
  /** A worker answers in any case, not the memory. */
  ask?: boolean
}

/** Whether a recovery is confident enough to be given. `evaluate` uses the same rule. */
export function isConfident(policy: Policy, minConfidence: number, confidence: number | undefined): boolean {
  return policy === 'recover' || (policy === 'auto' && (confidence ?? 0) >= minConfidence)
}
