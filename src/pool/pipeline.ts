/** Sends batches ahead: a busy worker may have its next batch already, which is taken back if the current one is late. */

import { Deque } from '../base/arrays'
import type { Clock } from '../base/clock'
import type { Batch } from './batch'
import type { Member, WorkerSlot } from './member'

/**
 * If an inference takes less than this, and more attempts are queued than there are slots, a worker gets its next batch while it is busy, since the
 * way to a thread and back takes .05 to .1 ms. With a shorter queue the batch could wait behind a straggler for nothing (27 workers of 3 ms at 80 %
 * load: p99 13.0 ms instead of 8.2).
 */
export const QUICK_MS = 5
/** The same if its round trip takes more than this share of an inference, since the worker would be idle meanwhile. */
const LONG_WAY = 0.5
/** A batch behind a late one is taken back; later by this factor if the worker cannot be interrupted, and runs it all the same. */
const UNINTERRUPTIBLE = 2
/** Before that, replies that wait to be read get this time. */
const READ_MS = 1

export class Pipeline {
  /** Busy slots that may get their next batch, those that have been busy longest first. */
  readonly #ready = new Deque<WorkerSlot>()
  /** Slots that have a next batch, and whether the current one seems to be late. Set here only. */
  readonly waiting = new Map<WorkerSlot, boolean>()
  /** When the first current batch will be late. */
  #checkAt = Number.POSITIVE_INFINITY
  #unplan: (() => void) | undefined

  /**
   * @param lateMs    after this time a query is late, if it is known
   * @param takeBack  called with slots whose next batches should go elsewhere
   */
  constructor(
    private readonly clock: Clock,
    private readonly lateMs: () => number | undefined,
    private readonly takeBack: (late: readonly WorkerSlot[]) => void,
  ) {}

  /** A worker that takes a second call has begun with a batch, and gets another if that pays. */
  began(slot: WorkerSlot): void {
    if (maySendAhead(slot.member)) slot.place = this.#ready.push(slot)
  }

  /** The slot that should get its next batch first. */
  get first(): WorkerSlot | undefined {
    return this.#ready.first
  }

  /** The slot gets no next batch: it has one, or will be free soon. */
  unlist(slot: WorkerSlot): void {
    if (slot.place !== undefined) this.#ready.remove(slot.place)
    slot.place = undefined
  }

  /** It gets its next batch. */
  give(slot: WorkerSlot, batch: Batch): void {
    slot.next = batch
    this.waiting.set(slot, false)
    const at = this.#lateAt(slot)
    if (at < this.#checkAt) this.#plan(at)
  }

  /** The slot begins with its next batch, has finished it, or loses it. @returns that batch */
  end(slot: WorkerSlot): Batch | undefined {
    const { next } = slot
    slot.next = undefined
    if (next) this.waiting.delete(slot)
    return next
  }

  /** As `end`, for a slot that is done. A worker with several slots may begin with the batch behind another one. */
  next(slot: WorkerSlot): Batch | undefined {
    const { slots } = slot.member
    const from = slot.next || slots.limit === 1 ? slot : slots.all.find(({ next }) => next)
    return from && this.end(from)
  }

  close(): void {
    this.#unplan?.()
  }

  /** When a worker's current batch is late; Infinity if unknown. */
  #lateAt({ batch, member }: WorkerSlot): number {
    const lateMs = this.lateMs()
    if (!batch || lateMs === undefined) return Number.POSITIVE_INFINITY
    const factor = member.worker.interruptible === false ? UNINTERRUPTIBLE : 1
    return batch.startedAt + factor * batch.factor * lateMs
  }

  #plan(at: number): void {
    this.#unplan?.()
    this.#checkAt = at
    this.#unplan = this.clock.after(Math.max(READ_MS, at - this.clock.now()), () => this.#check(), true)
  }

  #check(): void {
    this.#checkAt = Number.POSITIVE_INFINITY
    const now = this.clock.now()
    const late: WorkerSlot[] = []
    let next = Number.POSITIVE_INFINITY
    for (const [slot, isDoubted] of this.waiting) {
      const at = this.#lateAt(slot)
      if (at <= now && isDoubted) late.push(slot)
      else next = Math.min(next, at)
      if (at <= now) this.waiting.set(slot, true) // this thread may have stalled: replies that wait are read first
    }
    if (next < Number.POSITIVE_INFINITY) this.#plan(next)
    if (late.length) this.takeBack(late)
  }
}

/** Whether a worker may get its next batch while it is busy. */
function maySendAhead({ worker, speed, passOver, state, isPlain }: Member): boolean {
  if (isPlain || passOver || state !== 'ready') return false
  const { ms = Number.POSITIVE_INFINITY } = speed
  const { roundTripMs = 0 } = worker
  return ms < QUICK_MS || roundTripMs > LONG_WAY * (ms - roundTripMs)
}
