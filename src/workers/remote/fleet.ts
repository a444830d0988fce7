/**
 * What every fleet of remote workers is, whatever carries its rows: workers join and leave, are lost and come back, and all have one
 * model. A transport (HTTP, NATS) finds servers, makes a worker of each and knows how each stands; it tells that here:
 *
 *   fleet.join(worker)                it can be reached and has the fleet's model: the predictor gets it, and closes it one day
 *   fleet.losses.lost(name, warning)  it cannot be reached: warns once, until it is back
 *   fleet.losses.well(name)           it can be reached: reported as back if it was lost and is not lost again within a second
 *   fleet.losses.left(name)           it is closed
 *   fleet.leave(name, 'drain')        the predictor is to close it: when its calls have ended, or ('remove') at once
 *   fleet.successor(sightings)        the model to go on with, where no worker that is there has the fleet's any more
 *   fleet.model = model               what all workers must have from here on; undefined until the transport knows
 *   fleet.changes.end(error)          nothing more will come, or the fleet cannot be used
 *
 * `fleet.changes` is what the predictor reads.
 */

import type { Clock } from '../../clock'
import type { Change, ModelWorker } from '../worker'
import { Changes, type ChangesOptions } from './changes'
import { LossReports } from './loss-reports'
import { type Sighting, successor } from './succession'

/** Workers that a fleet may have: whoever may announce workers can invent any number. */
export const MOST_WORKERS = 10_000

export interface FleetOptions<M> extends ChangesOptions {
  isSame: (a: M, b: M) => boolean
  /** Must not throw. */
  warn: (text: string) => void
  clock: Clock
}

/** @typeParam M  what tells models apart, such as a fingerprint */
export class RemoteFleet<M> {
  readonly changes: Changes<Change>
  readonly losses: LossReports
  readonly isSame: (a: M, b: M) => boolean
  model: M | undefined

  constructor(options: FleetOptions<M>) {
    this.changes = new Changes(options)
    this.losses = new LossReports(options.clock, options.warn)
    this.isSame = options.isSame
  }

  join(worker: ModelWorker): void {
    this.changes.push({ add: worker })
    this.losses.well(worker.name)
  }

  leave(name: string, how: 'drain' | 'remove'): void {
    this.losses.left(name)
    this.changes.push(how === 'drain' ? { drain: name } : { remove: name })
  }

  /** @param seen  what is known of each worker that counts */
  successor(seen: Iterable<Sighting<M>>): M | undefined {
    return this.model === undefined ? undefined : successor(this.model, seen, this.isSame)
  }
}
