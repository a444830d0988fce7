/**
 * What every fleet of remote workers is, whatever carries its rows: workers join and leave, are lost and come back, and all have one
 * model. A transport (HTTP, NATS) finds servers, makes a worker of each and knows how each stands; it tells that here:
 *
 *   fleet.model = model              what all workers must have; the transport settles the first one
 *   fleet.join(worker)               it can be reached and has that model: the predictor gets it, and closes it one day
 *   fleet.lost(name, warning)        it cannot be reached: warns once, until it is back
 *   fleet.well(name)                 it can be reached: reported as back if it was lost and is not lost again within a second
 *   fleet.leave(name, 'drain')       the predictor is to close it: when its calls have ended, or ('remove') at once
 *   fleet.left(name)                 its worker is closed
 *   fleet.succeed(sightings)         where no worker that is there has the fleet's model any more: the model that it goes on with
 *   fleet.end(error)                 nothing more will come, or the fleet cannot be used
 *
 * `fleet.changes` is what the predictor reads.
 */

import type { Clock } from '../../clock'
import type { Warn } from '../../notices'
import type { Change, ModelWorker } from '../worker'
import { Changes, type ChangesOptions } from './changes'
import { LossReports } from './loss-reports'
import { type Sighting, successor } from './succession'

/** Workers that a fleet may have: whoever may announce workers can invent any number. */
export const MOST_WORKERS = 10_000

export interface FleetOptions<M> extends ChangesOptions {
  isSame: (a: M, b: M) => boolean
  /** Must not throw. */
  warn: Warn
  clock: Clock
}

/** @typeParam M  what tells models apart, such as a fingerprint */
export class RemoteFleet<M> {
  readonly changes: Changes<Change>
  readonly isSame: (a: M, b: M) => boolean
  model: M | undefined
  readonly #losses: LossReports

  constructor(options: FleetOptions<M>) {
    this.changes = new Changes(options)
    this.isSame = options.isSame
    this.#losses = new LossReports(options.clock, options.warn)
  }

  join(worker: ModelWorker): void {
    this.changes.push({ add: worker })
    this.#losses.well(worker.name)
  }

  /** @param isNews  warns also where it was lost already with another warning */
  lost(name: string, warning: string, isNews = false): void {
    this.#losses.lost(name, warning, isNews)
  }

  well(name: string): void {
    this.#losses.well(name)
  }

  leave(name: string, how: 'drain' | 'remove'): void {
    this.#losses.left(name)
    this.changes.push(how === 'drain' ? { drain: name } : { remove: name })
  }

  left(name: string): void {
    this.#losses.left(name)
  }

  /** @param seen  what is known of each worker that counts. @returns what is `model` from then on; undefined while it stays as it is */
  succeed(seen: Iterable<Sighting<M>>): M | undefined {
    const next = this.model === undefined ? undefined : successor(this.model, seen, this.isSame)
    if (next !== undefined) this.model = next
    return next
  }

  end(error?: unknown): void {
    this.changes.end(error)
  }
}
