/** Workers with another model than their fleet's, which may be theirs one day (`remote/model-votes.ts`). */

import { MOST_WORKERS } from '../remote/fleet'
import type { Heartbeat } from './heartbeat'
import type { Peer } from './worker'

interface RefusedWorker {
  /** What it said last, and when. */
  beat: Heartbeat
  peer: Peer | undefined
  heardAt: number
  /** Whether a predictor could go on with its model. */
  fits: boolean
}

/** By name. */
export class RefusedWorkers extends Map<string, RefusedWorker> {
  /** Of the fleet's first worker: a predictor's is fixed, and a model with another never takes its model's place. */
  signature: string | undefined

  /** @returns whether none of its machine was refused before */
  hear(beat: Heartbeat, peer: Peer | undefined, heardAt: number): boolean {
    const { name, identity } = beat
    const isNew = !this.has(name)
    if (isNew && this.size >= MOST_WORKERS) return false
    const isNews = isNew && ![...this.values()].some((refused) => refused.beat.identity === identity)
    this.set(name, { beat, peer, heardAt, fits: JSON.stringify(beat.signature) === this.signature })
    return isNews
  }
}
