/** What answers queries that nobody is asked for: those that equal earlier ones, and those that a memory is confident of. */

import { secret } from '../random'
import type { Means } from './means'
import type { Remembering, RememberingOptions } from './remembering'
import type { Reuse, ReuseOptions } from './reuse'
import type { Settings } from './settings'

/** Loaded where an option asks for it. */
export interface UnaskedKinds {
  Reuse: typeof Reuse
  Remembering?: typeof Remembering | undefined
}

export function unaskedOf(
  { Reuse, Remembering }: UnaskedKinds,
  { clock, reuse, warn, costs, choices, testing }: Settings,
  means: Means,
  { ask, learned }: Pick<ReuseOptions, 'ask'> & Pick<RememberingOptions, 'learned'>,
): Reuse {
  const { exact, bytes, ttlMs = Number.POSITIVE_INFINITY } = reuse
  const { coder, lateness } = means
  const inferenceMs = () => costs.inference ?? lateness.medianMs
  const recovers = choices.policy !== 'retry'
  const { forecast } = means.pool
  const before =
    Remembering && new Remembering({ clock, means, core: coder.core, recovers, learned, inferenceMs, forecast })
  const repeats = exact ? undefined : before?.repeats // who asks for it has it
  return new Reuse({ bytes, ttlMs, clock, warn, ask, before, repeats, means, coin: testing.coin ?? secret })
}
