/** What the policy is told of a query: gathered where something has happened to it that an answer has not settled. */

import { type Asked, answerOf, isForgivable, isLive } from './asked'
import type { Context } from './context'
import type { Facts } from './policy'
import type { Query } from './query'
import type { QueryRecovery, Urgency } from './recovery'

/** Timers may fire this much too early. */
const EARLY_MS = 1

export function factsOf(query: Query, context: Context, now: number): Facts {
  const { lateness, recoveries, learning } = context
  const { asked, coding, vote, caller, recovery } = query
  const { lateMs, medianMs } = lateness
  const { factor, isSlow, slowAt, own } = paceOf(asked, lateMs, now)
  const live = own + Number(coding?.isOnlyWay === true && coding.isDecodable)
  const lacking = vote ? vote.lacking(asked, (each) => slowAtOf(each, lateMs) < now + EARLY_MS) : 1 - live
  return {
    ...caller.choices,
    ...(coding?.isOnlyWay && { policy: 'recover' as const }), // the paper's scheme asks nobody again
    since: query.caller.since,
    dueAt: query.caller.dueAt,
    lateMs,
    medianMs,
    factor,
    isSlow,
    slowAt,
    live,
    lacking,
    isDisputed: vote?.isDisputed === true,
    recovery: recoveryOf(query),
    lookup: recovery.lookup(urgencyOf(query, now)),
    looksFirst: learning?.looksFirst(medianMs ?? 0) === true,
    mayHedge: mayHedge(query, context),
    mayRetry: (lacking > 0 || !live) && mayRetry(query, context),
    mayRecover: recoveries.has,
    decodable: coding?.isDecodable === true,
  }
}

/** When an attempt has run for longer than nearly all do; never while it is behind another. */
function slowAtOf({ attempt }: Asked, lateMs = Number.POSITIVE_INFINITY): number {
  return attempt.startedAt + attempt.factor * lateMs
}

/** How far a query's attempts are; `own`: those without an outcome. */
function paceOf(asked: readonly Asked[], lateMs: number | undefined, now: number) {
  const pace = { factor: 1, isSlow: false, slowAt: Number.POSITIVE_INFINITY, own: 0 }
  for (const each of asked) {
    if (each.purpose === 'trial' || !isLive(each)) continue
    pace.own++
    if (each.attempt.phase !== 'running') continue
    pace.factor = Math.max(pace.factor, each.attempt.factor)
    const at = slowAtOf(each, lateMs)
    if (at < now + EARLY_MS) pace.isSlow = true
    else if (at < pace.slowAt) pace.slowAt = at
  }
  return pace
}

/** Nothing else answers it; its deadline has come. */
export function urgencyOf({ asked, caller }: Query, now: number): Urgency {
  if (now >= caller.dueAt) return 2
  return asked.some(isLive) ? 0 : 1
}

/** A recovery that a worker's answer contradicts is none. */
export function recoveryOf({ recovery, vote, asked }: Query): QueryRecovery | undefined {
  if (!recovery.answer) return undefined
  const answers = vote ? vote.believed(asked) : []
  return answers.some((each) => recovery.isContradictedBy(answerOf(each) as Float32Array)) ? undefined : recovery
}

/** Once, from the budget; not while its attempt is queued, since a second one would be as well. */
function mayHedge(query: Query, { hedges }: Context): boolean {
  return hedges.has && !query.asked.some(({ purpose }) => purpose === 'hedge') && query.inquiry.available > 0
}

/** As long as the fault may be its workers'. */
function mayRetry(query: Query, context: Context): boolean {
  const { asked, vote, coding, caller } = query
  if (coding?.isOnlyWay || (caller.choices.policy === 'recover' && !vote)) return false
  if (query.inquiry.available < 1 && !(context.pool.usable && mayForgive(asked))) return false
  return !isDeadly(query, context) && asked.filter(isFailed).length < context.mostFailed
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
