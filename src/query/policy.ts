/** What a query does now. Pure: all that counts is in the arguments. */

import { type AtDeadline, isConfident, type Policy } from '../choices'

/** What is known of a query without a good answer. */
export interface Facts {
  readonly policy: Policy
  readonly minConfidence: number
  readonly atDeadline: AtDeadline
  /** When it must have an answer. */
  readonly dueAt: number
  /** Whether it is known how long answers take. */
  readonly isPaced: boolean
  /** From when a recovery may be given: an attempt has been at work for long enough; Infinity while none is at work. */
  readonly giveAt: number
  /** From when another worker may be asked: the newest attempt has been at work for long enough; Infinity while one is queued. */
  readonly hedgeAt: number
  /** The next of these times of any attempt. */
  readonly slowAt: number
  /** Attempts without an outcome; how many answers beyond theirs it takes; whether the answers that came disagree. */
  readonly live: number
  readonly lacking: number
  readonly isDisputed: boolean
  /** The best recovery so far. */
  readonly recovery: { readonly confidence?: number | undefined } | undefined
  /** Whether the memory was asked. */
  readonly lookup: 'none' | 'pending' | 'done'
  /** Whether it is asked before a hedge is sent: it is quick, and often confident. */
  readonly looksFirst: boolean
  /** Whether a second worker may be asked since the first is late; another since one failed; a recovery be given since it is late. */
  readonly mayHedge: boolean
  readonly mayRetry: boolean
  readonly mayRecover: boolean
  /** Whether its group may be decoded yet. */
  readonly decodable: boolean
}

/**
 * `recover`: give the recovery. `look up`: ask the memory, and decode the group. `hedge`, `retry`: ask another worker, since one is
 * late, or since an answer is lacking. `fail`: an error.
 */
export type Action = 'recover' | 'look up' | 'hedge' | 'retry' | 'fail' | 'wait'

export interface Decision {
  readonly action: Action
  /** When to ask again, beside at its deadline; Infinity: then is soon enough. */
  readonly again?: number
}

const WAIT: Decision = { action: 'wait' }

export function next(facts: Facts, now: number): Decision {
  const { dueAt, isPaced, live, lacking, mayRetry } = facts
  if (now >= dueAt) return atDeadline(facts)
  if (!live) return unasked(facts)
  if (lacking > 0 && mayRetry) return { action: 'retry' }
  return isPaced ? underWay(facts, now) : unpaced(facts, now)
}

/** Whether it is known what its recovery is worth: it was looked up, or need not be. */
function lookUp({ policy, lookup }: Facts): Decision | undefined {
  if (policy === 'retry' || lookup === 'done') return undefined
  return lookup === 'none' ? { action: 'look up' } : WAIT
}

function isRecovered({ recovery, policy, minConfidence }: Facts): boolean {
  return recovery !== undefined && isConfident(policy, minConfidence, recovery.confidence)
}

function atDeadline(facts: Facts): Decision {
  const { recovery, policy, atDeadline } = facts
  const given = isRecovered(facts) || (recovery && policy !== 'retry' && atDeadline === 'give')
  return lookUp(facts) ?? { action: given ? 'recover' : 'fail' }
}

/** No worker is asked any more. */
function unasked(facts: Facts): Decision {
  const { mayRetry, policy, decodable } = facts
  const first = lookUp(facts)
  if (first) return first
  if (isRecovered(facts)) return { action: 'recover' }
  if (decodable && policy === 'recover') return WAIT
  return { action: mayRetry ? 'retry' : 'fail' }
}

/** Nobody can say yet what is late: a recovery is given as soon as there is one, and another worker asked when half of the time has passed. */
function unpaced(facts: Facts, now: number): Decision {
  const { recovery, mayHedge, hedgeAt } = facts
  const looks = recovery && lookUp(facts)
  if (looks) return looks
  if (isRecovered(facts)) return { action: 'recover' }
  if (!mayHedge) return WAIT
  return now >= hedgeAt ? { action: 'hedge' } : { action: 'wait', again: hedgeAt }
}

/** Workers are at it: whether they have been for long enough. */
function underWay(facts: Facts, now: number): Decision {
  const { policy, giveAt, hedgeAt, slowAt, mayRecover, mayHedge, looksFirst, isDisputed } = facts
  const isOverdue = policy !== 'retry' && now >= giveAt
  const hedges = mayHedge && now >= hedgeAt
  const looks = mayRecover && (isOverdue || (hedges && looksFirst)) ? lookUp(facts) : undefined
  if (looks) return looks
  const recovered = mayRecover && isRecovered(facts)
  if (recovered && isOverdue) return { action: 'recover' }
  if (hedges && !recovered) return { action: 'hedge' }
  const times = [
    policy === 'retry' ? Number.POSITIVE_INFINITY : giveAt,
    hedgeAt,
    isDisputed ? slowAt : Number.POSITIVE_INFINITY,
  ]
  return { action: 'wait', again: Math.min(...times.filter((at) => at > now)) }
}
