/** Workers that were refused because their model is not the fleet's. They join if their model becomes the fleet's (`remote/model-votes.ts`). */

import { MOST_WORKERS } from '../remote/fleet'
import type { Heartbeat } from './heartbeat'
import type { Peer } from './worker'

interface RefusedWorker {
  /** The worker's last heartbeat, and when it came. */
  beat: Heartbeat
  peer: Peer | undefined
  lastSeenAt: number
  /** Whether its model has the predictor's signature. */
  fits: boolean
}

/** Refused workers by name. */
export class RefusedWorkers extends Map<string, RefusedWorker> {
  /** Signature of the fleet's first worker, as JSON. A predictor's signature is fixed: a model with another one never replaces the fleet's. */
  signature: string | undefined

  /** @returns true if this is the first refused worker of its machine */
  hear(beat: Heartbeat, peer: Peer | undefined, heardAt: number): boolean {
    const { name, identity } = beat
    const isNew = !this.has(name)
    if (isNew && this.size >= MOST_WORKERS) return false
    const isNews = isNew && ![...this.values()].some((refused) => refused.beat.identity === identity)
    this.set(name, { beat, peer, lastSeenAt: heardAt, fits: JSON.stringify(beat.signature) === this.signature })
    return isNews
  }
}
