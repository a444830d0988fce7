/**
 * What every fleet of remote workers is, whatever carries its rows: workers join and leave, are lost and come back, and all have one
 * model. A transport (HTTP, machines) finds servers, makes a worker of each and knows how each stands; it tells that here:
 *
 *   fleet.model = model              what all workers must have; the transport settles the first one
 *   fleet.join(worker)               it can be reached and has that model: the predictor gets it, and closes it one day
 *   fleet.lost, well, left(name)     it cannot be reached; it can; its worker is closed
 *   fleet.leave(name, 'drain')       the predictor is to close it: when its calls have ended, or ('remove') at once
 *   fleet.succeed(model)             more machines have that (`model-votes.ts`), and the fleet goes on with it
 *   fleet.isApart                    workers with other models join as well, and none takes the others' place
 *   fleet.changes.end(error)         nothing more will come, or the fleet cannot be used
 *
 * `fleet.changes` is what the predictor reads.
 */

import type { Clock } from '../../base/clock'
import type { Warn } from '../../base/notices'
import type { Change, ModelWorker, WorkerChanges } from '../worker'
import { Changes, type ChangesOptions } from './changes'

/** Workers that a fleet may have, and that are remembered as lost: a member that may announce workers can invent any number. */
export const MOST_WORKERS = 10_000
/** How long a lost worker has to be well before it is reported as back: some come and go many times a second. */
const STEADY_MS = 1000

/** Warnings of workers that are lost and come back. */
export class LossReports {
  /** By worker: what was said of its loss, and what cancels the report that it is back. */
  readonly #reported = new Map<string, { text: string; cancel?: () => void }>()

  /** @param warn  must not throw */
  constructor(
    private readonly clock: Clock,
    private readonly warn: Warn,
  ) {}

  /** A worker is lost: reported once, until it is back. @param isNews  also where it was reported with another text */
  lost(name: string, text: string, isNews = false): void {
    const before = this.#reported.get(name)
    this.left(name)
    if (before && !(isNews && before.text !== text)) return
    this.#reported.set(name, { text })
    const [oldest] = this.#reported.keys()
    if (this.#reported.size > MOST_WORKERS) this.#forget(oldest)
    this.warn(text)
  }

  /** A worker is well: reported as back, if it was lost and is not lost again meanwhile. */
  well(name: string): void {
    const reported = this.#reported.get(name)
    if (!reported || reported.cancel) return
    const report = () => {
      this.#forget(name)
      this.warn(`${name} is back`)
    }
    reported.cancel = this.clock.after(STEADY_MS, report, true)
  }

  /** A worker is not there any more, for whatever reason: it is not reported as back until it is well again. */
  left(name: string): void {
    const reported = this.#reported.get(name)
    reported?.cancel?.()
    if (reported) this.#reported.set(name, { text: reported.text })
  }

  #forget(name: string): void {
    this.left(name)
    this.#reported.delete(name)
  }
}

interface RemoteFleetOptions extends ChangesOptions, Pick<WorkerChanges, 'most' | 'alongside'> {
  /** From now on workers join with whatever model they have. */
  onApart?: () => void
  warn: Warn
  clock: Clock
}

/** @typeParam M  what tells models apart, for instance a fingerprint */
export class RemoteFleet<M> extends LossReports {
  readonly changes: Changes<Change> & WorkerChanges
  /** The one that all must have; where models are kept apart the first one's. */
  model: M | undefined
  isApart = false
  /** Machines that may lie; undefined: the reader doubts nobody. */
  liars: number | undefined

  constructor({ clock, warn, onApart, most, alongside, ...options }: RemoteFleetOptions) {
    super(clock, warn)
    const apart = () => {
      this.isApart = true
      onApart?.()
    }
    const doubt = (liars: number) => {
      this.liars = liars
    }
    this.changes = Object.assign(new Changes<Change>(options), { most, alongside, apart, doubt })
  }

  join(worker: ModelWorker): void {
    this.changes.push({ add: worker })
    this.well(worker.name)
  }

  leave(name: string, how: 'drain' | 'remove'): void {
    this.left(name)
    this.changes.push(how === 'drain' ? { drain: name } : { remove: name })
  }

  /** @param next  the model of more machines. @returns what is `model` from then on; undefined while it stays as it is */
  succeed(next: M | undefined): M | undefined {
    if (this.model === undefined || this.isApart || next === undefined) return undefined
    this.model = next
    return next
  }
}
