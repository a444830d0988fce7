/**
 * Where the runtime limits connections, a server that hangs could hold all of them until its calls count as hung. While queries wait for a
 * connection, a call that is much later than a late one is given up.
 */

import type { Clock } from '../base/clock'
import type { Batch } from './batch'
import type { WorkerSlot } from './member'
import type { Roster } from './roster'
import { GRACE_MS } from './watchdog'

/**
 * A call is given up at this many times the age at which it is late. By then a hedge of its query has waited for a connection twice as long as
 * the call had at first.
 */
const GIVEN_UP = 3

export interface ConnectionWatchOptions {
  readonly clock: Clock
  readonly roster: Roster
  readonly hangMs: number
  lateMs(): number | undefined
  giveUp(slot: WorkerSlot, why: string): void
}

export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions
  #cancel: (() => void) | undefined

  constructor(options: ConnectionWatchOptions) {
    this.#options = options
  }

  /** Queries wait, and no connection is free. Once the first call is due it is given up, even if no query waits at that moment. */
  awaited(): void {
    if (this.#cancel) return
    const { clock } = this.#options
    const now = clock.now()
    const ms = Math.min(...this.#slots.map(({ batch }) => this.#dueAt(batch as Batch) - now))
    if (ms < Number.POSITIVE_INFINITY) this.#checkIn(Math.max(1, Math.ceil(ms)))
  }

  #checkIn(ms: number, hasGrace = true): void {
    const { clock } = this.#options
    const at = clock.now() + ms
    const due = () => {
      if (hasGrace && clock.now() > at + GRACE_MS) this.#checkIn(GRACE_MS, false)
      else this.#check()
    }
    this.#cancel = clock.after(ms, due, true)
  }

  close(): void {
    this.#cancel?.()
  }

  /** Slots whose calls hold a connection. */
  get #slots(): WorkerSlot[] {
    const members = this.#options.roster.all.filter(({ machine }) => machine.connections)
    return members.flatMap(({ slots }) => slots.all.filter(({ batch }) => batch?.phase === 'running' && !batch.isOver))
  }

  /** Until times are known, a call is late half-way from its start to its deadline. */
  #dueAt({ attempts, startedAt, factor }: Batch): number {
    const { lateMs, hangMs } = this.#options
    const late = lateMs()
    const ms = late === undefined ? (attempts[0].dueAt - startedAt) / 2 : GIVEN_UP * late * factor
    return startedAt + Math.min(ms, hangMs)
  }

  #check(): void {
    this.#cancel = undefined
    const { clock, giveUp } = this.#options
    const now = clock.now()
    for (const slot of this.#slots) {
      const batch = slot.batch as Batch
      if (batch.isOver || now < this.#dueAt(batch)) continue
      giveUp(slot, `has not answered for ${Math.round(now - batch.startedAt)} ms, and queries wait for its connection`)
    }
  }
}
