/** What answers queries that nobody is asked for: those that equal earlier ones, and those that a memory is confident of. Loaded where an option asks for it. */

import { ExactCache } from '../layers/exact-cache'
import { Repeats } from '../layers/savings'
import { SecondOpinion } from '../layers/second-opinion'
import { secret } from '../random'
import type { Means } from './means'
import type { RememberingOptions } from './remembering'
import { Reuse, type ReuseOptions } from './reuse'
import type { Settings } from './settings'

export type Unasked = (
  settings: Settings,
  means: Means,
  asked: Pick<ReuseOptions, 'ask' | 'replaced' | 'mended'> & Pick<RememberingOptions, 'learned'>,
) => Reuse

/** What makes it for each model. */
export async function unaskedFor(maxError: number | undefined): Promise<Unasked> {
  const Remembering = maxError === undefined ? undefined : (await import('./remembering')).Remembering
  return ({ clock, reuse, warn, choices, testing }, means, asked) => {
    const { exact, bytes } = reuse
    const { coder, lateness } = means
    const inferenceMs = () => lateness.medianMs
    const recovers = choices.policy !== 'retry'
    const { pool, trust, sampled, Vote } = means
    const opinion = new SecondOpinion({ clock, pool, trust, sampled, isProven: Vote !== undefined })
    const wrong = (): void => own.suspect()
    const remembering = {
      clock,
      means,
      core: coder.core,
      recovers,
      inferenceMs,
      forecast: means.pool.forecast,
      opinion,
      wrong,
      ...asked,
    }
    const before = Remembering && new Remembering(remembering)
    const repeats = Remembering && !exact ? new Repeats(inferenceMs) : undefined // who asks for it has it
    const kept = new ExactCache({ bytes, repeats })
    const coin = testing.coin ?? secret
    const own = new Reuse({ kept, clock, warn, before, means, opinion, inferenceMs, coin, ...asked })
    return own
  }
}
