/** Chooses between recoveries from a group and from the memory, by confidence. */

import type { Recovered } from '../base/prediction'
import { allFinite } from '../base/tensor'
import type { Confidence } from './confidence'

export interface BestRecovery {
  /** The recovery of the highest confidence. */
  readonly recovery: Recovered
  readonly confidence: number | undefined
  /** All finite recoveries. */
  readonly all: readonly Recovered[]
}

/**
 * The best recovery of a query. If no parity contains the query, a decoded value says little about it, and only the memory's recovery counts.
 *
 * @param mixed       whether a parity contains the query
 * @param confidence  default: the first recovery is the best
 * @returns undefined if there is no finite recovery
 */
export function bestRecovery(
  decoded: readonly Recovered[],
  remembered: Omit<Recovered, 'missing'> | undefined,
  { mixed, missing }: { mixed: boolean; missing: number },
  confidence: Pick<Confidence, 'best'> | undefined,
): BestRecovery | undefined {
  const recovered = remembered ? [...(mixed ? decoded : []), { ...remembered, missing }] : decoded
  const all = recovered.filter(({ answer }) => allFinite(answer))
  if (!all.length) return undefined
  return { all, ...(confidence?.best(all) ?? { recovery: all[0], confidence: undefined }) }
}
