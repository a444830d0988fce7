/** Time, so that it can be made: whatever waits or measures asks a clock, never the system. */

export interface Clock {
  /** Milliseconds since some moment that never changes. */
  now(): number
  /**
   * Calls `f` once, `ms` from now at the earliest.
   *
   * @param quiet  nobody waits for it: it keeps no process alive
   * @returns cancels it; may be called at any time, also twice
   */
  after(ms: number, f: () => void, quiet?: boolean): () => void
  /**
   * Calls `f` when everything has been heard that has arrived already, which takes no time where nothing has. Absent where nobody can
   * tell.
   */
  readonly soon?: ((f: () => void) => void) | undefined
}

/** Node's and its likes; browsers have none. */
const { setImmediate } = globalThis as { setImmediate?: (f: () => void) => unknown }

/** The system's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, f, quiet = false) {
    const timer = setTimeout(f, ms)
    if (quiet && typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
  soon: setImmediate && ((f) => void setImmediate(f)),
}
