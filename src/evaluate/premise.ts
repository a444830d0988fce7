/** What a verdict supposes of the workers and of the queries, where nothing was measured. */

export interface Premise {
  /** Workers in the pool. */
  readonly workers: number
  /** Share of the time, 0..1, for which a worker is busy if no query is asked twice. */
  readonly load: number
  /** Share of answers, 0..1, that come late. */
  readonly stragglerRate: number
  /** How much later these come than the others, in milliseconds; the worker is busy meanwhile. */
  readonly lateMs: number
}

/** Unless said, a straggler takes this many times as long as others, or this many milliseconds if that is more. */
const LATE = { times: 10, leastMs: 20 }

/** @param ownMs  what an answer takes that is not late */
export const lateMsOf = (ownMs: number) => Math.max(LATE.leastMs, LATE.times * ownMs)

/** Mean time between two queries, in milliseconds. @param meanMs  what an answer takes on average that is not late */
export function gapMsOf({ workers, load, stragglerRate, lateMs }: Premise, meanMs: number): number {
  return (meanMs + stragglerRate * lateMs) / (load * workers)
}
