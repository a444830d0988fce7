/**
 * What all fleets of remote workers share, whatever the transport: workers join, leave, are lost and come back, and all have one model. A
 * transport (HTTP, machines) finds servers and makes a worker of each, and reports them here:
 *
 *   fleet.model = model              the model that all workers must have; the transport chooses the first one
 *   fleet.join(worker)               hands a usable worker to the predictor, which closes it later
 *   fleet.lost, well, left(name)     it cannot be reached; it can be reached again; it was closed
 *   fleet.leave(name, 'drain')       the predictor closes it: after its open calls, or ('remove') at once
 *   fleet.succeed(model)             the fleet's model is replaced by this one (`model-votes.ts`)
 *   fleet.isApart                    models are served separately: workers with any model join
 *   fleet.changes.end(error)         the fleet has ended
 *
 * The predictor reads `fleet.changes`.
 */

import type { Clock } from '../../base/clock'
import type { Warn } from '../../base/notices'
import type { Change, ModelWorker, WorkerChanges } from '../worker'
import { Changes, type ChangesOptions } from './changes'

/** Limit of workers in a fleet, and of workers remembered as lost, since a malicious member can announce any number. */
export const MOST_WORKERS = 10_000
/** A lost worker is reported as back when it was reachable for this long: some connections come and go many times a second. */
const STEADY_MS = 1000

/** Warns when workers are lost and when they are back. */
export class LossReports {
  /** For each lost worker, the text of its warning, and a function that cancels the report of its return. */
  readonly #reported = new Map<string, { text: string; cancel?: () => void }>()

  /** @param warn  must not throw */
  constructor(
    private readonly clock: Clock,
    private readonly warn: Warn,
  ) {}

  /** Reports a lost worker, once until it is back. @param isNews  report it again if the text has changed */
  lost(name: string, text: string, isNews = false): void {
    const before = this.#reported.get(name)
    this.left(name)
    if (before && !(isNews && before.text !== text)) return
    this.#reported.set(name, { text })
    const [oldest] = this.#reported.keys()
    if (this.#reported.size > MOST_WORKERS) this.#forget(oldest)
    this.warn(text, name)
  }

  /** Reports that a lost worker is back, if it stays reachable for STEADY_MS. */
  well(name: string): void {
    const reported = this.#reported.get(name)
    if (!reported || reported.cancel) return
    const report = () => {
      this.#forget(name)
      this.warn(`${name} is back`, name)
    }
    reported.cancel = this.clock.after(STEADY_MS, report, true)
  }

  /** Cancels the report that a worker is back. */
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

interface RemoteFleetOptions extends ChangesOptions, Pick<WorkerChanges, 'most' | 'alongside' | 'sleep'> {
  /** Called when models are to be served separately: workers with any model may join. */
  onApart?: () => void
  warn: Warn
  clock: Clock
}

/** @typeParam M identifies models, for instance a fingerprint */
export class RemoteFleet<M> extends LossReports {
  readonly changes: Changes<Change> & WorkerChanges
  /** The model that all workers must have; if models are served separately, the first worker's. */
  model: M | undefined
  isApart = false
  /** Number of machines that may lie; undefined if none is expected to. */
  liars: number | undefined

  constructor({ clock, warn, onApart, most, alongside, sleep, ...options }: RemoteFleetOptions) {
    super(clock, warn)
    const apart = () => {
      this.isApart = true
      onApart?.()
    }
    const doubt = (liars: number) => {
      this.liars = liars
    }
    this.changes = Object.assign(new Changes<Change>(options), { most, alongside, apart, doubt, sleep })
  }

  join(worker: ModelWorker): void {
    this.changes.push({ add: worker })
    this.well(worker.name)
  }

  leave(name: string, how: 'drain' | 'remove'): void {
    this.left(name)
    this.changes.push(how === 'drain' ? { drain: name } : { remove: name })
  }

  /**
   * Replaces the fleet's model, unless `next` is undefined or models are served separately. @returns the new model; undefined if nothing
   * changes
   */
  succeed(next: M | undefined): M | undefined {
    if (this.model === undefined || this.isApart || next === undefined) return undefined
    this.model = next
    return next
  }
}
