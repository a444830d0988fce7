/**
 * Attempts that wait for a worker, on levels: high priority, queries by rank, low priority. On each level callers take turns, as many in a row as
 * their weight; each caller's attempts are in order.
 */

import { Deque } from '../base/arrays'
import type { Clock } from '../base/clock'
import { callerOf, type Turn } from './attempt'
import type { PooledAttempt } from './batch'

/** Attempts that are tried on a worker: one that it may not take must not block others, and a long queue is never scanned as a whole. */
export const LOOKAHEAD = 256

/** One caller's attempts. */
class Line extends Deque<PooledAttempt> {
  /** Turns that it had in a row, and what was taken in the last one. */
  turns = 0
  taken: readonly PooledAttempt[] | undefined

  constructor(
    readonly caller: string,
    readonly weight: number,
  ) {
    super()
  }

  /** Puts it before those that came later. @returns its index */
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

  /** Whether the caller's turns are over. @param taken  attempts that a worker took at once: one turn */
  isOver(taken: readonly PooledAttempt[]): boolean {
    if (this.taken !== taken) this.turns = (this.turns + 1) % this.weight
    this.taken = taken
    return this.turns === 0
  }
}

/** One level, by caller, the next one first. */
class Level {
  readonly #lines = new Map<string, Line>()
  #weights = 0
  /** The line of the only caller, the usual case: a map costs as much as all else here. */
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
    if (taken ? !line.isOver(taken) : line.size) return // its turns go on, also while its next attempt is still to come
    this.#lines.delete(line.caller) // reinserted as the last
    if (line.size) this.#lines.set(line.caller, line)
    else this.#weights -= line.weight
  }

  /** A caller without queued attempts loses its remaining turns to the next one. */
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

  /** How many attempts come before a new one. @param more, others  to be queued before it, by its caller and by others */
  before(turn: Turn, more = 0, others = 0): number {
    const caller = callerOf(turn)
    if (this.#only?.caller === caller) return this.size + more
    const own = this.#lines.get(caller)
    const turns = (own?.size ?? 0) + 1 + more
    const weight = own?.weight ?? turn.weight ?? 1
    return Math.min(this.size + more + others, (turns * this.#weights) / weight + (own ? 0 : more))
  }

  /** Whether a caller has queued fewer attempts than its turns, where weights differ: it would lose some. */
  lacks(turn: Turn): boolean {
    if (this.#only || this.#weights === this.#lines.size) return false
    const own = this.#lines.get(callerOf(turn))
    return (own?.size ?? 0) < (own?.weight ?? turn.weight ?? 1)
  }

  /** In order, as long as all callers have equally many. */
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
  /** Queries, the highest rank first. */
  readonly #ranks = [new Level(), new Level(), new Level()] as const
  readonly low = new Level()
  /** How many attempts are not of low priority; set here only. */
  needed = 0

  /** The first attempt; one of low priority only if no other waits. */
  get first(): PooledAttempt | undefined {
    const [first, second, third] = this.#ranks
    return this.#high.first ?? first.first ?? second.first ?? third.first ?? this.low.first
  }

  /** How many attempts, low priority aside, come before a new query. @param more, others  to be queued before it, by its caller and by others */
  before(turn: Turn, more?: number, others?: number): number {
    const { rank } = turn
    let before = this.#high.size + this.#ranks[rank].before(turn, more, others)
    for (let higher = 0; higher < rank; higher++) before += this.#ranks[higher].size
    return before
  }

  /** Whether a caller has queued too few attempts for its share, where weights differ. */
  lacks(turn: Turn): boolean {
    return this.#ranks[turn.rank].lacks(turn)
  }

  #levelOf({ priority, turn }: PooledAttempt): Level {
    if (priority === 'normal') return this.#ranks[turn.rank]
    return priority === 'high' ? this.#high : this.low
  }

  /** @param isAgain  it was queued before, and keeps its place among its caller's */
  push(attempt: PooledAttempt, isAgain = false): void {
    if (attempt.priority !== 'low') this.needed++
    this.#levelOf(attempt).add(attempt, isAgain)
  }

  /** @param taken  all that a worker takes now, this one included: their callers have had a turn */
  remove(attempt: PooledAttempt, taken?: readonly PooledAttempt[]): void {
    if (attempt.priority !== 'low') this.needed--
    this.#levelOf(attempt).remove(attempt, taken)
  }

  /** The first attempt above low priority that will do, after skipping `skip`. */
  find(skip: number, willDo: (attempt: PooledAttempt) => boolean, lookahead = LOOKAHEAD): PooledAttempt | undefined {
    let attempt = skip < this.#high.size ? this.#high.find(skip, lookahead, willDo) : undefined
    let left = Math.max(0, skip - this.#high.size)
    for (const rank of this.#ranks) {
      attempt ??= rank.size ? rank.find(left, lookahead, willDo) : undefined
      left = Math.max(0, left - rank.size)
    }
    return attempt
  }

  /** All attempts, high before normal before low. */
  get all(): PooledAttempt[] {
    return [this.#high, ...this.#ranks, this.low].flatMap((level) => [...level])
  }
}

/** For how long attempts have been waiting; decreases while none waits. */
export class Waiting {
  #ms = 0
  #at: number
  #isAny = false

  constructor(private readonly clock: Clock) {
    this.#at = clock.now()
  }

  /** Whether attempts wait from now on. */
  set isAny(isAny: boolean) {
    if (!isAny && !this.#isAny && !this.#ms) return // the usual case, and reading a clock costs as much as all else here
    this.#proceed()
    this.#isAny = isAny
  }

  /** @param mostMs  the most that counts; it also takes this long to be forgotten */
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
