/** Learning takes its turn behind callers: in short steps, each in a task of its own, and within a share of the time. */

import type { Clock } from '../base/clock'
import { asError } from '../base/errors'
import { TimeBudget } from './time-budget'

/**
 * How long the steps of one task may take together, over the share of the time that training tasks may take, and at most; a single step may take
 * longer. Callers that come meanwhile wait for it, and so do workers: with 1 ms instead of .1 where the share is a twentieth, p99.9 of answers of
 * 10 ms was 13.6 instead of 13.2 ms; with 1 instead of .5 where it is a half, p99 at load .8 was up to 31 ms while a memory began, 25 without one.
 */
const SLICE_MS = 2
const MOST_SLICE_MS = 0.5
/** What may be saved up: queries after a pause should not pay for it. */
const SAVED_UP_MS = 20
/** Training tasks that wait; beyond these the newest go, since there will be others. */
const MOST = 32
/** And bytes that they hold on to, where more than a few wait: 32 groups of large images would be a gigabyte. */
const MOST_BYTES = 2 ** 23
const FEW = 2

/** Something to learn: every `next` is a step of a few milliseconds. */
export type TrainingTask = Iterator<unknown>

export class Training {
  /** Also for other things that could be done without. */
  readonly time: TimeBudget
  readonly #failed: (why: string) => void
  readonly #waiting: { task: TrainingTask; bytes: number }[] = []
  readonly #clock: Clock
  readonly #share: () => number
  #unplan: (() => void) | undefined

  /**
   * @param share   of the time that training tasks may take, 0..1; asked each time
   * @param failed  told of a task that threw; it costs nothing else
   */
  constructor(clock: Clock, share: () => number, failed: (why: string) => void) {
    this.#clock = clock
    this.#share = share
    this.time = new TimeBudget(clock, share, SAVED_UP_MS)
    this.#failed = failed
  }

  /** Training tasks that wait, the one that has begun included. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Begins it some time later, if there is room. @param bytes  that it holds on to @returns whether there is */
  add(task: TrainingTask, bytes: number): boolean {
    const all = this.#waiting.reduce((sum, waiting) => sum + waiting.bytes, bytes)
    if (this.#waiting.length >= MOST || (this.#waiting.length >= FEW && all > MOST_BYTES)) return false
    this.#waiting.push({ task, bytes })
    this.#plan()
    return true
  }

  finish(): void {
    while (this.#waiting.length) this.#step()
  }

  /** Forgets what waits. */
  stop(): void {
    this.#unplan?.()
    this.#unplan = undefined
    this.#waiting.length = 0
  }

  #plan(): void {
    if (this.#unplan || !this.#waiting.length) return
    const learn = () => {
      this.#unplan = undefined
      const [start, slice] = [this.#clock.now(), Math.min(MOST_SLICE_MS, SLICE_MS * this.#share())]
      // One step at least: where clocks are coarse the slice may be over when it begins.
      for (let isOver = false; this.#waiting.length && !isOver; ) {
        this.#step()
        isOver = this.#clock.now() - start >= slice
      }
      this.time.take(this.#clock.now() - start)
      this.#plan()
    }
    this.#unplan = this.#clock.after(this.time.waitMs, learn, true) // what is not learned yet keeps no process alive
  }

  #step(): void {
    const [{ task }] = this.#waiting
    try {
      if (!task.next().done) return
    } catch (error) {
      this.#failed(asError(error, 'WORKER').message)
    }
    this.#waiting.shift()
  }
}
