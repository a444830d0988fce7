/** Time behind an interface, so that it can be simulated: nothing in the package reads the system's time directly. */

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
  /** Calls `f` after all events that have arrived already; at once if there are none. Undefined where the runtime has no such call. */
  readonly soon?: ((f: () => void) => void) | undefined
}

/** In Node, Deno and Bun; browsers have none. */
const { setImmediate } = globalThis as { setImmediate?: (f: () => void) => unknown }

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, f, quiet = false) {
    const timer = setTimeout(f, ms)
    if (quiet && typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
  soon: setImmediate && ((f) => void setImmediate(f)),
}
