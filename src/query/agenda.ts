/**
 * All that is due at a time, with one timer. Queries that have equally long come due in the order in which they came, and get late in that
 * in which workers began with them, so that two lines do for nearly all; what is left is in a heap.
 */

import TinyQueue from 'tinyqueue'
import { Deque } from '../arrays'
import type { Clock } from '../clock'
import type { Lateness } from '../layers/lateness'

/** What is told when its time has come. */
export interface Timed {
  /** When it came, when its deadline is, and whether it waits. */
  readonly caller: { readonly since: number; readonly dueAt: number; readonly isOpen: boolean }
  /** Its deadline has come, it is late, or it asked for this. */
  look(now: number): void
}

/** Where it stands in the lines. */
export interface Places {
  /** Undefined once it waits no more: what is left of its times must not keep it. */
  timed: Timed | undefined
  /** When a worker began with it; NaN before. */
  since: number
  /** -1 before, and once it was told that it is late. */
  late: number
  readonly due: number
}

/** It was told so: the clock may say it sooner, while a busy thread has not got round to answers that have come. */
export function isLate(places: Places | undefined): boolean {
  return places !== undefined && !Number.isNaN(places.since) && places.late === NOWHERE
}

interface Appointment {
  at: number
  places: Places
}

const NOWHERE = -1
/** Appointments of queries that wait no more, beyond two for each that waits, before they are sorted out. */
const SLACK = 1000

export class Agenda {
  readonly #clock: Clock
  readonly #lateness: Lateness
  /** The usual time to a deadline; others are in the heap. */
  readonly #deadlineMs: number
  readonly #due = new Deque<Timed>()
  #lastDueAt = Number.NEGATIVE_INFINITY
  readonly #late = new Deque<Places>()
  #others = new TinyQueue<Appointment>([], sooner)
  #timer: { at: number; cancel: () => void } | undefined
  /** How many wait. */
  #open = 0

  constructor(clock: Clock, lateness: Lateness, deadlineMs: number) {
    this.#clock = clock
    this.#lateness = lateness
    this.#deadlineMs = deadlineMs
    lateness.known = () => this.#plan() // for those that came before
  }

  /** From here on it has a deadline. */
  add(timed: Timed): Places {
    this.#open++
    const { since, dueAt } = timed.caller
    // Who asks again, as where the model was replaced, comes behind others and is due before them.
    const isUsual = dueAt - since === this.#deadlineMs && dueAt >= this.#lastDueAt
    const due = isUsual ? this.#due.push(timed) : NOWHERE
    const places = { timed, since: Number.NaN, late: NOWHERE, due }
    if (isUsual) this.#lastDueAt = dueAt
    else this.again(places, dueAt)
    this.#plan()
    return places
  }

  /**
   * A worker has begun with it: it may get late. Nothing if another had. What takes less than others is told so at once, and asks again.
   *
   * @param now  NaN: it is behind another, or lost again
   */
  began(places: Places, now: number, factor = 1): void {
    if (!Number.isNaN(places.since) || Number.isNaN(now)) return
    places.since = now
    if (factor < 1 && this.#lateness.ages) return // the line would tell it too late
    places.late = this.#late.push(places)
    this.#plan()
  }

  remove(places: Places): void {
    const { late, due } = places
    places.timed = undefined
    if (late !== NOWHERE) this.#late.remove(late)
    if (due !== NOWHERE) this.#due.remove(due)
    if (--this.#open) return // a timer that is early is set again
    if (this.#others.length) this.#others = new TinyQueue<Appointment>([], sooner)
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** It wants to look again at this time. */
  again(places: Places, at: number): void {
    this.#others.push({ at, places })
    if (this.#others.length > 2 * this.#open + SLACK) {
      this.#others = new TinyQueue(
        this.#others.data.filter(({ places }) => places.timed),
        sooner,
      )
    }
    this.#plan()
  }

  /** Sets the timer for the first of all that has its time. */
  #plan(): void {
    const never = Number.POSITIVE_INFINITY
    const late = (this.#late.first?.since ?? never) + (this.#lateness.ages?.giveMs ?? never)
    const at = Math.min(late, this.#due.first?.caller.dueAt ?? never, this.#others.data[0]?.at ?? never)
    if (this.#timer && this.#timer.at <= at) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (at === never) return
    const cancel = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#look(at))
    this.#timer = { at, cancel }
  }

  /** @param planned  what the timer was set for: it may fire a millisecond early */
  #look(planned: number): void {
    this.#timer = undefined
    const now = Math.max(planned, this.#clock.now())
    const lateMs = this.#lateness.ages?.giveMs ?? Number.POSITIVE_INFINITY
    const ready = taken(this.#due, ({ caller }) => caller.dueAt <= now)
    for (const places of taken(this.#late, ({ since }) => since + lateMs <= now)) {
      places.late = NOWHERE
      if (places.timed) ready.push(places.timed)
    }
    for (let first = this.#others.peek(); first && first.at <= now; first = this.#others.peek()) {
      this.#others.pop()
      if (first.places.timed) ready.push(first.places.timed)
    }
    this.#plan()
    for (const timed of ready) if (timed.caller.isOpen) timed.look(now)
  }
}

/** Takes the first ones out, as long as they are ready. */
function taken<T>(line: Deque<T>, isReady: (item: T) => boolean): T[] {
  const ready: T[] = []
  for (let { first } = line; first && isReady(first); first = line.first) {
    line.shift()
    ready.push(first)
  }
  return ready
}

function sooner(a: Appointment, b: Appointment): number {
  return a.at - b.at
}
