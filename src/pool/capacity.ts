/** What the workers of a pool add up to, and how much of it is at work. */

import type { Clock } from '../clock'
import type { Member, MemberState } from './member'

/** Of how long ago the utilisation tells, ms: older times count for less by a factor of e. */
const RECENT_MS = 500

/** Whether it may get attempts, now or in a moment: it starts again, or was not heard of for a while. */
export function isUsable(state: MemberState): boolean {
  return state.is === 'ready' || (state.is === 'unavailable' && state.why === 'down')
}

/** What the members add up to. */
export class Capacity {
  /** Slots: all, those of usable workers, and the free ones of workers that are ready. */
  slots = 0
  usable = 0
  free = 0
  /** Usable workers. */
  workers = 0
  /** Rows that one of them has taken in a run at most. */
  mostRows = 1

  count({ state, slots, batching }: Member, sign: 1 | -1): void {
    if (state.is === 'leaving') return
    if (batching) this.mostRows = Math.max(this.mostRows, batching.most)
    this.slots += sign * slots.limit
    if (state.is === 'ready') this.free += sign * Math.max(0, slots.limit - slots.busy)
    if (!isUsable(state)) return
    this.usable += sign * slots.limit
    this.workers += sign
  }
}

/** Share of the slots that were at work on what cannot be done without, in the last half second or so. */
export class Utilisation {
  #busy = 0
  #share = 0
  #at: number

  constructor(
    readonly clock: Clock,
    readonly capacity: Capacity,
  ) {
    this.#at = clock.now()
  }

  /** @param more  slots at such work from now on */
  add(more: number, now = this.clock.now()): void {
    const share = Math.min(1, this.#busy / Math.max(1, this.capacity.slots)) // those that leave may be at work yet
    this.#share = share + (this.#share - share) * Math.exp((this.#at - now) / RECENT_MS)
    this.#at = now
    this.#busy += more
  }

  get value(): number {
    this.add(0)
    return this.#share
  }
}
