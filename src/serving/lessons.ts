/** Learning takes its turn behind callers: in short steps, each in a task of its own, and within a share of the time. */

import { asError } from '../errors'

/** How long the steps of one task may take together; a single step may take longer. */
const SLICE_MS = 2
/** What may be saved up: queries after a pause should not pay for it. */
const SAVED_UP_MS = 20
/** Lessons that wait; beyond these the newest go, since there will be others. */
const MOST = 32

/** Something to learn: every `next` is a step of a few milliseconds. */
export type Lesson = Iterator<unknown>

export class Lessons {
  readonly #share: () => number
  readonly #failed: (why: string) => void
  readonly #waiting: Lesson[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Milliseconds that learning may take now; below 0 it has to wait. */
  #left = SAVED_UP_MS
  #since = performance.now()

  /**
   * @param share   of the time that lessons may take, 0..1; asked each time
   * @param failed  told of a lesson that threw; it costs nothing else
   */
  constructor(share: () => number, failed: (why: string) => void) {
    this.#share = share
    this.#failed = failed
  }

  /** Whether another lesson would be taken. */
  get open(): boolean {
    return this.#waiting.length < MOST
  }

  /** Begins it some time later, if there is room. */
  add(lesson: Lesson): void {
    if (!this.open) return
    this.#waiting.push(lesson)
    this.#plan()
  }

  /** Whether something else that could be done without has time now; `spend` says what it took. */
  hasTime(): boolean {
    const now = performance.now()
    this.#left = Math.min(SAVED_UP_MS, this.#left + this.#share() * (now - this.#since))
    this.#since = now
    return this.#left > 0
  }

  spend(ms: number): void {
    this.#left -= ms
  }

  /** Learns all that waits, now. */
  finish(): void {
    while (this.#waiting.length) this.#step()
  }

  /** Forgets what waits. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#waiting.length = 0
  }

  #plan(): void {
    if (this.#timer !== undefined || !this.#waiting.length) return
    const wait = this.hasTime() ? 0 : Math.ceil(-this.#left / this.#share())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      const start = performance.now()
      while (this.#waiting.length && performance.now() - start < SLICE_MS) this.#step()
      this.spend(performance.now() - start)
      this.#plan()
    }, wait)
    if (typeof this.#timer === 'object') this.#timer.unref() // what is not learned yet keeps no process alive
  }

  #step(): void {
    const [lesson] = this.#waiting
    try {
      if (!lesson.next().done) return
    } catch (error) {
      this.#failed(asError(error, 'WORKER').message)
    }
    this.#waiting.shift()
  }
}
