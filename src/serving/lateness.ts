/** When a query is late: it has waited longer than nearly all others did for their own answers. */

import type { Clock } from './clock'
import { Line } from './line'

/** Share of first answers that are not late. */
export const PATIENCE = 0.95
/** Times that are kept, and below which nothing is late. */
const WINDOW = 500
const ENOUGH = 50
/** What sums of times may be off by: a timer that comes this much early would be set again, and again. */
export const ROUNDING_MS = 1e-3
/** Computed anew after so many times. */
const RENEW = 16

export class Lateness {
  /** Milliseconds, in the order of a ring. */
  readonly #times = new Float64Array(WINDOW)
  #count = 0
  #lateMs: number | undefined
  #medianMs: number | undefined

  /**
   * Takes the time from `predict` to the answer of a query's first row, when it comes, also long after another answer was
   * given: times at which callers were served would censor themselves, and more and more would be late.
   */
  see(ms: number): void {
    this.#times[this.#count++ % WINDOW] = ms
    if (this.#count < ENOUGH || (this.#count > ENOUGH && this.#count % RENEW)) return
    const sorted = this.#times.slice(0, Math.min(this.#count, WINDOW)).sort()
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
    this.#lateMs = at(PATIENCE)
    this.#medianMs = at(0.5)
  }

  /** How long a query waits until it is late; undefined before enough were seen. */
  get lateMs(): number | undefined {
    return this.#lateMs
  }

  get medianMs(): number | undefined {
    return this.#medianMs
  }
}

/** What can be late. */
export interface Waiter {
  readonly since: number
  /** Still unanswered. */
  readonly open: boolean
}

/** Tells of queries that are late, with one timer for all: they get late in the order in which they came. */
export class LateWatch<T extends Waiter> {
  readonly #clock: Clock
  readonly #lateness: Lateness
  readonly #tell: (late: T) => void
  readonly #waiting = new Line<{ waiter: T; place: number }>()
  #unplan: (() => void) | undefined

  constructor(clock: Clock, lateness: Lateness, tell: (late: T) => void) {
    this.#clock = clock
    this.#lateness = lateness
    this.#tell = tell
  }

  add(waiter: T): void {
    const entry = { waiter, place: 0 }
    entry.place = this.#waiting.push(entry)
    if (this.#unplan) return
    this.#drop(({ open }) => !open)
    this.#plan()
  }

  stop(): void {
    this.#unplan?.()
    this.#drop(() => true)
  }

  /** Takes the first ones out, as long as they are such. */
  #drop(such: (waiter: T) => boolean): void {
    for (let entry = this.#waiting.first; entry && such(entry.waiter); entry = this.#waiting.first) {
      this.#waiting.remove(entry.place)
    }
  }

  #plan(): void {
    const { first } = this.#waiting
    const { lateMs } = this.#lateness
    if (!first || lateMs === undefined) return
    const left = first.waiter.since + lateMs - this.#clock.now()
    this.#unplan = this.#clock.after(Math.max(0, left), () => this.#look(), true)
  }

  #look(): void {
    this.#unplan = undefined
    const since = this.#clock.now() - (this.#lateness.lateMs ?? Number.POSITIVE_INFINITY)
    const late: T[] = []
    this.#drop((waiter) => {
      if (waiter.open && waiter.since > since + ROUNDING_MS) return false
      if (waiter.open) late.push(waiter)
      return true
    })
    this.#plan()
    for (const each of late) this.#tell(each)
  }
}
