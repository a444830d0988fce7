/** What answers queries that nobody is asked for: those that equal earlier ones, and those that a memory is confident of. Loaded where an option asks for it. */

import { secret } from '../random'
import { KeptAnswers } from './kept-answers'
import type { Means } from './means'
import type { RememberingOptions } from './remembering'
import { Reuse, type ReuseOptions } from './reuse'
import { SecondOpinion } from './second-opinion'
import type { Settings } from './settings'
import { Repeats } from './worth'

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
    const { forecast } = means.pool
    const opinion = new SecondOpinion({ clock, means })
    const wrong = (): void => own.suspect()
    const remembering = { clock, means, core: coder.core, recovers, inferenceMs, forecast, opinion, wrong, ...asked }
    const before = Remembering && new Remembering(remembering)
    const repeats = Remembering && !exact ? new Repeats(inferenceMs) : undefined // who asks for it has it
    const kept = new KeptAnswers({ bytes, repeats })
    const coin = testing.coin ?? secret
    const own = new Reuse({ kept, clock, warn, before, means, opinion, inferenceMs, coin, ...asked })
    return own
  }
}
