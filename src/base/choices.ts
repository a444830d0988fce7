/** What a caller may choose for a query: what it gets when its answer is late or lost. */

import { checkWord, outOfRange } from './check'

/**
 * What a query gets when its answer is late or lost. `recover`: a recovery. `retry`: another worker's answer, at once if the first one failed,
 * within a budget if it is late; exact, or an error. `auto`: a recovery if it is confident enough, else as `retry`.
 */
export type Policy = 'recover' | 'retry' | 'auto'

export const policies: readonly Policy[] = ['recover', 'retry', 'auto']

/** @throws TypeError, RangeError for what is no policy, or one that takes single answers for proven where somebody may lie, or asks again where nobody is asked for a query itself */
export function checkPolicy(policy: Policy, code: string, byzantine: number): Policy {
  checkWord('policy', policy, policies)
  const isPaper = policy === 'retry' && code !== 'systematic'
  if (policy === 'recover' || (!byzantine && !isPaper)) return policy
  const where = byzantine
    ? 'byzantine > 0, where one answer proves nothing'
    : 'the paper’s code, which decodes every answer and asks nobody again'
  throw outOfRange(`policy: expected 'recover' with ${where}, got '${policy}'`)
}

/** The default: `retry` or `auto` where queries have answers of their own, else `recover`. */
export function defaultPolicy(code: string, byzantine: number): Policy {
  return code === 'systematic' && !byzantine ? 'auto' : 'recover'
}

/** What becomes of a recovery that is not confident enough at the deadline: an error that contains it, or the answer. */
export const atDeadlines = ['fail', 'give'] as const
export type AtDeadline = (typeof atDeadlines)[number]

/** What a query gets if no worker can answer it in time: an error, or the memory's answer within `reuse.maxError`. */
export const onOverloads = ['fail', 'remember'] as const

/** A caller's choices for a query, or the defaults for all queries. */
export interface Choices {
  /**
   * What becomes of a query whose answer is missing; see `Policy`. Default 'auto' with a scheme and where some may lie, 'retry' without,
   * 'recover' with the paper's code.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9; 0.98 where answers are proven. */
  minConfidence?: number
  /**
   * What a query gets at its deadline that has no answer, and no recovery of `minConfidence`. 'fail': an error, DEADLINE, whose
   * `recovery` has what was recovered. 'give': that recovery, status `recovered`; or, where answers are proven and none agree, the
   * first worker's, `unverified`. Default 'fail'.
   */
  atDeadline?: AtDeadline
  /**
   * What a query gets that no worker can answer in time. 'fail': an error, OVERLOADED. 'remember': the memory's answer, where that is
   * confident, within `reuse.maxError`; also a query that says `ask`, if it says so itself. Default 'fail'.
   */
  onOverload?: (typeof onOverloads)[number]
}

/** What a caller says of one query; what it does not say are the predictor's options. */
export interface OwnChoices extends Choices {
  /** A worker answers in any case. */
  ask?: boolean
}

/** Whether a recovery is confident enough to be given; `evaluate` uses the same rule. */
export function isConfident(policy: Policy, minConfidence: number, confidence: number | undefined): boolean {
  return policy === 'recover' || (policy === 'auto' && (confidence ?? 0) >= minConfidence)
}
