/** Deadlines of queries that have equally long: they come due in the order in which they came, so that one timer does for all. */

import type { Clock } from '../clock'
import { Deque } from '../deque'
import type { Ticket } from './ticket'

export class Deadlines {
  readonly #clock: Clock
  readonly #waiting = new Deque<Ticket>()
  #unplan: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns its place, for `remove` */
  add(ticket: Ticket): number {
    const place = this.#waiting.push(ticket)
    if (!this.#unplan) this.#plan()
    return place
  }

  /** It was answered. */
  remove(place: number): void {
    this.#waiting.remove(place)
    if (this.#waiting.size) return // a timer that was set for one that left is set anew when it fires
    this.#unplan?.()
    this.#unplan = undefined
  }

  #plan(): void {
    const { first } = this.#waiting
    if (!first) return
    const { dueAt } = first
    this.#unplan = this.#clock.after(dueAt - this.#clock.now(), () => this.#look(dueAt))
  }

  /** @param planned  the deadline that the timer was set for: it may fire a millisecond early */
  #look(planned: number): void {
    this.#unplan = undefined
    const now = Math.max(planned, this.#clock.now())
    const due: Ticket[] = []
    for (let { first } = this.#waiting; first && first.dueAt <= now; first = this.#waiting.first) {
      this.#waiting.shift()
      due.push(first)
    }
    this.#plan()
    for (const ticket of due) ticket.run?.due(ticket)
  }
}
