/** What groups need beside what their queries do. */

import type { Codec } from '../codec/codec'
import type { Criterion } from '../criterion'
import type { Extras } from '../query/budget'
import type { Context } from '../query/context'

/** What queries and groups of a tenant share. */
export interface CodingContext extends Context {
  readonly codec: Codec
  readonly criterion: Criterion
  /** What copies and parities are worth. */
  readonly copies: Extras
}
