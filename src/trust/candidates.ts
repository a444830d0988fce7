/**
 * The untrusted workers of an open fleet, and which of them is spot-checked next: from each origin one, since all workers of an origin may belong
 * to one person. That is the best one that can be reached; among equals, the first that came. They stand in a line ordered by rank, so that a query
 * looks at few of them, however many there are.
 */

import type { Identity } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Evidence } from './evidence'

/** More right answers than any worker has. */
const MOST_COUNT = 2 ** 40

export interface UntrustedWorker {
  readonly worker: ModelWorker
  readonly origin: string
  /** It is working on a spot check. */
  isExamined: boolean
  /** Right answers when it was placed; a worker that lied ranks last. */
  rank: number
}

export class Candidates {
  readonly #evidence: Pick<Evidence, 'of' | 'isTrusted'>
  readonly #all = new Map<Identity, UntrustedWorker>()
  readonly #origins = new Map<string, Set<UntrustedWorker>>()
  /** Ordered by rank, the highest first. */
  readonly #line: UntrustedWorker[] = []

  constructor(evidence: Pick<Evidence, 'of' | 'isTrusted'>) {
    this.#evidence = evidence
  }

  get(identity: Identity): UntrustedWorker | undefined {
    return this.#all.get(identity)
  }

  /** Whether a worker waits for a spot check. */
  get isAny(): boolean {
    return this.#line.length > 0
  }

  /** Adds a worker, or replaces another one of its identity; it becomes the last of its origin. */
  add(worker: ModelWorker, origin: string): void {
    const identity = identityOf(worker)
    this.delete(identity)
    const candidate = { worker, origin, isExamined: false, rank: 0 }
    this.#all.set(identity, candidate)
    const sameOrigin = this.#origins.get(origin) ?? new Set()
    this.#origins.set(origin, sameOrigin.add(candidate))
    this.place(identity)
  }

  delete(identity: Identity): void {
    const candidate = this.#all.get(identity)
    if (!candidate) return
    const { origin } = candidate
    const sameOrigin = this.#origins.get(origin)
    this.#all.delete(identity)
    sameOrigin?.delete(candidate)
    if (!sameOrigin?.size) this.#origins.delete(origin)
    this.#list(origin)
  }

  /** Ranks a worker anew after its record has changed. @param isLast  whether it goes behind equal ones of its origin */
  place(identity: Identity, isLast = false): void {
    const candidate = this.#all.get(identity)
    if (!candidate) return
    const { lies, proven } = this.#evidence.of(identity)
    candidate.rank = proven - MOST_COUNT * Math.sign(lies)
    const sameOrigin = this.#origins.get(candidate.origin)
    if (isLast && sameOrigin?.delete(candidate)) sameOrigin.add(candidate)
    this.#list(candidate.origin)
  }

  /** Puts the best worker of an origin in line behind those of equal rank, unless it is believed already. */
  #list(origin: string): void {
    const line = this.#line
    const at = line.findIndex((each) => each.origin === origin)
    if (at >= 0) line.splice(at, 1)
    let best: UntrustedWorker | undefined
    for (const each of this.#origins.get(origin) ?? []) {
      const isReachable = !each.worker.gone
      const isBetter = !best || (best.worker.gone ? isReachable : isReachable && each.rank > best.rank)
      if (isBetter) best = each
    }
    if (best && !this.#evidence.isTrusted(identityOf(best.worker))) line.splice(this.#end(best.rank), 0, best)
  }

  /** The position in line behind all workers of this rank or a higher one. */
  #end(rank: number): number {
    let [from, to] = [0, this.#line.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (this.#line[middle].rank >= rank) from = middle + 1
      else to = middle
    }
    return from
  }

  /** The first worker in line that is free; among those of equal rank a random one. @param coin  uniform, from 0 to 1 */
  next(coin: number, isFree: (candidate: UntrustedWorker) => boolean): UntrustedWorker | undefined {
    for (let from = 0; from < this.#line.length; ) {
      const end = this.#end(this.#line[from].rank)
      const first = Math.floor(coin * (end - from))
      for (let i = 0; i < end - from; i++) {
        const candidate = this.#line[from + ((first + i) % (end - from))]
        if (isFree(candidate)) return candidate
        if (candidate.worker.gone && this.#isReplaced(candidate)) return this.next(coin, isFree)
      }
      from = end
    }
  }

  /** Whether it has left while another worker of its origin is there. */
  #isReplaced({ origin }: UntrustedWorker): boolean {
    if ([...(this.#origins.get(origin) ?? [])].every(({ worker }) => worker.gone)) return false
    this.#list(origin)
    return true
  }
}
