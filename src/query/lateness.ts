/** When a query is late: it has waited longer than nearly all others did for their own answers. */

import type { Clock } from '../clock'
import { Deque } from '../deque'
import { SlidingQuantile } from '../stats'

/** Times that are kept; and those that tell a quantile. */
const WINDOW = 500
const ENOUGH = 50
/** With so few, what takes three medians is late, whatever the quantile will be; with fewer nothing is. */
const FEW = 10
const FEW_MEDIANS = 3

export class Lateness {
  /** Milliseconds. */
  readonly #times = new SlidingQuantile(WINDOW)
  readonly #patience: number
  /** Told when it is first known what is late. */
  known = () => {}

  /** @param patience  share of first answers that are not late */
  constructor(patience: number) {
    this.#patience = patience
  }

  /**
   * Takes the time from `predict` to the answer of a query's first row, when it comes, also long after another answer was
   * given: times at which callers were served would censor themselves, and more and more would be late.
   */
  see(ms: number): void {
    this.#times.add(ms)
    if (this.#times.count === FEW) this.known()
  }

  /** How long a query waits until it is late; undefined before enough were seen. */
  get lateMs(): number | undefined {
    const { medianMs } = this
    if (medianMs === undefined || this.#times.count >= ENOUGH)
      return medianMs === undefined ? undefined : this.#times.quantile(this.#patience)
    return FEW_MEDIANS * medianMs
  }

  get medianMs(): number | undefined {
    return this.#times.count < FEW ? undefined : this.#times.quantile(0.5)
  }
}

/** What can be late. */
export interface Waiter {
  readonly since: number
}

/** Tells of queries that are late, with one timer for all: they get late in the order in which they came. */
export class LateWatch<T extends Waiter> {
  readonly #clock: Clock
  readonly #lateness: Lateness
  readonly #tell: (late: T) => void
  readonly #waiting = new Deque<T>()
  #unplan: (() => void) | undefined
  /** When those came that the timer was set for. It may fire a millisecond early: to set it anew would make it one late. */
  #planned = 0

  constructor(clock: Clock, lateness: Lateness, tell: (late: T) => void) {
    this.#clock = clock
    this.#lateness = lateness
    this.#tell = tell
    lateness.known = () => this.#unplan ?? this.#plan() // for those that came before
  }

  /** @returns its place, for `remove` */
  add(waiter: T): number {
    const place = this.#waiting.push(waiter)
    if (!this.#unplan) this.#plan()
    return place
  }

  /** It was answered. Were it kept until it would have been late, answered ones were 3 to 9 times as many here as those that wait. */
  remove(place: number): void {
    this.#waiting.remove(place) // a timer that was set for it is set anew when it fires
  }

  stop(): void {
    this.#unplan?.()
    this.#drop(() => true)
  }

  /** Takes the first ones out, as long as they are such. */
  #drop(such: (waiter: T) => boolean): void {
    for (let { first } = this.#waiting; first && such(first); first = this.#waiting.first) this.#waiting.shift()
  }

  #plan(): void {
    const { first } = this.#waiting
    const { lateMs } = this.#lateness
    if (!first || lateMs === undefined) return
    this.#planned = first.since
    const left = first.since + lateMs - this.#clock.now()
    this.#unplan = this.#clock.after(Math.max(0, left), () => this.#look(), true)
  }

  #look(): void {
    this.#unplan = undefined
    const before = this.#clock.now() - (this.#lateness.lateMs ?? Number.POSITIVE_INFINITY)
    const late: T[] = []
    this.#drop((waiter) => {
      const isLate = waiter.since <= this.#planned || waiter.since < before
      if (isLate) late.push(waiter)
      return isLate
    })
    this.#plan()
    for (const each of late) this.#tell(each)
  }
}
