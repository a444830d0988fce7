/**
 * Many timers on one timer of the clock: with a clock timer for each query and reason, a query of a trivial model took 1.6 times as long.
 * Most times are set in ascending order, as deadlines of equal length are: these stand in a queue, others in a heap.
 */

import TinyQueue from 'tinyqueue'
import { Deque } from '../base/arrays'
import type { Clock } from '../base/clock'

export interface Timeable {
  /** Written by `Timers` alone: the time, and the place in the queue or the entry in the heap; undefined while no time is set. */
  dueAt: number
  timer: number | TimerEntry | undefined
  /** @param now  not before the time that was set, although clock timers may fire a millisecond early */
  due(now: number): void
}

interface TimerEntry {
  readonly at: number
  /** undefined after removal. */
  timed: Timeable | undefined
}

/** Marks an object whose time has come and whose `due` has not been called yet. */
const RINGING: TimerEntry = { at: Number.NaN, timed: undefined }

/** Removed entries that the heap may hold beyond as many as are open. */
const SLACK = 1000

export class Timers {
  readonly #clock: Clock
  readonly #line = new Deque<Timeable>()
  #lastAt = Number.NEGATIVE_INFINITY
  #heap = new TinyQueue<TimerEntry>([], sooner)
  /** Number of times that are set. */
  #open = 0
  /** Objects that `wake` calls, whether or not a time is set. */
  readonly #waiting = new Set<Timeable>()
  #planned: { at: number; cancel: () => void } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `timed.due` at a time, which replaces a time set before. */
  set(timed: Timeable, at: number): void {
    this.remove(timed)
    this.#open++
    timed.dueAt = at
    if (at >= this.#lastAt || !this.#line.size) {
      this.#lastAt = at
      timed.timer = this.#line.push(timed)
    } else {
      const entry = { at, timed }
      timed.timer = entry
      this.#heap.push(entry)
      this.#tidy()
    }
    if (!this.#planned || at < this.#planned.at) this.#plan()
  }

  /** Calls `timed.due` at the next `wake`, unless a time is set or removed before. */
  wait(timed: Timeable): void {
    this.#waiting.add(timed)
  }

  /** Called once service times are known. */
  wake(): void {
    if (!this.#waiting.size) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const timed of waiting) timed.due(this.#clock.now())
  }

  remove(timed: Timeable): void {
    if (this.#waiting.size) this.#waiting.delete(timed)
    const { timer } = timed
    timed.timer = undefined
    if (timer === undefined || timer === RINGING) return
    if (typeof timer === 'number') this.#line.remove(timer)
    else timer.timed = undefined
    if (--this.#open) return // a clock timer that fires early is set again
    if (this.#heap.length) this.#heap = new TinyQueue<TimerEntry>([], sooner)
    this.#planned?.cancel()
    this.#planned = undefined
  }

  #tidy(): void {
    if (this.#heap.length <= 2 * this.#open + SLACK) return
    const left = this.#heap.data.filter(({ timed }) => timed)
    this.#heap = new TinyQueue(left, sooner)
  }

  #plan(): void {
    const at = Math.min(
      this.#line.first?.dueAt ?? Number.POSITIVE_INFINITY,
      this.#heap.data[0]?.at ?? Number.POSITIVE_INFINITY,
    )
    if (at === Number.POSITIVE_INFINITY || (this.#planned && this.#planned.at <= at)) return
    this.#planned?.cancel()
    const cancel = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#ring(at))
    this.#planned = { at, cancel }
  }

  #ring(planned: number): void {
    this.#planned = undefined
    const now = Math.max(planned, this.#clock.now())
    const due: Timeable[] = []
    for (let { first } = this.#line; first && first.dueAt <= now; first = this.#line.first) {
      this.#line.shift()
      due.push(first)
    }
    for (let first = this.#heap.peek(); first && first.at <= now; first = this.#heap.peek()) {
      this.#heap.pop()
      if (first.timed) due.push(first.timed)
    }
    this.#open -= due.length
    for (const timed of due) timed.timer = RINGING
    this.#plan()
    for (const timed of due) {
      if (timed.timer !== RINGING) continue // another `due` has removed it or set it again
      timed.timer = undefined
      try {
        timed.due(now)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        }) // an exception must not keep the others from being called
      }
    }
  }
}

function sooner(a: TimerEntry, b: TimerEntry): number {
  return a.at - b.at
}
