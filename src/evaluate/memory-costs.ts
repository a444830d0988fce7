/** What a memory's thread takes of this machine's time, for runs in simulated time. */

import type { Experience } from '../memory/experience'
import type { ThreadCosts } from '../testing/simulated-thread'

/** What a message takes of the thread that sends or reads it, and how long it travels; as `npm run bench -- memory-thread` measures it. */
const MESSAGES = { message: 0.015, way: 0.05 }
/** Queries that are timed. */
const TIMED = 40

/**
 * Teaches a memory these pairs; the last of them are timed.
 *
 * @param experience  a new one, which is used up
 */
export function memoryCosts(
  experience: Experience,
  pairs: readonly { query: Float32Array; own: Float32Array }[],
): ThreadCosts {
  const sums = { lookUp: 0, comparing: 0, step: 0 }
  const counts = { lookUp: 0, comparing: 0, step: 0 }
  for (const [i, { query, own }] of pairs.entries()) {
    const isTimed = i >= pairs.length - TIMED
    const timed = <T>(what: keyof typeof sums, run: () => T): T => {
      const since = performance.now()
      const result = run()
      if (!isTimed) return result
      sums[what] += performance.now() - since
      counts[what]++
      return result
    }
    experience.confidence.observe(own)
    if (isTimed) timed('lookUp', () => experience.recall(query))
    const lesson = experience.train(query, own)
    timed('comparing', () => lesson.next())
    while (!timed('step', () => lesson.next()).done) {}
  }
  const mean = (what: keyof typeof sums) => sums[what] / Math.max(1, counts[what])
  return { lookUp: mean('lookUp'), comparing: mean('comparing'), step: mean('step'), ...MESSAGES }
}
