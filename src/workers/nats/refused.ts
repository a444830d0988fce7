/** Workers with another model than their fleet's: where these are more, it is theirs one day. */

import { MOST_WORKERS } from '../remote/fleet'
import type { Heartbeat } from './heartbeat'
import type { Peer } from './wire'

interface RefusedWorker {
  /** What it said last, and when. */
  beat: Heartbeat
  peer: Peer | undefined
  heardAt: number
  /** Whether a predictor could go on with its model. */
  fits: boolean
}

export class Refused extends Map<string, RefusedWorker> {
  /** Of the fleet's first worker: a predictor's is fixed, and a model with another never takes its model's place. */
  signature: string | undefined

  /** @returns whether it is refused for the first time */
  hear(beat: Heartbeat, peer: Peer | undefined, heardAt: number): boolean {
    const isNews = !this.has(beat.name)
    const fits = JSON.stringify(beat.signature) === this.signature // told now, since all are looked through at any heartbeat
    if (!isNews || this.size < MOST_WORKERS) this.set(beat.name, { beat, peer, heardAt, fits })
    return isNews
  }

  /** Those that were not heard since are forgotten. */
  sweep(since: number): void {
    for (const [name, { heardAt }] of this) if (heardAt < since) this.delete(name)
  }
}
