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

export class RefusedWorkers extends Map<string, RefusedWorker> {
  /** How many there are of each machine. */
  readonly #machines = new Map<string, number>()
  /** Of the fleet's first worker: a predictor's is fixed, and a model with another never takes its model's place. */
  signature: string | undefined

  /** @returns whether none of its machine was refused before */
  hear(beat: Heartbeat, peer: Peer | undefined, heardAt: number): boolean {
    const { name } = beat
    const before = this.get(name)
    if (before) this.#count(before.beat, -1)
    else if (this.size >= MOST_WORKERS) return false
    const fits = JSON.stringify(beat.signature) === this.signature
    this.set(name, { beat, peer, heardAt, fits })
    const count = this.#count(beat, 1)
    return !before && count === 1
  }

  override delete(name: string): boolean {
    const refused = this.get(name)
    if (refused) this.#count(refused.beat, -1)
    return super.delete(name)
  }

  #count({ identity }: Heartbeat, change: 1 | -1): number {
    const count = (this.#machines.get(identity) ?? 0) + change
    if (count) this.#machines.set(identity, count)
    else this.#machines.delete(identity)
    return count
  }
}
