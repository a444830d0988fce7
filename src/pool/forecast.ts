/**
 * Whether a query can be answered in time, by what attempts took and what waits before it. Under overload the machines are then at work on
 * nothing but what can, and a refused caller knows at once. What lost to this: docs/serving.md, Overload.
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
 * Of its chance to be answered in time, were it begun at once: what must be left when a query has waited, to be let in, more of it
 * while others are refused, and to be begun. A
 * fixed quantile of the times in the place of a share refuses too many where times vary, or keeps workers busy in vain where they do not.
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
/** A query with less of a chance on an idle machine is refused, unless machines idle: then it shows whether they still take so long. */
const HOPELESS = 0.1
const BUSY = 0.85
/**
 * The queue may be as long as deadlines allow, but a long one that stands only keeps everybody waiting: each query that is refused shortens
 * it by as much as LONGER queries that come while it is short make it longer. One that was too late for an idle machine as well says
 * nothing of the queue, and counts by its chance there: callers with a millisecond had all others refused.
 */
const SHORTER = 10
const LONGER = 20
/** Refused callers that are remembered: those that were refused last. */
const MOST_CALLERS = 10_000
/** There is an overload for as many attempts after a query was refused. */
const LASTS = 10

/** What a query does not find in the queue, and goes before it. */
export interface Ahead {
  /** Its caller's, but for those of `rows`. */
  readonly own: number
  readonly others: number
  /** That are asked together, of which it is the last. */
  readonly rows: number
  /** They were let in before, and wait still. */
  readonly isIn: boolean
}

export class Forecast {
  #refusedAt = Number.NEGATIVE_INFINITY
  /** The most time that any had who has come since nobody waited: what waits is answered by then, or given up. */
  #longestMs = 0
  /** Of the time to a deadline, what may be spent in the queue: from 0 to 1; of each rank and caller, since one's flood is not another's. */
  readonly #lengths = [0, 1, 2].map(() => new Map<string, number>())

  constructor(
    private readonly clock: Clock,
    private readonly queue: Queue,
    private readonly roster: Roster,
    private readonly speeds: Speeds,
  ) {}

  /** Queries were refused a moment ago: what can be done without waits until none is. */
  get isOverloaded(): boolean {
    if (this.#refusedAt === Number.NEGATIVE_INFINITY) return false
    return this.clock.now() - this.#refusedAt < LASTS * (this.speeds.serviceTimes.meanMs ?? 0)
  }

  /** Why a query should not wait; undefined where it may well be answered in time, or nobody knows. @param ahead  where it is the last of several */
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

  /** Milliseconds until `rows` are answered where nothing else is to do, with the margin of admission; undefined where nobody knows. */
  aloneMs(rows: number): number | undefined {
    const { slots } = this.roster.capacity
    const { meanMs } = this.speeds.serviceTimes
    return meanMs === undefined || !slots ? undefined : (MANY.admitted * rows * meanMs) / slots
  }

  #before(turn: Turn, ahead?: Ahead): number {
    return ahead || this.queue.needed ? this.queue.before(turn, ahead?.own, ahead?.others) : 0
  }

  /** Why one that was let in is not to be asked again: it would have to wait, and that is too long for most. */
  tooLate(leftMs: number, turn: Turn): ApproxiferError | undefined {
    const { serviceTimes } = this.speeds
    const { free } = this.roster.capacity
    const waitMs = free && !this.#before(turn) ? 0 : this.waitMs(turn, undefined, serviceTimes.meanMs)
    if (!waitMs || serviceTimes.chance(leftMs - waitMs) >= BEGUN * serviceTimes.chance(leftMs)) return undefined
    return this.refused(refusalText(leftMs, waitMs), this.waitMs(turn))
  }

  /** When what waits before a query that comes now is done, by what the last answers took, or given up by its deadlines; undefined where nobody knows. @param ms  what one takes */
  waitMs(turn: Turn, ahead?: Ahead, ms = this.speeds.serviceTimes.latelyMs): number | undefined {
    const { slots } = this.roster.capacity
    const { meanMs } = this.speeds.serviceTimes
    if (meanMs === undefined || !slots) return undefined
    return Math.min(this.#longestMs, ((this.#before(turn, ahead) + 0.5) * ms) / slots)
  }

  /** Attempts that must wait for no worker to be idle: more of them where several go in one run. */
  get #shortest(): number {
    const { slots, mostRows } = this.roster.capacity
    return Math.max(2, slots * (mostRows > 1 ? 3 * this.speeds.serviceTimes.rows : 0.5))
  }

  #lengthen(turn: Turn, length: number): void {
    const lengths = this.#lengths[turn.rank]
    const caller = callerOf(turn)
    lengths.delete(caller) // and in again as the last
    if (length < 1) lengths.set(caller, Math.max(0, length))
    if (lengths.size > MOST_CALLERS) lengths.delete(lengths.keys().next().value as string)
  }

  /** Whether an attempt that has waited is not worth beginning by now. @param startsAt  when the worker gets round to it */
  isHopeless({ dueAt, queuedAt, row }: PooledAttempt, { speed: { slowness } }: Member, startsAt: number): boolean {
    if (dueAt === Number.POSITIVE_INFINITY) return false
    const { serviceTimes, scaling } = this.speeds
    if (dueAt - startsAt > AMPLE * (serviceTimes.meanMs ?? 0)) return false
    const factor = scaling.factor([row.payload as { size: number }]) * (slowness < Infinity ? slowness || 1 : 1)
    return serviceTimes.chance((dueAt - startsAt) / factor) < BEGUN * serviceTimes.chance((dueAt - queuedAt) / factor)
  }

  /**
   * @param waitMs  after which those before it are done
   * @param chance  that it would have on an idle machine: that one without any is refused says nothing of the load, and no hedge waits for it
   */
  refused(text: string, waitMs: number | undefined, chance = 1): ApproxiferError {
    if (chance >= HOPELESS) this.#refusedAt = this.clock.now()
    return new ApproxiferError('OVERLOADED', text, { retryMs: waitMs })
  }
}

/** @param rows  that are asked together */
function refusalText(leftMs: number, waitMs: number, rows = 1): string {
  const [they, who] = rows > 1 ? [`${rows} queries have`, 'the last of them'] : ['it has', '']
  return `${they} ${Math.round(leftMs)} ms, and ${who && `${who} `}would wait ${Math.round(waitMs)} ms for workers before it is begun: too late for most`
}
