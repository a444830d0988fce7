/** An interface to time, so that tests can simulate it: nothing else in the package reads the system's time. */

import { pageTimers } from './page-timers'

export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number
  /**
   * Calls `f` once, `ms` from now at the earliest.
   *
   * @param quiet  whether the timer does not keep the process alive
   * @returns cancels the timer; may be called at any time, also twice
   */
  after(ms: number, f: () => void, quiet?: boolean): () => void
  /** Calls `f` after all events that have already arrived. undefined if the runtime has no such call. */
  readonly soon?: ((f: () => void) => void) | undefined
}

/** Exists in Node, Deno and Bun, not in browsers. */
const { setImmediate } = globalThis as { setImmediate?: (f: () => void) => unknown }

const { document } = globalThis as { document?: Document }
let afterInPage: ReturnType<typeof pageTimers> | undefined

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, f, quiet = false) {
    if (document) {
      afterInPage ??= pageTimers(document)
      return afterInPage(ms, f)
    }
    const timer = setTimeout(f, ms)
    if (quiet && typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
  soon: setImmediate && ((f) => void setImmediate(f)),
}
