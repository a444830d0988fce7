/** What a group sends beside its queries when it closes: parities of those that may get lost. */

import type { Codec } from '../codec/codec'
import { sendsParities } from '../layers/parity'
import type { Context } from '../query/context'
import type { Query } from '../query/query'

/** What queries and groups of a tenant share. */
export interface CodingContext extends Context {
  readonly codec: Codec
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
  { pool, codec, learning }: CodingContext,
): readonly number[] {
  const { queries, workers } = codec.schemeFor(members.length)
  const isPromised = missing.some((query) => members[query].caller.choices.policy === 'recover')
  const isWarm = learning?.experience.memory === 'warm'
  if (!isPromised && pool.utilisation > FULL) return []
  return sendsParities(isPromised, missing.length, workers - queries, isWarm) ? missing : []
}
