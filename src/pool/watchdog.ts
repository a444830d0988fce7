/** Notices a worker that hangs: it is silent for too long after it began with a batch. */

import type { Clock } from '../base/clock'
import type { WorkerSlot } from './member'

/** Before a worker that seems to hang is restarted, replies that wait to be read get this time: this thread may have stalled. */
const GRACE_MS = 10

export class Watchdog {
  constructor(
    private readonly clock: Clock,
    private readonly hangMs: number,
    private readonly hung: (slot: WorkerSlot, why: string) => void,
  ) {}

  /** One timer for each slot, set again only when it fires: batches are many, hangs are few. */
  watch(slot: WorkerSlot): void {
    slot.unwatch = this.clock.after(this.hangMs, () => this.#check(slot), true)
  }

  #check(slot: WorkerSlot): void {
    slot.unwatch = undefined
    const { batch } = slot
    if (!batch || batch.phase === 'silent') return
    const overMs = this.clock.now() - batch.startedAt - this.hangMs
    if (overMs >= 0 && (overMs <= GRACE_MS || slot.isDoubted)) return this.hung(slot, `hung for ${this.hangMs} ms`)
    slot.isDoubted = overMs > 0 // this thread stalled: replies that wait are read first
    slot.unwatch = this.clock.after(slot.isDoubted ? GRACE_MS : Math.ceil(-overMs), () => this.#check(slot), true)
  }
}
