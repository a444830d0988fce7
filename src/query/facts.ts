/** What the policy is told of a query: gathered where something has happened to it that an answer has not settled. */

import type { Policy } from '../choices'
import type { Ages } from '../layers/lateness'
import type { Priority } from '../pool/attempt'
import { type Asked, isForgivable, isLive } from './asked'
import type { Context } from './context'
import type { Facts } from './policy'
import type { Query } from './query'
import type { QueryRecovery, Urgency } from './recovery'

/** Once only, p99.9 where 5 % are stragglers is about 100 ms; with up to three 34, for .5 % of machine time. */
const MOST_HEDGES = 3

export function factsOf(query: Query, context: Context, now: number): Facts {
  const { lateness, recoveries, learning, ledger } = context
  const { coding, caller, recovery } = query
  const { giveAt, hedgeAt, slowAt, own } = paceOf(query, lateness.ages, now)
  const live = own + Number(coding?.isOnlyWay === true && coding.isDecodable)
  const lacking = 1 - live
  const { choices, dueAt } = caller
  // Each by its name: two spreads in one literal took 28 us and 11 kB.
  return {
    policy: policyOf(query, context),
    minConfidence: choices.minConfidence,
    atDeadline: choices.atDeadline,
    dueAt,
    isPaced: lateness.ages !== undefined,
    giveAt,
    hedgeAt,
    slowAt,
    live,
    lacking,
    isDisputed: false,
    recovery: ledger?.mayRecover === false ? undefined : recoveryOf(query),
    lookup: recovery?.lookup(urgencyOf(query, now)) ?? 'done',
    looksFirst: learning?.looksFirst(lateness.medianMs ?? 0) === true,
    mayHedge: mayHedge(query, context),
    mayRetry: (lacking > 0 || !live) && mayRetry(query, context),
    mayRecover: recoveries.has,
    decodable: coding?.isDecodable === true,
  }
}

/** The paper's scheme asks nobody again. Nothing is sure where the model's first answers speak against how they are read. */
function policyOf({ coding, caller }: Query, { first }: Context): Policy {
  if (coding?.isOnlyWay) return 'recover'
  const { policy } = caller.choices
  return policy === 'auto' && first?.doubt !== undefined ? 'retry' : policy
}

/** When an attempt has been at work for so long; Infinity while it is behind another one, or queued. */
function ageAt({ attempt }: Asked, ms = Number.POSITIVE_INFINITY): number {
  return Number.isNaN(attempt.startedAt) ? Number.POSITIVE_INFINITY : attempt.startedAt + attempt.factor * ms
}

/** What the ages of a query's attempts come to; `own`: how many have no outcome. While nobody knows what is late half of the time to the deadline is. */
function paceOf({ asked, caller }: Query, ages: Ages | undefined, now: number) {
  const pace = {
    giveAt: Number.POSITIVE_INFINITY,
    hedgeAt: Number.NEGATIVE_INFINITY,
    slowAt: Number.POSITIVE_INFINITY,
    own: 0,
  }
  for (const each of asked) {
    if (each.purpose === 'trial' || each.isVoid || !isLive(each)) continue
    pace.own++
    const slowAt = ageAt(each, ages?.hedgeMs ?? (caller.dueAt - each.attempt.startedAt) / 2)
    pace.giveAt = Math.min(pace.giveAt, ageAt(each, ages?.giveMs))
    pace.hedgeAt = Math.max(pace.hedgeAt, slowAt)
    if (slowAt > now) pace.slowAt = Math.min(pace.slowAt, slowAt)
  }
  return pace
}

/** Nothing else answers it; its deadline has come. */
export function urgencyOf({ asked, caller }: Query, now: number): Urgency {
  if (now >= caller.dueAt) return 2
  return asked.some(isLive) ? 0 : 1
}

/** A hedge goes before those that wait, unless it keeps them from a worker for longer together than it saves. */
export function hedgePriority({ pool, lateness }: Context): Priority {
  return pool.waiting <= (lateness.ages?.worth ?? 0) ? 'high' : 'normal'
}

/** A retry goes before those that wait, unless these are too many. */
export function retryPriority({ pool }: Context): Priority {
  return pool.isOverloaded ? 'normal' : 'high'
}

/** Whether an answer after the deadline is worth no machine's time: nobody learns from it, or others wait. */
export function teachesNobody({ coding }: Query, { learning, pool }: Context): boolean {
  return !coding && (!learning || pool.isOverloaded)
}

export function recoveryOf({ recovery }: Query): QueryRecovery | undefined {
  return recovery?.answer ? recovery : undefined
}

/** A few times, from the budget: the second worker is as often a straggler as the first. */
function mayHedge(query: Query, { hedges, pool }: Context): boolean {
  if (!hedges.has || pool.isOverloaded || query.inquiry.available <= 0) return false
  return query.asked.filter(({ purpose }) => purpose === 'hedge').length < MOST_HEDGES
}

/** As long as the fault may be its workers', and another's answer would be in time. */
function mayRetry(query: Query, context: Context): boolean {
  const { asked, coding, caller } = query
  if (query.inquiry.refusal) return false
  if (coding?.isOnlyWay || caller.choices.policy === 'recover') return false
  if (query.inquiry.available < 1 && !(context.pool.usable && mayForgive(asked))) return false
  if (isDeadly(query, context) || asked.filter(isFailed).length >= context.mostFailed) return false
  if (asked.length) query.inquiry.refusal = context.pool.tooLate(caller)
  return !query.inquiry.refusal
}

/** Whether workers that failed may be asked again, where nobody else is left: once. */
function mayForgive(asked: readonly Asked[]): boolean {
  return asked.some(isForgivable) && !asked.some(({ isForgiven }) => isForgiven)
}

/** Whether the workers that went down with a query cannot all be bad ones. */
export function isDeadly({ asked }: Pick<Query, 'asked'>, { mostLost }: Pick<Context, 'mostLost'>): boolean {
  return asked.filter(({ attempt: { outcome } }) => outcome?.kind === 'failed' && outcome.lost).length >= mostLost
}

function isFailed({ attempt: { outcome } }: Asked): boolean {
  return outcome?.kind === 'failed' && outcome.blame !== 'nobody'
}
