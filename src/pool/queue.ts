/**
 * Attempts that wait for a worker: those of high priority, those of queries by their rank, those of low priority. On each of these levels
 * callers take turns, as many as their weight in a row, and of one caller the first come is the first served.
 */

import { Deque } from '../base/arrays'
import type { Clock } from '../base/clock'
import { callerOf, type Turn } from './attempt'
import type { PooledAttempt } from './batch'

/** Attempts to try on a worker, so that one it may not take blocks nobody behind it and a deep queue is never scanned. */
export const LOOKAHEAD = 256

/** A caller's. */
class Line extends Deque<PooledAttempt> {
  /** Turns in a row that it had, and what was taken in the last. */
  turns = 0
  taken: readonly PooledAttempt[] | undefined

  constructor(
    readonly caller: string,
    readonly weight: number,
  ) {
    super()
  }

  /** In front of those that came later. @returns its place */
  putBack(attempt: PooledAttempt): number {
    const earlier: PooledAttempt[] = []
    for (let { first } = this; first && first.order < attempt.order; first = this.first) {
      this.shift()
      earlier.push(first)
    }
    const place = this.unshift(attempt)
    for (const each of earlier.reverse()) each.place = this.unshift(each)
    return place
  }

  /** Others are next. @param taken  by a worker at a time: one turn */
  isOver(taken: readonly PooledAttempt[]): boolean {
    if (this.taken !== taken) this.turns = (this.turns + 1) % this.weight
    this.taken = taken
    return this.turns === 0
  }
}

/** Attempts of one level, by caller: whose turn it is comes first. */
class Level {
  readonly #lines = new Map<string, Line>()
  #weights = 0
  /** That of the only caller, as often there is one: a map costs as much as all else here. */
  #only: Line | undefined
  size = 0

  add(attempt: PooledAttempt, isAgain: boolean): void {
    const line = this.#line(attempt.turn)
    attempt.batch = undefined
    attempt.place = isAgain ? line.putBack(attempt) : line.push(attempt)
    this.size++
  }

  #line(turn: Turn): Line {
    const caller = callerOf(turn)
    const known = this.#only?.caller === caller ? this.#only : this.#lines.get(caller)
    if (known) return known
    const line = new Line(caller, turn.weight ?? 1)
    this.#weights += line.weight
    this.#only = this.#lines.size ? undefined : line
    this.#lines.set(caller, line)
    return line
  }

  remove({ turn, place }: PooledAttempt, taken?: readonly PooledAttempt[]): void {
    const line = this.#line(turn)
    line.remove(place as number)
    this.size--
    if (this.#only) return
    if (taken) this.#forfeit(line)
    if (taken ? !line.isOver(taken) : line.size) return // its turns go on, also where its next one is yet to come
    this.#lines.delete(line.caller) // and in again as the last
    if (line.size) this.#lines.set(line.caller, line)
    else this.#weights -= line.weight
  }

  /** A caller that had nothing queued while it had turns left loses these: it is another's turn. */
  #forfeit(other: Line): void {
    for (const line of this.#lines.values()) {
      if (line === other || line.size || !line.turns) return
      this.#lines.delete(line.caller)
      this.#weights -= line.weight
    }
  }

  get first(): PooledAttempt | undefined {
    for (const line of this.#lines.values()) if (line.size) return line.first
    return undefined
  }

  /** How many have their turn before one that comes now. @param more, others  that come before it, its caller's and others' */
  before(turn: Turn, more = 0, others = 0): number {
    const caller = callerOf(turn)
    if (this.#only?.caller === caller) return this.size + more
    const own = this.#lines.get(caller)
    const turns = (own?.size ?? 0) + 1 + more
    const weight = own?.weight ?? turn.weight ?? 1
    return Math.min(this.size + more + others, (turns * this.#weights) / weight + (own ? 0 : more))
  }

  /** Whether a caller has fewer than its turns in a row, where some have more than others: it would have to forfeit some. */
  lacks(turn: Turn): boolean {
    if (this.#only || this.#weights === this.#lines.size) return false
    const own = this.#lines.get(callerOf(turn))
    return (own?.size ?? 0) < (own?.weight ?? turn.weight ?? 1)
  }

  /** In their order as far as lines are equally long. */
  find(skip: number, lookahead: number, willDo: (attempt: PooledAttempt) => boolean): PooledAttempt | undefined {
    if (this.#only) return this.#only.find(skip, lookahead, willDo)
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
  readonly #high = new Level()
  /** Of queries, the highest first. */
  readonly #ranks = [new Level(), new Level(), new Level()] as const
  /** Those that can be done without. */
  readonly low = new Level()
  /** How many there are of all others; written here alone. */
  needed = 0

  /** One of low priority only where no other waits. */
  get first(): PooledAttempt | undefined {
    const [first, second, third] = this.#ranks
    return this.#high.first ?? first.first ?? second.first ?? third.first ?? this.low.first
  }

  /** How many queued attempts, parities aside, have their turn before a query that comes now. @param more, others  queries that come with it and before it, of its own caller and of others */
  before(turn: Turn, more?: number, others?: number): number {
    const { rank } = turn
    let before = this.#high.size + this.#ranks[rank].before(turn, more, others)
    for (let higher = 0; higher < rank; higher++) before += this.#ranks[higher].size
    return before
  }

  /** Whether too few wait for a caller to have its share, where weights differ. */
  lacks(turn: Turn): boolean {
    return this.#ranks[turn.rank].lacks(turn)
  }

  #levelOf({ priority, turn }: PooledAttempt): Level {
    if (priority === 'normal') return this.#ranks[turn.rank]
    return priority === 'high' ? this.#high : this.low
  }

  /** @param isAgain  it was queued before, and keeps its place among those of its level and caller */
  push(attempt: PooledAttempt, isAgain = false): void {
    if (attempt.priority !== 'low') this.needed++
    this.#levelOf(attempt).add(attempt, isAgain)
  }

  /** @param taken  all that a worker takes now, this one included: their callers have had a turn */
  remove(attempt: PooledAttempt, taken?: readonly PooledAttempt[]): void {
    if (attempt.priority !== 'low') this.needed--
    this.#levelOf(attempt).remove(attempt, taken)
  }

  /** The first needed one that will do, behind `skip` others. */
  find(skip: number, willDo: (attempt: PooledAttempt) => boolean, lookahead = LOOKAHEAD): PooledAttempt | undefined {
    let attempt = skip < this.#high.size ? this.#high.find(skip, lookahead, willDo) : undefined
    let left = Math.max(0, skip - this.#high.size)
    for (const rank of this.#ranks) {
      attempt ??= rank.size ? rank.find(left, lookahead, willDo) : undefined
      left = Math.max(0, left - rank.size)
    }
    return attempt
  }

  /** All, high before normal before low. */
  get all(): PooledAttempt[] {
    return [this.#high, ...this.#ranks, this.low].flatMap((level) => [...level])
  }
}

/** For how long attempts have waited, less for how long none has. */
export class Waiting {
  #ms = 0
  #at: number
  #isAny = false

  constructor(private readonly clock: Clock) {
    this.#at = clock.now()
  }

  /** Whether any waits from now on. */
  set isAny(isAny: boolean) {
    if (!isAny && !this.#isAny && !this.#ms) return // most of the time, and a clock costs as much as all else here
    this.#proceed()
    this.#isAny = isAny
  }

  /** @param mostMs  what counts: it is forgotten as soon */
  msOf(mostMs: number): number {
    this.#proceed()
    this.#ms = Math.min(mostMs, this.#ms)
    return this.#ms
  }

  #proceed(): void {
    const now = this.clock.now()
    this.#ms = Math.max(0, this.#ms + (this.#isAny ? now - this.#at : this.#at - now))
    this.#at = now
  }
}
