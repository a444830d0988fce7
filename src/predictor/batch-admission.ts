/** Fair admission of large batches: enough queries are in flight to keep all workers busy, shared among callers, so that single queries need not wait behind a batch. */

import { onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { callerOf, type Turn } from '../pool/attempt'
import type { Admission } from './admission'
import { predictEach } from './predict-each'
import type { chosen } from './settings'
import type { ModelVersion } from './version'

/** Queries in flight for each slot of a worker. */
const AHEAD = 4
/** A waiting batch is checked again after this part of the time that is left. */
const AGAIN = 1 / 4

/** One caller's batches of one priority: they take turns, query by query. */
class CallerShare {
  /** Queries in flight. */
  taken = 0
  readonly callers = new Set<QueryBatch>()
  /** The longest first. */
  readonly waiting = new Set<QueryBatch>()

  constructor(
    readonly key: string,
    readonly turn: Turn,
    readonly weight: number,
  ) {}
}

export class BatchAdmission {
  readonly each = predictEach
  readonly clock: Clock
  /** Slots that were granted, and whose query is not sent yet. */
  promised = 0
  readonly #admission: Admission
  readonly #serving: () => ModelVersion
  readonly #shares = new Map<string, CallerShare>()
  /** Of all callers together. */
  #weights = 0
  #isClosed = false

  constructor(clock: Clock, admission: Admission, serving: () => ModelVersion) {
    this.clock = clock
    this.#admission = admission
    this.#serving = serving
  }

  /**
   * A batch is admitted as a whole, unless a memory may answer queries of it. The predictor's default deadline is meant for one query: a batch has
   * as much more time as it takes by itself; where that is unknown, each query has its own deadline from when it is sent.
   *
   * @param isOwn  whether the caller chose the deadline
   */
  open(
    { choices, deadlineMs, turn }: ReturnType<typeof chosen>,
    rows: number,
    mayEnd: boolean,
    isOwn: boolean,
  ): QueryBatch {
    const serving = this.#serving()
    const moreMs = isOwn ? 0 : serving.dependencies.pool.forecast.aloneMs(rows)
    const isTimed = mayEnd && moreMs !== undefined
    const isWhole = isTimed && rows < Infinity && !serving.reuse && !serving.mayRecall({ choices, turn })
    const dueAt = isTimed ? this.clock.now() + deadlineMs + moreMs : Infinity
    return new QueryBatch(this, this.#lane(turn), { rows, dueAt, isWhole })
  }

  #lane(turn: Turn): CallerShare {
    const { rank, weight = 1 } = turn
    const key = rank + callerOf(turn)
    const known = this.#shares.get(key)
    if (known) return known
    const share = new CallerShare(key, turn, weight)
    this.#shares.set(key, share)
    this.#weights += weight
    return share
  }

  has({ taken, weight, turn }: CallerShare): boolean {
    if (this.#isClosed) return true
    const { pool, coder } = this.#serving().dependencies
    const most = AHEAD * pool.slots + coder.scheme.queries
    return taken * this.#weights < most * weight && this.#admission.admits(turn, this.promised)
  }

  /** Waiting batches find out when they next send. */
  close(): void {
    this.#isClosed = true
    this.giveSlots()
  }

  /** Grants free slots to waiting batches. @param left  a share that has a slot more, or a caller less */
  giveSlots(left?: CallerShare): void {
    if (left && !left.taken && !left.callers.size && this.#shares.delete(left.key)) this.#weights -= left.weight
    for (const share of this.#shares.values()) {
      for (const many of share.waiting) if (this.has(share)) many.give()
    }
  }

  /** @throws ApproxiferError OVERLOADED where the last query of a caller cannot be answered in time */
  check({ share, rows, isIn }: QueryBatch, leftMs: number): void {
    let [own, others] = [-rows, 0]
    for (const many of share.callers) own += Math.min(many.rows, rows)
    for (const other of this.#shares.values()) {
      if (other !== share && other.turn.rank === share.turn.rank) for (const many of other.callers) others += many.rows
    }
    const error = this.#serving().dependencies.pool.forecast.refusal(leftMs, share.turn, { own, others, rows, isIn })
    if (!error) return
    this.#admission.refused(rows)
    throw error
  }
}

interface Demand {
  /** Infinity where it is unknown. */
  readonly rows: number
  /** Of the whole batch; Infinity: each query has its own, from when it is sent. */
  readonly dueAt: number
  /** Whether all queries are admitted or none; else each by itself. */
  readonly isWhole: boolean
}

export class QueryBatch {
  readonly share: CallerShare
  readonly demand: Demand
  /** Queries that are not sent yet. */
  rows: number
  /** Whether it was admitted. */
  isIn = false
  readonly #admission: BatchAdmission
  readonly #since: number
  #hasPlace = false
  #wake = () => {}

  constructor(admission: BatchAdmission, share: CallerShare, demand: Demand) {
    this.#admission = admission
    this.#since = admission.clock.now()
    this.demand = demand
    this.rows = demand.rows
    this.share = share
    share.callers.add(this)
  }

  /** Takes a slot for its next query, if one is free. @throws ApproxiferError OVERLOADED before the first is sent, DEADLINE */
  take(): boolean {
    this.#check()
    const isFree = !this.share.waiting.size && this.#admission.has(this.share)
    if (isFree) this.give()
    return isFree
  }

  get ageMs(): number {
    return this.#admission.clock.now() - this.#since
  }

  /** Waits for a slot, unless the signal fires. @throws as `take` */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { clock } = this.#admission
    const { waiting } = this.share
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
    this.share.waiting.delete(this)
    this.share.taken++
    this.#admission.promised++
    this.#hasPlace = true
    this.#wake()
  }

  /** A query was sent; it keeps its slot until it ends. */
  sent<T>(prediction: Promise<T>): Promise<T> {
    this.rows--
    if (!this.#hasPlace) return prediction // its signal has fired
    this.#admission.promised--
    this.#hasPlace = false
    const free = () => this.#free()
    prediction.then(free, free)
    return prediction
  }

  /** It sends nothing more. */
  end(): void {
    this.share.callers.delete(this)
    if (!this.#hasPlace) return this.#admission.giveSlots(this.share)
    this.#admission.promised--
    this.#free()
  }

  #free(): void {
    this.share.taken--
    this.#admission.giveSlots(this.share)
  }

  #check(): void {
    const { dueAt, isWhole, rows } = this.demand
    const leftMs = dueAt - this.#admission.clock.now()
    if (leftMs <= 0)
      throw new ApproxiferError('DEADLINE', `no room for it within ${Math.round(dueAt - this.#since)} ms`)
    if (isWhole && this.rows === rows) this.#admission.check(this, leftMs)
    this.isIn = true
  }
}
