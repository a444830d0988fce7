/** Runs training in short tasks of the event loop, within a share of the time. */

import type { Clock } from '../base/clock'
import { asError } from '../base/errors'
import { TimeBudget } from './time-budget'

/**
 * One task takes this long times training's share of the time, and never longer than the second constant; a single step may take longer. Queries and
 * workers' answers wait for a task. With a share of a twentieth and tasks of 1 instead of .1 ms, p99.9 of answers of 10 ms was 13.6 instead of 13.2 ms.
 * With a share of a half and tasks of 1 instead of .5 ms, p99 at load .8 was up to 31 ms while a memory began, and 25 without a memory.
 */
const SLICE_MS = 2
const MOST_SLICE_MS = 0.5
/** The most time that is saved up, ms: training after a pause should not delay the queries that come then. */
const SAVED_UP_MS = 20
/** The most training tasks that wait; further ones are refused, since other answers will come. */
const MOST = 32
/** The most bytes that waiting tasks hold, if more than FEW wait: 32 groups of large images would be a gigabyte. */
const MOST_BYTES = 2 ** 23
const FEW = 2

/** Something to learn; every `next` is a step of a few milliseconds. */
export type TrainingTask = Iterator<unknown>

export class Training {
  /** The time for training. */
  readonly time: TimeBudget
  readonly #failed: (why: string) => void
  readonly #waiting: { task: TrainingTask; bytes: number }[] = []
  readonly #clock: Clock
  readonly #share: () => number
  #unplan: (() => void) | undefined

  /**
   * @param share   of the time, 0..1; called for every task, since it may change
   * @param failed  called when a training task throws, which has no other effect
   */
  constructor(clock: Clock, share: () => number, failed: (why: string) => void) {
    this.#clock = clock
    this.#share = share
    this.time = new TimeBudget(clock, share, SAVED_UP_MS)
    this.#failed = failed
  }

  /** The number of training tasks that wait, the one that has begun included. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs a training task later, if there is room. @param bytes  that the task holds @returns whether there is room */
  add(task: TrainingTask, bytes: number): boolean {
    const all = this.#waiting.reduce((sum, waiting) => sum + waiting.bytes, bytes)
    if (this.#waiting.length >= MOST || (this.#waiting.length >= FEW && all > MOST_BYTES)) return false
    this.#waiting.push({ task, bytes })
    this.#plan()
    return true
  }

  /** Runs all training tasks now. */
  finish(): void {
    while (this.#waiting.length) this.#step()
  }

  /** Drops all training tasks. */
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
      // At least one step: with a coarse clock the time may be over when the task begins.
      for (let isOver = false; this.#waiting.length && !isOver; ) {
        this.#step()
        isOver = this.#clock.now() - start >= slice
      }
      this.time.take(this.#clock.now() - start)
      this.#plan()
    }
    this.#unplan = this.#clock.after(this.time.waitMs, learn, true) // training keeps no process alive
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
