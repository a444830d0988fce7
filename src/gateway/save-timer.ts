/** When models are saved: at the end of a burst of requests, and now and then within a long one. Without requests there is no timer. */

import type { Clock } from '../base/clock'

/** A burst has ended when nobody has asked for this share of `everyMs`: 10 s of a minute. */
const QUIET = 1 / 6

interface SaveTimerOptions {
  clock: Clock
  /** The most time from a request's end to the next save. */
  everyMs: number
  /** Whether a request is under way. */
  isBusy(): boolean
  /** Saves what there is to save; never rejects. */
  save(): Promise<void>
}

export class SaveTimer {
  /** Stops the timer. Also set while a save is under way. */
  #stop: (() => void) | undefined
  #isClosed = false
  /** When the last request ended, and the first one since the last save; undefined if there is none. */
  #lastEnd = 0
  #firstEnd: number | undefined

  constructor(private readonly options: SaveTimerOptions) {}

  /** To be called when a request has ended. */
  ended(): void {
    this.#lastEnd = this.options.clock.now()
    this.#firstEnd ??= this.#lastEnd
    this.#wait()
  }

  close(): void {
    this.#isClosed = true
    this.#stop?.()
  }

  /** Starts the timer. A later request does not move it: it is started again if it fires too early. */
  #wait(): void {
    if (this.#firstEnd === undefined || this.#stop || this.#isClosed) return
    const { clock } = this.options
    this.#stop = clock.after(Math.max(0, this.#due(this.#firstEnd) - clock.now()), () => this.#fire(), true)
  }

  #due(firstEnd: number): number {
    const { everyMs } = this.options
    return Math.min(this.#lastEnd + QUIET * everyMs, firstEnd + everyMs)
  }

  async #fire(): Promise<void> {
    const { clock, isBusy, save } = this.options
    const now = clock.now()
    if (isBusy()) this.#lastEnd = now
    if (this.#firstEnd !== undefined && now >= this.#due(this.#firstEnd)) {
      this.#firstEnd = undefined
      await save()
    }
    this.#stop = undefined
    this.#wait()
  }
}
