/** The surest of what was decoded and what is remembered. */

import type { Recovered } from '../base/prediction'
import { allFinite } from '../base/tensor'
import type { Confidence } from './confidence'

/** What a query can get in the place of its own answer. */
export interface BestRecovery {
  /** Of the highest confidence. */
  readonly recovery: Recovered
  readonly confidence: number | undefined
  /** All that it was chosen from. */
  readonly all: readonly Recovered[]
}

/**
 * The best of what was decoded and what is remembered; only of the latter, if there is any and no parity has the query in it.
 *
 * @param mixed       whether a parity has the query in it
 * @param confidence  without it the first is taken
 * @returns undefined where nothing finite was recovered
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
