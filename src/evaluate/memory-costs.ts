/** What a memory's thread takes of this machine's time, for runs in simulated time. */

import { median } from '../base/stats'
import type { Experience } from '../memory/experience'
import type { Charges } from '../memory/inline'
import type { ThreadCosts } from '../testing/simulated-thread'

/** What a message takes of the thread that sends or reads it, and how long it travels, in ms; as `npm run bench -- memory-thread` measures it. */
export const MESSAGES = { message: 0.015, way: 0.05 }
/** Queries that are timed. */
const TIMED = 40

/** A query and the model's answer to it. */
export interface LearnedPair {
  query: Float32Array
  own: Float32Array
}

/** Looks a query up and learns its answer, each part within `timed`. */
export function recallAndTrain(
  experience: Experience,
  { query, own }: LearnedPair,
  timed: <T>(what: keyof Charges, run: () => T) => T,
): void {
  timed('lookUp', () => experience.recall(query))
  const lesson = experience.train(query, own)
  timed('comparing', () => lesson.next())
  while (!timed('step', () => lesson.next()).done) {}
}

/**
 * Teaches a memory these pairs; the last of them are timed.
 *
 * @param experience  a new one, which is used up
 */
export function memoryCosts(experience: Experience, pairs: readonly LearnedPair[]): ThreadCosts {
  const times: Record<keyof Charges, number[]> = { lookUp: [], comparing: [], step: [] }
  for (const [i, pair] of pairs.entries()) {
    experience.confidence.observe(pair.own)
    if (i < pairs.length - TIMED) {
      Array.from(experience.train(pair.query, pair.own))
      continue
    }
    recallAndTrain(experience, pair, (what, run) => {
      const since = performance.now()
      const result = run()
      times[what].push(performance.now() - since)
      return result
    })
  }
  const usual = (what: keyof Charges) => median(times[what]) ?? 0
  return { lookUp: usual('lookUp'), comparing: usual('comparing'), step: usual('step'), ...MESSAGES }
}
