/** What a group does now, and what a query without an answer of its own gets. Pure: all that counts is in the arguments. */

import { checkWord } from '../check'

/**
 * What becomes of a query whose answer is missing. `recover`: what is recovered is given. `retry`: another worker is asked, at
 * once where the first one failed, from a budget where it is late; exact, or an error. `auto`: recover where the
 * confidence is enough, else retry.
 */
export type Policy = 'recover' | 'retry' | 'auto'

export const policies: readonly Policy[] = ['recover', 'retry', 'auto']

/** @throws TypeError, RangeError for what is no policy, or one that takes single answers for proven where somebody may lie */
export function checkPolicy(policy: Policy, byzantine: number): Policy {
  checkWord('policy', policy, policies)
  if (policy === 'recover' || !byzantine) return policy
  const where = 'byzantine > 0, where one answer proves nothing'
  throw new RangeError(`policy: expected 'recover' with ${where}, got '${policy}'`)
}

/** The policy where none is chosen: an exact answer may be asked for again where there are any, and nobody lies. */
export function defaultPolicy(code: string, byzantine: number): Policy {
  return code === 'systematic' && !byzantine ? 'auto' : 'recover'
}

/** `fastest`: decode at the quorum. `deadline`: wait for all, at most until the deadline. */
export type Rule = 'fastest' | 'deadline'

/** Where a group stands. Rows that ask for a query again count for neither. */
export interface Standing {
  rule: Rule
  /** Answers that came, and rows that may still be answered. */
  answers: number
  outstanding: number
  /** Of the scheme: answers to decode from, where all of its `rows` were sent. */
  quorum: number
  /** Rows of the scheme that were never made, since nothing was unanswered that they could tell of. */
  unmade: number
}

/** `hopeless`: fewer answers can come than the code decodes from. */
export function standing({ rule, answers, outstanding, quorum, unmade }: Standing): 'wait' | 'decode' | 'hopeless' {
  const needed = Math.max(0, quorum - unmade)
  if (answers >= needed && (rule === 'fastest' || !outstanding)) return 'decode'
  return answers + outstanding >= needed ? 'wait' : 'hopeless'
}

/** What becomes of a recovery that is not confident enough when the deadline comes: an error that has it, or the answer. */
export const atDeadlines = ['fail', 'give'] as const
export type AtDeadline = (typeof atDeadlines)[number]

/** What is known of a query that has no answer of its own. */
export interface Lack {
  policy: Policy
  minConfidence: number
  /**
   * `decoded`: its group was. `late`: it has waited longer than nearly all others do. `overdue`: and so long that a recovery may
   * be given. `lost`: every row that asks for it failed. `due`: its deadline has come.
   */
  moment: 'decoded' | 'late' | 'overdue' | 'lost' | 'due'
  /** Its surest recovery: undefined where there is none. */
  recovery: { confidence?: number | undefined } | undefined
  /** Whether a row that asks for it may still be answered. */
  asked: boolean
  /** Whether the group may still be decoded. */
  decodable: boolean
  /** Whether it may be asked for again, for want of an answer. */
  mayAsk: boolean
  atDeadline: AtDeadline
}

/** `give`: the recovery. `ask`: again, another worker. */
export type Verdict = 'give' | 'ask' | 'wait' | 'fail'

export function verdict(lack: Lack): Verdict {
  const { policy, minConfidence, moment, recovery, asked, decodable, mayAsk, atDeadline } = lack
  const sure = recovery !== undefined && isSure(policy, minConfidence, recovery.confidence)
  if (moment === 'late') return mayAsk && !sure ? 'ask' : 'wait' // a sure one is given when it is overdue
  if (sure) return 'give'
  if (moment === 'due') return recovery && policy !== 'retry' && atDeadline === 'give' ? 'give' : 'fail'
  if (moment === 'overdue') return mayAsk ? 'ask' : 'wait'
  if (asked || (decodable && policy === 'recover')) return 'wait'
  if (policy === 'recover' || !mayAsk) return 'fail'
  return 'ask'
}

/** Whether a recovered answer is confident enough to be given: the one question that `evaluate` asks as well. */
export function isSure(policy: Policy, minConfidence: number, confidence: number | undefined): boolean {
  return policy === 'recover' || (policy === 'auto' && (confidence ?? 0) >= minConfidence)
}
