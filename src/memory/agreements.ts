/** Counts how often recovered answers were right. */

import type { RecoverySource } from '../base/prediction'
import { wilson } from '../base/stats'

export const sources: readonly RecoverySource[] = ['code', 'memory']

/** The most queries of one group that can be missing. */
export const MOST_MISSING = 1000
/** The most tallies; when there are more, the older half is merged, without the workers' names. */
export const MOST_TALLIES = 2 * sources.length * MOST_MISSING

/** How often recovered answers were right, by source and number of missing queries. */
export interface Agreement {
  source: RecoverySource
  missing: number
  /** The number of recoveries whose own answer came later. */
  graded: number
  /** The number of right recoveries among them. */
  agreed: number
  /** Wilson's 95 % interval of agreed / graded. */
  ci95: [low: number, high: number]
}

/** An agreement by the answers of one worker; undefined if the worker is unknown. */
export interface Tally extends Omit<Agreement, 'ci95'> {
  from: string | undefined
}

export class Agreements {
  /** A tally for each source, number of missing queries and worker, the oldest first. */
  readonly #tallies = new Map<string, Tally>()

  constructor(tallies: Iterable<Tally> = []) {
    for (const tally of tallies) this.add(tally)
  }

  add({ source, missing, from, graded, agreed }: Tally): void {
    const key = `${source} ${missing} ${from === undefined ? '' : `of ${from}`}`
    const sum = this.#tallies.get(key) ?? { graded: 0, agreed: 0 }
    this.#tallies.set(key, { source, missing, from, graded: graded + sum.graded, agreed: agreed + sum.agreed })
    if (this.#tallies.size <= MOST_TALLIES) return
    const all = this.tallies
    this.#tallies.clear()
    for (const [i, each] of all.entries()) this.add(i < all.length / 2 ? { ...each, from: undefined } : each)
  }

  forget(from: string): void {
    for (const [key, tally] of this.#tallies) if (tally.from === from) this.#tallies.delete(key)
  }

  get tallies(): Tally[] {
    return [...this.#tallies.values()]
  }

  /** The agreements over all workers. */
  get all(): Agreement[] {
    const { tallies } = new Agreements(this.tallies.map((tally) => ({ ...tally, from: undefined })))
    return tallies.map(({ from: _, ...each }) => ({ ...each, ci95: wilson(each.agreed, each.graded) }))
  }
}
