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
}

/** The system's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, f, quiet = false) {
    const timer = setTimeout(f, ms)
    if (quiet && typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
}
