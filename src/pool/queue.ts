/**
 * Attempts that wait for a worker: three priorities. Of those of queries the higher ranks go first, tenants take turns, and of one tenant the
 * first come is the first served.
 */

import { Deque } from '../deque'
import type { Turn } from './attempt'
import type { PooledAttempt } from './pooled-attempt'

/** Attempts to try on a worker, so that one it may not take blocks nobody behind it and a deep queue is never scanned. */
export const LOOKAHEAD = 256

/** Attempts of one rank, by tenant: whose turn it is comes first. */
class Rank {
  readonly #lines = new Map<string, Deque<PooledAttempt>>()
  size = 0

  of(tenant: string): Deque<PooledAttempt> {
    let line = this.#lines.get(tenant)
    if (!line) this.#lines.set(tenant, (line = new Deque()))
    return line
  }

  remove({ turn, at }: PooledAttempt, isTaken: boolean): void {
    const line = this.of(turn.tenant)
    this.size -= line.size
    line.remove(at as number)
    this.size += line.size
    const { size } = this.#lines
    if (size === 1 || (line.size && !isTaken)) return
    this.#lines.delete(turn.tenant) // and in again as the last
    if (line.size) this.#lines.set(turn.tenant, line)
  }

  get first(): PooledAttempt | undefined {
    for (const line of this.#lines.values()) if (line.size) return line.first
  }

  /** How many have their turn before one that comes now. */
  before(tenant: string): number {
    const own = this.#lines.get(tenant)?.size ?? 0
    return Math.min(this.size, (own + 1) * this.#lines.size)
  }

  /** In their order as far as lines are equally long. */
  find(skip: number, lookahead: number, willDo: (attempt: PooledAttempt) => boolean): PooledAttempt | undefined {
    if (skip >= this.size) return undefined
    const { size } = this.#lines
    let at = 0
    for (const line of this.#lines.values()) {
      const own = Math.max(0, Math.ceil((skip - at++) / size))
      const attempt = line.find(own, Math.ceil(lookahead / size), willDo)
      if (attempt) return attempt
    }
  }

  *[Symbol.iterator](): Generator<PooledAttempt> {
    for (const line of this.#lines.values()) yield* line
  }
}

export class Queue {
  readonly #high = new Deque<PooledAttempt>()
  /** Of queries, the highest first. */
  readonly #ranks = [new Rank(), new Rank(), new Rank()] as const
  readonly #low = new Deque<PooledAttempt>()

  /** Those that cannot be done without: all but those of low priority. */
  get needed(): number {
    const [first, second, third] = this.#ranks
    return this.#high.size + first.size + second.size + third.size
  }

  /** Those that can. */
  get low(): number {
    return this.#low.size
  }

  /** The first that cannot be done without. */
  get first(): PooledAttempt | undefined {
    const [first, second, third] = this.#ranks
    return this.#high.first ?? first.first ?? second.first ?? third.first
  }

  /** How many that cannot be done without have their turn before a query that comes now. */
  before({ rank, tenant }: Turn): number {
    let before = this.#high.size + this.#ranks[rank].before(tenant)
    for (let higher = 0; higher < rank; higher++) before += this.#ranks[higher].size
    return before
  }

  #line({ priority, turn }: PooledAttempt): Deque<PooledAttempt> {
    if (priority !== 'normal') return priority === 'high' ? this.#high : this.#low
    return this.#ranks[turn.rank].of(turn.tenant)
  }

  push(attempt: PooledAttempt): void {
    attempt.at = this.#line(attempt).push(attempt)
    if (attempt.priority === 'normal') this.#ranks[attempt.turn.rank].size++
  }

  /** In front of all others of its priority and tenant. */
  unshift(attempt: PooledAttempt): void {
    attempt.at = this.#line(attempt).unshift(attempt)
    if (attempt.priority === 'normal') this.#ranks[attempt.turn.rank].size++
  }

  /** @param isTaken  by a worker: other tenants have their turn */
  remove(attempt: PooledAttempt, isTaken = false): void {
    if (attempt.priority === 'normal') this.#ranks[attempt.turn.rank].remove(attempt, isTaken)
    else this.#line(attempt).remove(attempt.at as number)
  }

  /** The first needed one that will do, behind `skip` others. */
  find(skip: number, willDo: (attempt: PooledAttempt) => boolean, lookahead = LOOKAHEAD): PooledAttempt | undefined {
    let attempt = skip < this.#high.size ? this.#high.find(skip, lookahead, willDo) : undefined
    let left = Math.max(0, skip - this.#high.size)
    for (const rank of this.#ranks) {
      attempt ??= rank.find(left, lookahead, willDo)
      left = Math.max(0, left - rank.size)
    }
    return attempt
  }

  /** The first of low priority that will do. */
  findLow(willDo: (attempt: PooledAttempt) => boolean): PooledAttempt | undefined {
    return this.#low.find(0, LOOKAHEAD, willDo)
  }

  /** All, high before normal before low. */
  get all(): PooledAttempt[] {
    return [this.#high, ...this.#ranks, this.#low].flatMap((line) => [...line])
  }
}
