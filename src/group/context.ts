/** What groups need beside what their queries do. */

import type { Codec } from '../codec/codec'
import type { Criterion } from '../criterion'
import { type Asked, answerOf, workerOf } from '../query/asked'
import type { Extras } from '../query/budget'
import type { Context } from '../query/context'

/** What queries and groups of a tenant share. */
export interface CodingContext extends Context {
  readonly codec: Codec
  readonly criterion: Criterion
  /** What copies and parities are worth. */
  readonly copies: Extras
}

/** What is learned of a group, unless some of its answers by then are a stranger's that nothing proves: they may be lies. */
export function* provenOnly(
  { sampled }: CodingContext,
  group: { readonly all: readonly Asked[] },
  lesson: Generator<void>,
) {
  const isUnproven = (asked: Asked) => answerOf(asked) && sampled?.worth(workerOf(asked)) !== 'exact'
  if (!sampled || !group.all.some(isUnproven)) yield* lesson
}
