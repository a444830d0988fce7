/** Workers with another model than their fleet's: where these are more, it is theirs one day. */

import { MOST_WORKERS } from '../remote/fleet'
import type { Heartbeat } from './heartbeat'
import type { Verify } from './signature'

interface RefusedWorker {
  /** What it said last, and when. */
  beat: Heartbeat
  verify: Verify | undefined
  heardAt: number
  /** Whether a predictor could go on with its model. */
  fits: boolean
}

export class Refused {
  /** Of the fleet's first worker: a predictor's is fixed, and a model with another never takes its model's place. */
  signature: string | undefined
  readonly #workers = new Map<string, RefusedWorker>()

  /** @returns whether it is refused for the first time */
  hear(beat: Heartbeat, verify: Verify | undefined, heardAt: number): boolean {
    const isNews = !this.#workers.has(beat.name)
    const fits = JSON.stringify(beat.signature) === this.signature // told now, since all are looked through at any heartbeat
    if (!isNews || this.#workers.size < MOST_WORKERS) this.#workers.set(beat.name, { beat, verify, heardAt, fits })
    return isNews
  }

  of(name: string): RefusedWorker | undefined {
    return this.#workers.get(name)
  }

  get all(): Iterable<RefusedWorker> {
    return this.#workers.values()
  }

  delete(name: string): void {
    this.#workers.delete(name)
  }

  /** Those that were not heard since are forgotten. */
  sweep(since: number): void {
    for (const [name, { heardAt }] of this.#workers) if (heardAt < since) this.#workers.delete(name)
  }
}
