/** Open fleets, which anybody may join: the parts that they need, and the options that do not go with them. */

import { expected } from '../base/check'
import type { Checked } from './settings'

export { OpenReputation } from '../trust/open-reputation'

/**
 * In an open fleet every answer is a worker's own. None is cached, since a lie would be given again, and one untrusted worker sees a query at most.
 *
 * @throws RangeError for options that contradict this
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
