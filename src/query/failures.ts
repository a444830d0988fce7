/** Why a query has no answer, in a sentence. */

import { ApproxiferError } from '../errors'
import { tensorsOf } from '../payload'
import { toNamed } from '../tensor'
import { type Asked, answerOf, errorOf, isLive } from './asked'
import type { Context } from './context'
import { isDeadly, recoveryOf } from './facts'
import { unsure } from './prediction'
import type { Query } from './query'

/** Workers' errors that are told of a query. */
const MOST_REASONS = 3

/** @param isDue  its deadline has come */
export function whyNot(query: Query, context: Context, isDue: boolean): ApproxiferError {
  const { caller, coding, asked, inquiry } = query
  if (inquiry.refusal && !isDue) return inquiry.refusal
  const isAsked = coding?.wasAsked || asked.some(({ attempt }) => attempt.worker)
  const recovers = caller.choices.policy === 'recover' || !asked.length
  if (isDue && !(isAsked && recovers)) return expired(query, context, textOf(query, context, isAsked === true))
  if (!isDue && !context.pool.usable) return new ApproxiferError('WORKER', context.pool.nobody)
  if (query.recovery?.isNotFinite) return new ApproxiferError('PROTOCOL', 'the recovered answer is not finite')
  if (recovers) return coding?.failure(asked) ?? tooFew(asked, [], { quorum: 1, workers: 1 })
  return allFailed(query, context)
}

function allFailed(query: Query, context: Context): ApproxiferError {
  const { asked } = query
  const { pool } = context
  const workers = new Set(asked.flatMap(({ attempt }) => attempt.worker?.name ?? [])).size
  const all = workers === pool.size ? 'all ' : ''
  const tries = asked.length > workers ? ` in ${asked.length} tries` : ''
  const what = isDeadly(query, context)
    ? `${workers} workers went down with the query, and no other is asked`
    : `${all}${workers} workers failed on the query${tries}`
  const last = asked.flatMap((each) => errorOf(each) ?? []).at(-1)
  if (!last) return new ApproxiferError('WORKER', pool.nobody)
  return new ApproxiferError('WORKER', `${what}: ${last.message}`, { ofQuery: isOfQuery(query, context) })
}

/** Whether workers that were there answered it with an error, or it took several down: another server's would fare no better. */
function isOfQuery(query: Query, context: Context): boolean {
  const failed = ({ attempt: { outcome } }: Asked) =>
    outcome?.kind === 'failed' && !outcome.lost && outcome.error.code !== 'OVERLOADED'
  return isDeadly(query, context) || (query.asked.length > 0 && query.asked.every(failed))
}

function textOf({ caller }: Query, { clock, pool }: Context, isAsked: boolean): string {
  const ms = Math.round(clock.now() - caller.since)
  return isAsked ? `no answer within ${ms} ms` : `waited ${ms} ms for workers, ${pool.free} of ${pool.size} free`
}

/** Its deadline has come; the error has what was recovered. */
function expired(query: Query, { signature: { outputs } }: Context, why: string): ApproxiferError {
  const { answer, confidence } = recoveryOf(query) ?? {}
  if (!answer) return new ApproxiferError('DEADLINE', why)
  return unsure(why, toNamed(tensorsOf(answer, outputs), outputs), confidence)
}

/**
 * Too few rows of a group were answered. Of rows for other queries only the failed workers are named: a worker's own words may tell of
 * another caller's query.
 *
 * @param own     attempts for the query
 * @param others  all other attempts of the group
 */
export function tooFew(
  own: readonly Asked[],
  others: readonly Asked[],
  { quorum, workers }: { quorum: number; workers: number },
): ApproxiferError {
  const all = [...own, ...others]
  const answers = all.filter(answerOf).length
  const text = `results: expected >= ${quorum} of ${workers}, got ${answers}, ${all.filter(isLive).length} outstanding`
  const failed = others.filter(errorOf)
  const told = failed.slice(0, MOST_REASONS).map((each) => `${each.attempt.worker?.name}: ${errorOf(each)?.code}`)
  const more = failed.length - told.length
  const parts = [text, ...own.flatMap((each) => errorOf(each)?.message ?? []), ...told]
  return new ApproxiferError('QUORUM', [...parts, ...(more > 0 ? [`and ${more} others`] : [])].join('; '))
}
