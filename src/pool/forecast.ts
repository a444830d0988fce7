/**
 * Predicts from service times and the queue whether a query can be answered in time. Under overload machines then only work on queries that can be,
 * and a refused caller knows at once. Alternatives that were worse: docs/appendix/research.md.
 */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { callerOf, type Turn } from './attempt'
import type { PooledAttempt } from './batch'
import type { Member } from './member'
import type { Queue } from './queue'
import type { Roster } from './roster'
import type { Speeds } from './speed'

/**
 * A query's chance to be in time after it has waited, relative to its chance if it began at once: what it must be for the query to be admitted, the
 * same while others are refused, and for it to begin. A fixed quantile of service times instead refuses too many where times vary, or wastes work
 * where they do not.
 */
const ADMITTED = { least: 0.8, refusing: 0.95 }
const BEGUN = 0.8
/**
 * A batch of queries is admitted where its last one would be in time, by the forecast. The forecast is multiplied: by more than one to admit the batch,
 * since queries that come later may have their turn before its last; by less to keep it waiting, since service times are known badly while a burst
 * is read.
 */
const MANY = { admitted: 1.25, waiting: 0.5 }
/** A query whose deadline is this many mean times away is in time for sure; its chance is not computed. */
const AMPLE = 1000
/** A query with less of a chance on an idle machine is refused, unless machines are idle: then it measures whether they still take that long. */
const HOPELESS = 0.1
const BUSY = 0.85
/**
 * The queue may be as long as deadlines allow, but a long queue that stands only makes everybody wait. So each refused query shortens the allowed
 * length by as much as LONGER admitted queries lengthen it. A query that is too late even for an idle machine says little about the queue, and
 * counts by its chance there: otherwise callers with a millisecond had all others refused.
 */
const SHORTER = 10
const LONGER = 20
/** The last callers that had a query refused. */
const MOST_CALLERS = 10_000
/** Overload lasts for this many attempts after a refusal. */
const LASTS = 10

/** Queries that go before a query and are not in the queue yet. */
export interface Ahead {
  /** Its caller's, without those of `rows`. */
  readonly own: number
  readonly others: number
  /** Queries of the batch that it is the last of. */
  readonly rows: number
  /** The batch was admitted before, and still waits. */
  readonly isIn: boolean
}

export class Forecast {
  #refusedAt = Number.NEGATIVE_INFINITY
  /** The longest deadline of any query since the queue was empty last: until then all that waits is answered or given up. */
  #longestMs = 0
  /**
   * The share of the time to a deadline that may be spent in the queue, from 0 to 1; for each rank and caller, so that one caller's flood is not
   * another's.
   */
  readonly #lengths = [0, 1, 2].map(() => new Map<string, number>())

  constructor(
    private readonly clock: Clock,
    private readonly queue: Queue,
    private readonly roster: Roster,
    private readonly speeds: Speeds,
  ) {}

  /** Queries were refused a moment ago: attempts of low priority wait. */
  get isOverloaded(): boolean {
    if (this.#refusedAt === Number.NEGATIVE_INFINITY) return false
    return this.clock.now() - this.#refusedAt < LASTS * (this.speeds.serviceTimes.meanMs ?? 0)
  }

  /** Why a query should not be queued; undefined if it may be answered in time, or if that is unknown. @param ahead  for the last query of a batch */
  refusal(leftMs: number, turn: Turn, ahead?: Ahead): ApproxiferError | undefined {
    const { serviceTimes } = this.speeds
    const { free, slots } = this.roster.capacity
    this.#longestMs = this.queue.needed ? Math.max(this.#longestMs, leftMs) : leftMs
    if (serviceTimes.meanMs === undefined || !slots) return undefined
    const before = this.#before(turn, ahead)
    const last = ahead ? this.#before(turn, { ...ahead, own: ahead.own + ahead.rows - 1 }) : before
    const firstMs = free && !before ? 0 : ((before + 0.5) * serviceTimes.meanMs) / slots
    const waitMs = !before && last < free ? 0 : ((last + 0.5 - (before ? 0 : free)) * serviceTimes.meanMs) / slots
    const lengths = this.#lengths[turn.rank]
    if (!lengths.size && leftMs - waitMs > AMPLE * serviceTimes.meanMs) return undefined
    const chance = serviceTimes.chance(leftMs)
    if (chance < HOPELESS && this.roster.utilisation.value > BUSY)
      return this.refused(refusalText(leftMs, 0), this.waitMs(turn, ahead), chance)
    const length = lengths.get(callerOf(turn)) ?? 1
    const least = ADMITTED.refusing + length * (ADMITTED.least - ADMITTED.refusing)
    const isShort = before < this.#shortest || this.queue.lacks(turn)
    const margin = !ahead || !before ? 1 : ahead.isIn ? MANY.waiting : MANY.admitted
    const mayWait = ahead?.isIn || isShort || firstMs <= length * leftMs
    const isIn = !waitMs || (mayWait && serviceTimes.chance(leftMs - margin * waitMs) >= least * chance)
    if (!isIn) this.#lengthen(turn, length - (chance * SHORTER) / (LONGER * slots))
    else if (isShort && length < 1) this.#lengthen(turn, length + 1 / (LONGER * slots))
    if (isIn) return undefined
    return this.refused(refusalText(leftMs, waitMs, ahead?.rows), this.waitMs(turn, ahead), chance)
  }

  /** Milliseconds until `rows` queries are answered on an idle pool, with the margin of admission; undefined if unknown. */
  aloneMs(rows: number): number | undefined {
    const { slots } = this.roster.capacity
    const { meanMs } = this.speeds.serviceTimes
    return meanMs === undefined || !slots ? undefined : (MANY.admitted * rows * meanMs) / slots
  }

  #before(turn: Turn, ahead?: Ahead): number {
    return ahead || this.queue.needed ? this.queue.before(turn, ahead?.own, ahead?.others) : 0
  }

  /** Why an admitted query should not be sent again: it would wait, and too long for most. */
  tooLate(leftMs: number, turn: Turn): ApproxiferError | undefined {
    const { serviceTimes } = this.speeds
    const { free } = this.roster.capacity
    const waitMs = free && !this.#before(turn) ? 0 : this.waitMs(turn, undefined, serviceTimes.meanMs)
    if (!waitMs || serviceTimes.chance(leftMs - waitMs) >= BEGUN * serviceTimes.chance(leftMs)) return undefined
    return this.refused(refusalText(leftMs, waitMs), this.waitMs(turn))
  }

  /**
   * When the queue before a new query is empty, by the latest service times, or because its deadlines pass; undefined if unknown. @param ms  the
   * time of one attempt
   */
  waitMs(turn: Turn, ahead?: Ahead, ms = this.speeds.serviceTimes.latelyMs): number | undefined {
    const { slots } = this.roster.capacity
    const { meanMs } = this.speeds.serviceTimes
    if (meanMs === undefined || !slots) return undefined
    return Math.min(this.#longestMs, ((this.#before(turn, ahead) + 0.5) * ms) / slots)
  }

  /** The shortest queue that keeps all workers busy: longer where several attempts share a run. */
  get #shortest(): number {
    const { slots, mostRows } = this.roster.capacity
    return Math.max(2, slots * (mostRows > 1 ? 3 * this.speeds.serviceTimes.rows : 0.5))
  }

  #lengthen(turn: Turn, length: number): void {
    const lengths = this.#lengths[turn.rank]
    const caller = callerOf(turn)
    lengths.delete(caller) // reinserted as the most recent
    if (length < 1) lengths.set(caller, Math.max(0, length))
    if (lengths.size > MOST_CALLERS) lengths.delete(lengths.keys().next().value as string)
  }

  /** Whether an attempt has waited too long to be worth beginning. @param startsAt  when the worker can begin */
  isHopeless({ dueAt, queuedAt, row }: PooledAttempt, { speed: { slowness } }: Member, startsAt: number): boolean {
    if (dueAt === Number.POSITIVE_INFINITY) return false
    const { serviceTimes, scaling } = this.speeds
    if (dueAt - startsAt > AMPLE * (serviceTimes.meanMs ?? 0)) return false
    const factor = scaling.factor([row.payload as { size: number }]) * (slowness < Infinity ? slowness || 1 : 1)
    return serviceTimes.chance((dueAt - startsAt) / factor) < BEGUN * serviceTimes.chance((dueAt - queuedAt) / factor)
  }

  /**
   * @param waitMs  until the queue before it is empty
   * @param chance  that it would have on an idle machine: the refusal of a query without any says nothing about the load, and stops no hedge
   */
  refused(text: string, waitMs: number | undefined, chance = 1): ApproxiferError {
    if (chance >= HOPELESS) this.#refusedAt = this.clock.now()
    return new ApproxiferError('OVERLOADED', text, { retryMs: waitMs })
  }
}

/** @param rows  of the batch */
function refusalText(leftMs: number, waitMs: number, rows = 1): string {
  const [they, who] = rows > 1 ? [`${rows} queries have`, 'the last of them'] : ['it has', '']
  return `${they} ${Math.round(leftMs)} ms, and ${who && `${who} `}would wait ${Math.round(waitMs)} ms for workers before it is begun: too late for most`
}
