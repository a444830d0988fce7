/**
 * Standstills: times in which nothing of this process runs, since it is stopped, its page is frozen, or the laptop sleeps. Its clock goes on, so
 * that everything seems to have taken as long. A timer that fires much later than it was set for shows a standstill.
 */

import type { Clock } from './clock'

/** A timer that is later than this shows a standstill. Those of a hidden page are up to a second late, although its workers go on. */
export const LATE_MS = 2000
/** `afterRunning` waits in this many parts. */
const PARTS = 4

/**
 * As `clock.after`, but a standstill does not count: for limits of what stands still together with the program.
 *
 * @param f  gets the milliseconds for which the process stood still meanwhile
 */
export function afterRunning(clock: Clock, ms: number, f: (stoodMs: number) => void, quiet = false): () => void {
  let [left, stoodMs, isLate] = [PARTS, 0, false]
  let cancel = () => {}
  const wait = () => {
    const due = clock.now() + ms / PARTS
    const passed = () => {
      const wasLate = isLate
      const lateMs = clock.now() - due
      isLate = lateMs > LATE_MS
      if (isLate) stoodMs += lateMs
      if (!isLate || wasLate) left-- // where each timer is late, limits hold all the same
      if (left) wait()
      else f(stoodMs)
    }
    cancel = clock.after(ms / PARTS, passed, quiet)
  }
  wait()
  return () => cancel()
}
