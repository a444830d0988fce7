/** A memory that says what a seeded draw decides, now or later. */

import type { Clock } from '../../src/base/clock'
import type { Random } from '../../src/base/random'
import type { MemoryService, RecalledAnswer } from '../../src/memory/service'

/** @param answerTo  what it remembers of a query: by default that itself */
export function randomMemory(clock: Clock, random: Random, over: Partial<MemoryService> = {}): MemoryService {
  const recall = (query: Float32Array, told: (said: RecalledAnswer | undefined, ms: number | undefined) => void) => {
    const said = {
      answer: query.slice(),
      source: 'memory',
      missing: 1,
      confidence: random.next(),
      signals: undefined,
      epoch: 0,
    } as const
    const tell = () => (random.next() < 0.7 ? told(said, 0.1) : told(undefined, undefined))
    if (random.next() < 0.5) tell()
    else clock.after(30 * random.next(), tell)
  }
  return {
    isWarm: true,
    lookupMs: 0.1,
    isCurrent: () => random.next() < 0.9,
    best: (all) => ({ recovery: all[0], confidence: random.next() }),
    grade: () => true,
    agrees: () => random.next() < 0.9,
    learn() {},
    rehearse() {},
    study: (rehearsals) => void Array.from(rehearsals),
    recall: (query, _, told) => recall(query, told),
    forget() {},
    renew() {},
    save: async () => new Uint8Array(),
    stats: () => ({ pairs: 0, tolerance: undefined, tolerances: {}, agreements: [] }),
    close() {},
    ...over,
  }
}
