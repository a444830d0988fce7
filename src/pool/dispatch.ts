/**
 * Which free slot gets which attempt, and when to look again. An attempt is queued until a slot is free at a worker that may take it, and
 * is bound to it only then: one bound early waits behind a straggler (27 workers at 60 % load: p99 93 ms, against 21 ms for a plain hedge).
 */

import { append, NONE } from '../base/arrays'
import type { Clock } from '../base/clock'
import { nobodysFault, type PooledAttempt } from './batch'
import { Execution, type ExecutionOptions } from './execution'
import { Forecast } from './forecast'
import type { Machine } from './machine'
import type { Member, WorkerSlot } from './member'
import { Packing } from './packing'
import { QUICK_MS } from './pipeline'
import { LOOKAHEAD, type Queue, Waiting } from './queue'
import type { Roster } from './roster'
import { Speeds } from './speed'

/** Workers that are offered attempts at a time. */
const OFFERS = 32
/** Share of the slots that attempts of low priority leave free, for queries to come. */
const RESERVE = 0.1

export interface DispatchOptions extends Pick<ExecutionOptions, 'clock' | 'hangMs' | 'accept' | 'together'> {
  /** How long an attempt takes until it is late, as far as is known. Default: none ever is. */
  lateMs?: () => number | undefined
}

export class Dispatcher {
  readonly execution: Execution
  readonly forecast: Forecast
  readonly #clock: Clock
  readonly #queue: Queue
  readonly #roster: Roster
  readonly #speeds: Speeds
  readonly #packing: Packing
  readonly #waiting: Waiting
  #phase: 'idle' | 'at work' | 'closed' = 'idle'
  /** Whether attempts are gathered before they are sent, by the latest batch, and whether some are just now. */
  #gathering: 'off' | 'on' | 'under way' = 'off'
  #unplan: (() => void) | undefined

  constructor(queue: Queue, roster: Roster, options: DispatchOptions) {
    const { clock, hangMs, lateMs = () => undefined } = options
    const speeds = new Speeds()
    this.#clock = clock
    this.#queue = queue
    this.#roster = roster
    this.#speeds = speeds
    this.#waiting = new Waiting(clock)
    this.forecast = new Forecast(clock, queue, roster, speeds)
    this.#packing = new Packing(hangMs, queue, roster, speeds.scaling)
    this.execution = new Execution({ ...options, lateMs, queue, roster, speeds, queued: () => this.queued() })
  }

  /** An attempt is queued: it goes to a worker now, or as soon as one may take it. @param now  when it was queued, if it is a new one */
  queued(now?: number): void {
    this.#roster.recheck(OFFERS)
    if (this.#gathering === 'off') this.dispatch(now)
    else this.#gather()
    if (!this.#roster.capacity.workers) this.#roster.strand()
  }

  /**
   * Attempts that have arrived at the same time go to workers together: each message wakes a thread, which takes as long as a
   * small model. With that, and no smaller batches than pay sent ahead, a request over HTTP takes 12 % less processor time
   * (LeNet, 16 under way, one worker or two).
   */
  #gather(): void {
    if (this.#gathering === 'under way') return
    this.#gathering = 'under way'
    this.#clock.soon?.(() => {
      this.#gathering = 'on'
      this.dispatch()
    })
  }

  /** Slots may be free. @param member  a worker that has done with a batch, if that is why */
  freed(member?: Member): void {
    if (member && this.#gathering !== 'under way') {
      // Where a message to a worker may cost as much as a row in it: it is near and quick, and takes several rows in one.
      const isCheap = member.batching && (member.speed.ms ?? 0) < QUICK_MS && !member.worker.roundTripMs
      this.#gathering = isCheap && this.#clock.soon ? 'on' : 'off'
    }
    this.dispatch()
  }

  close(): void {
    this.#phase = 'closed'
    this.#unplan?.()
    this.execution.pipeline.close()
  }

  /** Attempts to free slots, as long as there are both. @param now  nothing is refused that was queued since: its owner has no attempt yet */
  dispatch(now = this.#clock.now()): void {
    if (this.#phase !== 'idle') return
    this.#phase = 'at work'
    const aside: Member[] = []
    let passedOver: Member | undefined
    try {
      while (aside.length < OFFERS && !passedOver) {
        if (!this.#queue.needed && !(this.#queue.low.size && this.#canSpare)) break
        const member = this.#roster.takeFastest()
        if (!member) break
        member.passOver = this.#speeds.passOverThreshold(member.speed)
        const skip = member.passOver && this.#overdueIn(member) > 0 ? this.#skipFor(member) : 0
        const startsAt = this.#clock.now()
        const attempt = this.#attemptFor(member, skip, now) ?? (skip ? this.#strandedFor(member) : undefined)
        if (attempt) this.execution.start(member, this.#packing.pack(member, attempt, startsAt), startsAt)
        else aside.push(member)
        if (!attempt && skip && !this.#isBarred(member)) passedOver = member // as will be all that are slower
      }
      if (this.#queue.needed > this.#roster.capacity.slots) this.#sendAhead()
    } finally {
      for (const member of aside) this.#roster.update(member)
      if (this.#phase === 'at work') this.#phase = 'idle' // also where something was thrown: nothing would be dispatched any more
    }
    if (this.#phase !== 'idle') return // closed by who was told of an attempt
    this.#waiting.isAny = this.#queue.needed > 0
    if (passedOver || this.#unplan) this.#plan(passedOver)
  }

  /** Whether it may take none of the queries that wait anyway: that says nothing of slower workers. */
  #isBarred({ identity }: Member): boolean {
    return this.#queue.needed > 0 && !this.#queue.find(0, (attempt) => attempt.mayGoTo(identity))
  }

  /** Whether enough slots are free that one may do what can be done without. */
  get #canSpare(): boolean {
    const { free, slots } = this.#roster.capacity
    return free > Math.floor(RESERVE * slots)
  }

  /**
   * The first attempt that a worker may take behind `skip` others, for which faster workers will be free sooner. Those before it that it is
   * too late for go to nobody.
   */
  #attemptFor(member: Member, skip: number, startsAt: number, busy?: WorkerSlot): PooledAttempt | undefined {
    let late: PooledAttempt[] = NONE
    const willDo = (attempt: PooledAttempt) => {
      if (!attempt.mayGoTo(member.identity, busy)) return false
      const isLate = startsAt > attempt.queuedAt && this.forecast.isHopeless(attempt, member, startsAt)
      if (isLate) late = append(late, attempt)
      return !isLate
    }
    const needed = this.#queue.find(skip, willDo)
    if (late.length && !busy && member.speed.slowness <= 1) {
      for (const attempt of late) this.#refuse(attempt)
      return this.#attemptFor(member, skip, startsAt) // an owner may have cancelled it
    }
    if (needed || (member.passOver && (skip || busy)) || !this.#canSpare) return needed
    return this.#queue.low.find(0, LOOKAHEAD, (attempt) => attempt.mayGoTo(member.identity, busy))
  }

  #refuse(attempt: PooledAttempt): void {
    if (attempt.phase !== 'queued') return
    const now = this.#clock.now()
    const text = `waited ${Math.round(now - attempt.queuedAt)} ms for workers: it is too late to begin`
    this.#queue.remove(attempt)
    const error = this.forecast.refused(text, this.forecast.waitMs(attempt.turn))
    attempt.settle(nobodysFault(error), now)
    attempt.row.owner.settled(attempt)
  }

  /** The first attempt that a worker may take and none that is faster: that one would wait in vain. */
  #strandedFor(member: Member): PooledAttempt | undefined {
    const isStranded = (attempt: PooledAttempt) => {
      if (!attempt.mayGoTo(member.identity)) return false
      let refused: Machine | undefined // one that has thousands of names is asked about once
      for (const other of this.#roster.members.values()) {
        if (other.state !== 'ready' || other.machine === refused) continue
        if (!this.#speeds.isFaster(other.speed, member.speed)) continue
        if (attempt.mayGoTo(other.identity)) return false
        refused = other.machine
      }
      return true
    }
    return this.#queue.find(0, isStranded, OFFERS)
  }

  /** How many others it leaves to faster workers: as few as it must, and of those that are left the last one, which waits longest otherwise. */
  #skipFor({ speed, passOver }: Member): number {
    const { utilisation, capacity } = this.#roster
    const waitedMs = this.#waiting.msOf(this.#speeds.passOverMs(speed))
    const least = this.#speeds.passOverThreshold(speed, utilisation.value * capacity.slots, waitedMs)
    return Math.max(least, Math.min(passOver, this.#queue.needed - 1))
  }

  /** Whatever was expected of faster workers, which may hang, no attempt waits for them for longer than an idle one would take. */
  #overdueIn({ speed }: Member): number {
    const { first } = this.#queue
    return first ? first.queuedAt + this.#speeds.passOverMs(speed) - this.#clock.now() : Number.POSITIVE_INFINITY
  }

  /** Looks again when the first attempt has waited long enough for a worker that was passed over. */
  #plan(passedOver: Member | undefined): void {
    this.#unplan?.()
    this.#unplan = undefined
    if (!passedOver || !this.#queue.first) return
    const ms = Math.max(1, Math.ceil(this.#overdueIn(passedOver)))
    this.#unplan = this.#clock.after(ms, () => this.dispatch(), true)
  }

  /** When a slot gets round to what it is given now, as far as is known: after what it is at work on. */
  #startsAt({ batch, member }: WorkerSlot): number {
    const now = this.#clock.now()
    return batch ? Math.max(now, batch.startedAt + member.runMs(1) * batch.factor) : now
  }

  /** Attempts to workers that are about to be free. */
  #sendAhead(): void {
    const { slots } = this.#roster.capacity
    for (let left = OFFERS; left > 0 && this.#queue.needed > slots; left--) {
      const slot = this.execution.pipeline.first
      if (!slot) return
      const { member } = slot
      // More may come until it is free.
      if (this.#gathering !== 'off' && this.#queue.needed < slots * (member.batching?.size ?? 1)) return
      this.execution.pipeline.unlist(slot)
      const startsAt = this.#startsAt(slot)
      const isFree = member.state === 'ready' && member.isFree
      const attempt = isFree ? this.#attemptFor(member, 0, startsAt, slot) : undefined
      if (attempt) this.execution.startAhead(slot, this.#packing.pack(member, attempt, startsAt, slot))
    }
  }
}
