/** Batches sent ahead: a worker that is at work on one may have its next one already, which is taken back where the first is late. */

import { Deque } from '../base/arrays'
import type { Clock } from '../base/clock'
import type { Batch } from './batch'
import type { Member, WorkerSlot } from './member'

/**
 * Where an inference takes less, and more attempts are queued than there are slots, a worker gets its next row while it is at work:
 * the way to a thread and back takes .05 to .1 ms. With less to do the row could wait behind a straggler for nothing (27
 * workers of 3 ms at 80 % load: p99 13.0 ms instead of 8.2).
 */
export const QUICK_MS = 5
/** As well where its round trip takes more than this share of an inference, since the worker is idle meanwhile. */
const LONG_WAY = 0.5
/** What is behind a late batch is taken back; later by this factor where the worker cannot be told, and runs it all the same. */
const UNINTERRUPTIBLE = 2
/** Time for replies that wait to be read, before that is done. */
const READ_MS = 1

export class Pipeline {
  /** Busy slots that may get their next batch, those first that have been at work longest. */
  readonly #ready = new Deque<WorkerSlot>()
  /** Those that have it, and whether the batch before it seems to be late. Written here alone. */
  readonly waiting = new Map<WorkerSlot, boolean>()
  /** When the first attempt of the pipeline is late. */
  #checkAt = Number.POSITIVE_INFINITY
  #unplan: (() => void) | undefined

  /**
   * @param lateMs    how long one row takes until it is late, as far as is known
   * @param takeBack  told of those whose next batches should go elsewhere
   */
  constructor(
    private readonly clock: Clock,
    private readonly lateMs: () => number | undefined,
    private readonly takeBack: (late: readonly WorkerSlot[]) => void,
  ) {}

  /** A worker that takes a second call has begun with a batch, and gets another where that pays. */
  began(slot: WorkerSlot): void {
    if (maySendAhead(slot.member)) slot.place = this.#ready.push(slot)
  }

  /** The one that should get its next batch first. */
  get first(): WorkerSlot | undefined {
    return this.#ready.first
  }

  /** It gets none: it has it, or is about to be free. */
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

  /** It is to begin with its next batch, has done with it, or loses it. @returns the batch, if there is one */
  end(slot: WorkerSlot): Batch | undefined {
    const { next } = slot
    slot.next = undefined
    if (next) this.waiting.delete(slot)
    return next
  }

  /** As `end`, for a slot that is done. A worker of several slots may begin with what is behind another one. */
  next(slot: WorkerSlot): Batch | undefined {
    const { slots } = slot.member
    const from = slot.next || slots.limit === 1 ? slot : slots.all.find(({ next }) => next)
    return from && this.end(from)
  }

  close(): void {
    this.#unplan?.()
  }

  /** When a worker is late with what it is at work on; Infinity where that is not known. */
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

/** Whether its next batch may be on its way while it is at work. */
function maySendAhead({ worker, speed, passOver, state, isPlain }: Member): boolean {
  if (isPlain || passOver || state !== 'ready') return false
  const { ms = Number.POSITIVE_INFINITY } = speed
  const { roundTripMs = 0 } = worker
  return ms < QUICK_MS || roundTripMs > LONG_WAY * (ms - roundTripMs)
}
