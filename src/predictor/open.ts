/** A fleet that anybody may join: what takes part in it, and what does not go with it. */

import { expected } from '../base/check'
import type { Checked } from './settings'

export { OpenReputation } from '../trust/open-reputation'

/**
 * Every answer is a worker's own, none is kept, since a lie would be given again, and a query is seen by one stranger, whatever model he has.
 *
 * @throws RangeError for options that do not go with it
 */
export function checkOpen({ scheme, memory, policy, reuse, rollout, verify }: Checked): void {
  const refuse = (field: string, what: string, got: unknown) => {
    throw new RangeError(expected(field, `${what} with verify.trust 'open'`, got))
  }
  if (scheme?.byzantine) refuse('scheme.byzantine', '0', scheme.byzantine)
  if (scheme) refuse('scheme', 'none', scheme)
  if (verify.mode !== 'every') refuse('verify.mode', "'every'", verify.mode)
  if (rollout) refuse('rollout', 'none', rollout)
  if (policy && policy !== 'retry') refuse('policy', "'retry'", policy)
  if (memory && memory.bytes !== 0) refuse('memory.bytes', '0', memory.bytes)
  if (reuse.exact || reuse.maxError !== undefined) refuse('reuse', 'none', reuse)
}
