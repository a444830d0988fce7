/** Who is slow. Now and then a slow worker gets a copy of a query that runs elsewhere, to show whether it has recovered. */

import type { Clock } from '../clock'
import type { Payload } from '../payload'
import type { Attempt } from './attempt'
import { type Batch, PooledAttempt } from './batch'
import type { Member } from './member'
import type { Speeds } from './speed'

/** Share of the workers' time for probes, how much of it may be saved up in ms, and queries between two of them. */
const PROBING = 0.01
const SAVED_UP_MS = 100
const PROBE_EVERY = 50
/**
 * An attempt cancelled when it was late is counted as if it had taken LONGER times its age. With 1 the p99.9 of clones was 1.5
 * times as much where slow machines wander.
 */
const LONGER = 1.5
/** Slow workers to try for one that is idle. */
const OFFERS = 32

export class Probing {
  readonly #speeds: Speeds
  /** Those to probe, the first one next. */
  readonly #slow = new Set<Member>()
  /** Milliseconds that probes may take, and when that was reckoned. */
  #savedMs = 0
  #at: number
  #queries = 0

  constructor(clock: Clock, speeds: Speeds) {
    this.#speeds = speeds
    this.#at = clock.now()
  }

  /** Whether a worker has been at a run for longer than it takes. */
  isLate({ speed }: Member, { phase, comparable, startedAt, factor }: Batch, now: number): boolean {
    return phase === 'running' && comparable && (now - startedAt) / factor > this.#speeds.expectedMs(speed)
  }

  /** What a run took tells how long one attempt takes alone, however many there were. */
  learn(
    member: Member,
    { attempts, phase, startedAt, measured, best, factor, comparable }: Batch,
    now: number,
    isLate: boolean,
  ): void {
    if (best === 'refused') return
    const ms = now - startedAt
    if (phase !== 'ahead') this.#speeds.pace.add(ms / attempts.length, attempts.length)
    if (best === 'cancelled') return isLate ? this.rate(member, (LONGER * ms) / factor) : undefined
    const sized = this.#speeds.scaling.factor(attempts)
    if (measured && best === 'answered') member.batching?.add(attempts.length, ms / sized)
    if (attempts.length > 1 && best === 'failed') member.batching?.fail(attempts.length)
    if (best === 'failed') this.rate(member, Number.POSITIVE_INFINITY)
    else if (comparable) {
      this.rate(member, ms / factor)
      this.#speeds.scaling.add(member.speed.last, attempts, (ms * sized) / factor)
    }
  }

  /** What an attempt of typical size took that a worker had for itself; Infinity: it failed. */
  rate(member: Member, ms: number): void {
    if (member.state.is === 'leaving') return
    this.#speeds.add(member.speed, ms)
    member.patience = this.#speeds.patience(member.speed)
    if (member.patience && !member.isPlain) this.#slow.add(member)
  }

  /** A worker leaves. */
  forget(member: Member): void {
    this.#speeds.forget(member.speed)
    this.#slow.delete(member)
  }

  /**
   * A query has begun at a worker.
   *
   * @param slots  of all workers
   * @param now    the time
   * @returns a slow worker that is idle and an attempt for it, if one is due; to look for one costs as much as a query
   */
  next(payload: unknown, slots: number, now: number): { member: Member; attempt: PooledAttempt } | undefined {
    this.#savedMs = Math.min(SAVED_UP_MS, this.#savedMs + PROBING * slots * (now - this.#at))
    this.#at = now
    if (++this.#queries < PROBE_EVERY || this.#savedMs <= 0 || !this.#slow.size) return undefined
    this.#queries = 0
    const member = this.#idle()
    if (!member) return undefined
    const expectedMs = member.speed.ms as number
    const owner = { settled: (attempt: Attempt) => this.#spend(attempt, expectedMs) }
    return {
      member,
      attempt: new PooledAttempt({ payload: (payload as Payload).kept(), owner, apart: [], priority: 'low' }, now),
    }
  }

  /** An idle one that is slow, in turn. */
  #idle(): Member | undefined {
    for (let left = Math.min(OFFERS, this.#slow.size); left > 0; left--) {
      const [member] = this.#slow
      this.#slow.delete(member)
      if (!this.#speeds.patience(member.speed)) continue
      this.#slow.add(member)
      if (member.state.is === 'ready' && !member.slots.busy && member.machine.hasRoom && member.isFree) return member
    }
  }

  #spend({ ranMs, factor, outcome }: Attempt, expectedMs: number): void {
    this.#savedMs -= ranMs
    // It seems to have recovered: the next one is due at once, and will tell.
    if (outcome?.kind === 'answered' && ranMs < (factor * expectedMs) / 2) this.#queries = PROBE_EVERY
  }
}
