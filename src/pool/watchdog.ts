/**
 * Notices a worker that hangs: it is silent for too long after it began with a batch. And notices a standstill of this process, which says nothing
 * of its workers: a process that was stopped, a page that was frozen, a laptop that slept.
 */

import type { Clock } from '../base/clock'
import { LATE_MS } from '../base/standstill'
import type { WorkerSlot } from './member'

/** Before a worker that seems to hang is restarted, or its call given up, replies that wait to be read get this time: this thread may have stalled. */
export const GRACE_MS = 10
/** While a slot is busy its timer fires this often, and at least once in this share of `hangMs`: a timer that is late shows a standstill. */
const TICK = { leastMs: 1000, share: 0.1 }

export class Watchdog {
  readonly #tickMs: number
  /** The last standstill. */
  #stood = { from: 0, until: Number.NEGATIVE_INFINITY }

  constructor(
    private readonly clock: Clock,
    private readonly hangMs: number,
    private readonly hung: (slot: WorkerSlot, why: string) => void,
  ) {
    this.#tickMs = Math.max(TICK.leastMs, TICK.share * hangMs)
  }

  /** One timer for each slot, set again only when it fires: batches are many, hangs are few. */
  watch(slot: WorkerSlot, ms = this.hangMs): void {
    const waitMs = Math.min(ms, this.#tickMs)
    slot.watchedAt = this.clock.now() + waitMs
    slot.unwatch = this.clock.after(waitMs, () => this.#check(slot), true)
  }

  /** Milliseconds of the time from `since` to `now` in which this process stood still. @param slot  busy all that time */
  stoodMs(slot: WorkerSlot, since: number, now: number): number {
    this.#notice(slot, now)
    const { from, until } = this.#stood
    return Math.max(0, until - Math.max(from, since))
  }

  /** Where each timer is late, as in a page that is hidden for long, the page does not stand still. @returns whether the timer is late */
  #notice(slot: WorkerSlot, now: number): boolean {
    const isLate = now - slot.watchedAt > LATE_MS
    if (isLate && !slot.isWatchedLate) this.#stood = { from: slot.watchedAt - this.#tickMs, until: now }
    return isLate
  }

  #check(slot: WorkerSlot): void {
    const now = this.clock.now()
    slot.isWatchedLate = this.#notice(slot, now)
    slot.unwatch = undefined
    slot.watchedAt = Number.POSITIVE_INFINITY
    const { batch } = slot
    if (!batch || batch.phase === 'silent') return
    const overMs = now - batch.startedAt - this.stoodMs(slot, batch.startedAt, now) - this.hangMs
    if (overMs >= 0 && (overMs <= GRACE_MS || slot.isDoubted)) return this.hung(slot, `hung for ${this.hangMs} ms`)
    slot.isDoubted = overMs > 0 // this thread stalled: replies that wait are read first
    this.watch(slot, slot.isDoubted ? GRACE_MS : Math.ceil(-overMs))
  }
}
