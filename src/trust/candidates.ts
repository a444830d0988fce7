/**
 * Strangers that are there, and which of those that are not believed is examined next: of each origin the best that can be reached, of equal ones
 * the first, since the others may be the same person. These stand in a line, so that a query looks at few, however many there are.
 */

import type { Identity } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Evidence } from './evidence'

/** More right answers than anybody has. */
const MOST_COUNT = 2 ** 40

export interface Stranger {
  readonly worker: ModelWorker
  readonly origin: string
  /** It is at work on a quiz. */
  isExamined: boolean
  /** Right answers when it was placed; who lied comes last. */
  rank: number
}

export class Candidates {
  readonly #evidence: Pick<Evidence, 'of' | 'isTrusted'>
  readonly #all = new Map<Identity, Stranger>()
  readonly #origins = new Map<string, Set<Stranger>>()
  /** By rank, the highest first. */
  readonly #line: Stranger[] = []

  constructor(evidence: Pick<Evidence, 'of' | 'isTrusted'>) {
    this.#evidence = evidence
  }

  get(identity: Identity): Stranger | undefined {
    return this.#all.get(identity)
  }

  /** Whether anybody is to be examined. */
  get isAny(): boolean {
    return this.#line.length > 0
  }

  /** A worker has come, or is left, of its identity; it is the last of its origin. */
  add(worker: ModelWorker, origin: string): void {
    const identity = identityOf(worker)
    this.delete(identity)
    const stranger = { worker, origin, isExamined: false, rank: 0 }
    this.#all.set(identity, stranger)
    const friends = this.#origins.get(origin) ?? new Set()
    this.#origins.set(origin, friends.add(stranger))
    this.place(identity)
  }

  delete(identity: Identity): void {
    const stranger = this.#all.get(identity)
    if (!stranger) return
    const { origin } = stranger
    const friends = this.#origins.get(origin)
    this.#all.delete(identity)
    friends?.delete(stranger)
    if (!friends?.size) this.#origins.delete(origin)
    this.#list(origin)
  }

  /** What it has earned has changed. @param isLast  of equal ones of its origin it is the last now */
  place(identity: Identity, isLast = false): void {
    const stranger = this.#all.get(identity)
    if (!stranger) return
    const { lies, proven } = this.#evidence.of(identity)
    stranger.rank = proven - MOST_COUNT * Math.sign(lies)
    const friends = this.#origins.get(stranger.origin)
    if (isLast && friends?.delete(stranger)) friends.add(stranger)
    this.#list(stranger.origin)
  }

  /** The best of an origin stands in line, unless it is believed; behind those of its rank. */
  #list(origin: string): void {
    const line = this.#line
    const at = line.findIndex((each) => each.origin === origin)
    if (at >= 0) line.splice(at, 1)
    let best: Stranger | undefined
    for (const each of this.#origins.get(origin) ?? []) {
      const isReachable = !each.worker.gone
      const isBetter = !best || (best.worker.gone ? isReachable : isReachable && each.rank > best.rank)
      if (isBetter) best = each
    }
    if (best && !this.#evidence.isTrusted(identityOf(best.worker))) line.splice(this.#end(best.rank), 0, best)
  }

  /** Where in line those end that have such a rank or a higher one. */
  #end(rank: number): number {
    let [from, to] = [0, this.#line.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (this.#line[middle].rank >= rank) from = middle + 1
      else to = middle
    }
    return from
  }

  /** The first in line that could take a row; of those of its rank any. @param coin  uniform, from 0 to 1 */
  next(coin: number, isFree: (stranger: Stranger) => boolean): Stranger | undefined {
    for (let from = 0; from < this.#line.length; ) {
      const end = this.#end(this.#line[from].rank)
      const first = Math.floor(coin * (end - from))
      for (let i = 0; i < end - from; i++) {
        const stranger = this.#line[from + ((first + i) % (end - from))]
        if (isFree(stranger)) return stranger
        if (stranger.worker.gone && this.#isReplaced(stranger)) return this.next(coin, isFree)
      }
      from = end
    }
  }

  /** It is gone, and another one of its origin is not. */
  #isReplaced({ origin }: Stranger): boolean {
    if ([...(this.#origins.get(origin) ?? [])].every(({ worker }) => worker.gone)) return false
    this.#list(origin)
    return true
  }
}
