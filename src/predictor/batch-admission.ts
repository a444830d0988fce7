/** Room for callers with many queries: enough of them are under way to keep all workers busy, shared among callers, and others need not wait behind them. */

import { onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { callerOf, type Turn } from '../pool/attempt'
import type { Admission } from './admission'
import { predictEach } from './predict-each'
import type { chosen } from './settings'
import type { ModelVersion } from './version'

/** Queries per slot of a worker that are kept under way. */
const AHEAD = 4
/** Part of the time that is left after which one that waits is looked at again. */
const AGAIN = 1 / 4

/** What one caller asks for with one rank: its requests take turns, query by query. */
class Lane {
  /** Places that they have. */
  taken = 0
  readonly callers = new Set<Many>()
  /** The longest first. */
  readonly waiting = new Set<Many>()

  constructor(
    readonly key: string,
    readonly turn: Turn,
    readonly weight: number,
  ) {}
}

export class Room {
  readonly each = predictEach
  readonly clock: Clock
  /** Places of which nothing was sent so far. */
  promised = 0
  readonly #admission: Admission
  readonly #serving: () => ModelVersion
  readonly #lanes = new Map<string, Lane>()
  /** Of all lanes together. */
  #weights = 0
  #isClosed = false

  constructor(clock: Clock, admission: Admission, serving: () => ModelVersion) {
    this.clock = clock
    this.#admission = admission
    this.#serving = serving
  }

  /**
   * With a memory that may answer in the workers' place each query is let in for itself. The predictor's own deadline is a query's: many have
   * as much more as they take by themselves, or where nobody knows how long that is each its own from when it is sent.
   *
   * @param isOwn  whether they chose the deadline
   */
  open({ choices, deadlineMs, turn }: ReturnType<typeof chosen>, rows: number, mayEnd: boolean, isOwn: boolean): Many {
    const serving = this.#serving()
    const moreMs = isOwn ? 0 : serving.means.pool.forecast.aloneMs(rows)
    const isTimed = mayEnd && moreMs !== undefined
    const isWhole = isTimed && rows < Infinity && !serving.reuse && !serving.mayRecall({ choices, turn })
    const dueAt = isTimed ? this.clock.now() + deadlineMs + moreMs : Infinity
    return new Many(this, this.#lane(turn), { rows, dueAt, isWhole })
  }

  #lane(turn: Turn): Lane {
    const { rank, weight = 1 } = turn
    const key = rank + callerOf(turn)
    const known = this.#lanes.get(key)
    if (known) return known
    const lane = new Lane(key, turn, weight)
    this.#lanes.set(key, lane)
    this.#weights += weight
    return lane
  }

  has({ taken, weight, turn }: Lane): boolean {
    if (this.#isClosed) return true
    const { pool, coder } = this.#serving().means
    const most = AHEAD * pool.slots + coder.scheme.queries
    return taken * this.#weights < most * weight && this.#admission.admits(turn, this.promised)
  }

  /** All that wait learn of it when they ask. */
  close(): void {
    this.#isClosed = true
    this.look()
  }

  /** Those that wait get the places that there are. @param left  has one more, or fewer callers */
  look(left?: Lane): void {
    if (left && !left.taken && !left.callers.size && this.#lanes.delete(left.key)) this.#weights -= left.weight
    for (const lane of this.#lanes.values()) {
      for (const many of lane.waiting) if (this.has(lane)) many.give()
    }
  }

  /** @throws ApproxiferError OVERLOADED where the last query of a caller cannot be answered in time */
  check({ lane, rows, isIn }: Many, leftMs: number): void {
    let [own, others] = [-rows, 0]
    for (const many of lane.callers) own += Math.min(many.rows, rows)
    for (const other of this.#lanes.values()) {
      if (other !== lane && other.turn.rank === lane.turn.rank) for (const many of other.callers) others += many.rows
    }
    const error = this.#serving().means.pool.forecast.refusal(leftMs, lane.turn, { own, others, rows, isIn })
    if (!error) return
    this.#admission.refused(rows)
    throw error
  }
}

interface Demand {
  /** Infinity where nobody knows. */
  readonly rows: number
  /** Of all together; Infinity: each has its own from when it is sent. */
  readonly dueAt: number
  /** Whether all of them are let in, or none; else each for itself. */
  readonly isWhole: boolean
}

/** One caller. */
export class Many {
  readonly lane: Lane
  readonly demand: Demand
  /** That are not sent yet. */
  rows: number
  /** It was let in. */
  isIn = false
  readonly #room: Room
  readonly #since: number
  #hasPlace = false
  #wake = () => {}

  constructor(room: Room, lane: Lane, demand: Demand) {
    this.#room = room
    this.#since = room.clock.now()
    this.demand = demand
    this.rows = demand.rows
    this.lane = lane
    lane.callers.add(this)
  }

  /** Takes a place for its next query, where there is one. @throws ApproxiferError OVERLOADED before the first is sent, DEADLINE */
  take(): boolean {
    this.#check()
    const isFree = !this.lane.waiting.size && this.#room.has(this.lane)
    if (isFree) this.give()
    return isFree
  }

  /** Milliseconds since it was opened. */
  get ageMs(): number {
    return this.#room.clock.now() - this.#since
  }

  /** Waits for a place, unless the signal fires. @throws as `take` */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { clock } = this.#room
    const { waiting } = this.lane
    const forget = onAbort(signal, () => this.#wake())
    waiting.add(this)
    try {
      while (!this.#hasPlace && !signal.aborted) {
        const leftMs = this.demand.dueAt - clock.now()
        const againMs = Math.min(leftMs, Math.max(1, leftMs * AGAIN))
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        const cancel = againMs < Infinity ? clock.after(againMs, this.#wake) : forget
        await woken
        cancel()
        if (!signal.aborted) this.#check()
      }
    } finally {
      waiting.delete(this)
      forget()
    }
  }

  give(): void {
    this.lane.waiting.delete(this)
    this.lane.taken++
    this.#room.promised++
    this.#hasPlace = true
    this.#wake()
  }

  /** A query was sent, and keeps its place until it ends. */
  sent<T>(prediction: Promise<T>): Promise<T> {
    this.rows--
    if (!this.#hasPlace) return prediction // its signal has fired
    this.#room.promised--
    this.#hasPlace = false
    const free = () => this.#free()
    prediction.then(free, free)
    return prediction
  }

  /** It sends nothing more. */
  end(): void {
    this.lane.callers.delete(this)
    if (!this.#hasPlace) return this.#room.look(this.lane)
    this.#room.promised--
    this.#free()
  }

  #free(): void {
    this.lane.taken--
    this.#room.look(this.lane)
  }

  #check(): void {
    const { dueAt, isWhole, rows } = this.demand
    const leftMs = dueAt - this.#room.clock.now()
    if (leftMs <= 0)
      throw new ApproxiferError('DEADLINE', `no room for it within ${Math.round(dueAt - this.#since)} ms`)
    if (isWhole && this.rows === rows) this.#room.check(this, leftMs)
    this.isIn = true
  }
}
