/** Rows sent ahead: a worker that is at work on one may have its next one already, which is taken back where the first is late. */

import type { Clock } from '../clock'
import { Deque } from '../deque'
import type { Job } from './job'
import type { Member } from './member'

/**
 * Where an inference takes less, and more rows wait than there are workers, a worker gets its next row while it is at work:
 * the way to a thread and back takes .05 to .1 ms. With less to do the row could wait behind a straggler for nothing (27
 * workers of 3 ms at 80 % load: p99 13.0 ms instead of 8.2).
 */
export const QUICK_MS = 5
/** As well where its round trip takes more than this share of an inference, since the worker is idle meanwhile. */
const LONG_WAY = 0.5
/** A row behind one that is late is taken back; later by this factor where it cannot be told, and the row runs twice. */
const UNTOLD = 2
/** Time for replies that wait to be read, before that is done. */
const READ_MS = 1

export class Ahead {
  readonly #clock: Clock
  readonly #lateMs: () => number | undefined
  readonly #takeBack: (late: readonly Member[]) => void
  /** Busy workers that may get their next job, those first that have been at work longest. */
  readonly #ready = new Deque<Member>()
  /** Those that have it. */
  readonly #waiting = new Set<Member>()
  /** When the first of these is late. */
  #lookAt = Number.POSITIVE_INFINITY
  #unplan: (() => void) | undefined

  /**
   * @param lateMs    how long a row takes until it is late, as far as is known
   * @param takeBack  told of those whose next rows should go elsewhere
   */
  constructor(clock: Clock, lateMs: () => number | undefined, takeBack: (late: readonly Member[]) => void) {
    this.#clock = clock
    this.#lateMs = lateMs
    this.#takeBack = takeBack
  }

  /** A worker is at work on a job, and may get another where that pays. */
  begun(member: Member): void {
    if (maySendAhead(member)) member.place = this.#ready.push(member)
  }

  /** The one that should get its next job first. */
  get first(): Member | undefined {
    return this.#ready.first
  }

  /** It gets none: it has it, or is about to be idle. */
  unlist(member: Member): void {
    if (member.place !== undefined) this.#ready.remove(member.place)
    member.place = undefined
  }

  /** It gets its next job. */
  give(member: Member, job: Job): void {
    member.next = job
    this.#waiting.add(member)
    const at = this.#lateAt(member)
    if (at < this.#lookAt) this.#plan(at)
  }

  /** It is to begin with its next job, has done with it, or loses it. @returns the job, if there is one */
  end(member: Member): Job | undefined {
    const { next } = member
    member.next = undefined
    if (next) this.#waiting.delete(member)
    return next
  }

  close(): void {
    this.#unplan?.()
  }

  /** When a worker is late with what it is at work on; Infinity where that is not known. */
  #lateAt({ job, worker }: Member): number {
    const lateMs = this.#lateMs()
    if (!job || lateMs === undefined) return Number.POSITIVE_INFINITY
    return job.begunAt + (worker.interruptible === false ? UNTOLD : 1) * job.factor * lateMs
  }

  #plan(at: number): void {
    this.#unplan?.()
    this.#lookAt = at
    this.#unplan = this.#clock.after(Math.max(READ_MS, at - this.#clock.now()), () => this.#look(), true)
  }

  #look(): void {
    this.#lookAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    const late: Member[] = []
    let next = Number.POSITIVE_INFINITY
    for (const member of this.#waiting) {
      const at = this.#lateAt(member)
      const job = member.next as Job
      if (at <= now && job.doubted) late.push(member)
      else next = Math.min(next, at)
      job.doubted ||= at <= now // this thread may have stalled: replies that wait are read first
    }
    if (next < Number.POSITIVE_INFINITY) this.#plan(next)
    if (late.length) this.#takeBack(late)
  }
}

/** Whether its next row may be on its way while it is at work. */
function maySendAhead({ worker, pace, patience, barred, left }: Member): boolean {
  if (!worker.takesNext || patience || barred || left) return false
  const { ms = Number.POSITIVE_INFINITY } = pace
  const { roundTripMs = 0 } = worker
  return ms < QUICK_MS || roundTripMs > LONG_WAY * (ms - roundTripMs)
}
