/** How a memory begins: the first pairs decide how queries are compared. */

import type { Core } from '../core/core'
import type { Domain } from './domain'
import { Known, type Pair } from './known'
import { Similarity } from './similarity'

/** Mirror images count as alike where that lowers the error of the first pairs by this share. */
const MIRROR_GAIN = 0.01

/** Adds a copy of a pair, unless its query is there already. @returns whether it was added */
export function collect(pairs: Pair[], { query, answer, from }: Pair): boolean {
  if (pairs.some((other) => other.query.every((value, i) => value === query[i]))) return false
  pairs.push({ query: query.slice(), answer: answer.slice(), from })
  return true
}

/**
 * All that some pairs tell. In steps of a few milliseconds.
 *
 * @param deciding  how many of the answers may decide which metric it is
 */
export function* begin(
  core: Core,
  domain: Domain,
  pairs: readonly Pair[],
  deciding = pairs.length,
): Generator<void, Known> {
  const queries = pairs.map(({ query }) => query)
  const answers = pairs.slice(0, deciding).map(({ answer }) => answer)
  const similarity = yield* Similarity.learn(core, domain, queries, answers)
  const plain = yield* Known.fitted(domain, similarity, pairs)
  if (!similarity.points.mirrors) return plain.known
  similarity.mirror = true
  const mirrored = yield* Known.fitted(domain, similarity, pairs)
  similarity.mirror = mirrored.error < (1 - MIRROR_GAIN) * plain.error
  return similarity.mirror ? mirrored.known : plain.known
}
