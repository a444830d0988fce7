/** What a group sends beside its queries when it closes: parities or copies of those that may get lost, where that is worth it. */

import type { Codec } from '../codec/codec'
import type { Criterion } from '../criterion'
import type { Extras } from '../query/budget'
import type { Context } from '../query/context'
import type { Query } from '../query/query'

/** What queries and groups of a tenant share. */
export interface CodingContext extends Context {
  readonly codec: Codec
  readonly criterion: Criterion
  /** What copies and parities are worth. */
  readonly copies: Extras
}

/** Share of the workers at work beyond which parities cost others more than they give. */
const FULL = 0.85

/**
 * @param missing  queries without an answer that may be recovered: numbers
 * @returns those to mix: none where it is not worth it
 */
export function toMix(
  members: readonly Query[],
  missing: readonly number[],
  context: CodingContext,
): readonly number[] {
  const { pool, copies, codec } = context
  const { queries, workers } = codec.schemeFor(members.length)
  if (!missing.length || workers === queries) return []
  // Callers that only recover were promised an answer if S are lost; others ask again.
  const isPromised = missing.some((query) => members[query].caller.choices.policy === 'recover')
  if (!isPromised && (pool.utilisation > FULL || !copies.worthIt)) return []
  return leastConfident(members, missing, workers - queries, context) ?? missing
}

/** The queries that the memory knows least of, where there are more than can be copied: a copy of one is worth more than a parity of all. */
function leastConfident(
  members: readonly Query[],
  missing: readonly number[],
  count: number,
  { learning, lateness }: CodingContext,
): number[] | undefined {
  if (missing.length <= count) return undefined
  const vectors = missing.map((query) => members[query].payload.vector)
  const predicted = learning?.foresee(vectors, lateness.medianMs ?? Number.POSITIVE_INFINITY)
  predicted?.forEach((recollection, i) => {
    members[missing[i]].recovery?.remembered(recollection)
  })
  return predicted && learning?.experience.confidence.least(predicted, count)?.map((at) => missing[at])
}
