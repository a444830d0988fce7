/**
 * Which free slot gets which attempt. An attempt stays queued until a slot is free at a worker that may take it. Attempts that are bound to a
 * worker earlier wait behind its stragglers: p99 93 ms instead of 21 for a plain hedge (27 workers at 60 % load).
 */

import { append, NONE } from '../base/arrays'
import type { Clock } from '../base/clock'
import { nobodysFault, type PooledAttempt } from './batch'
import { Execution, type ExecutionOptions } from './execution'
import { Forecast } from './forecast'
import type { Member, WorkerSlot } from './member'
import { Packing } from './packing'
import { QUICK_MS } from './pipeline'
import { LOOKAHEAD, type Queue, Waiting } from './queue'
import type { Roster } from './roster'
import { Speeds } from './speed'

/** Free workers that are offered attempts in one go. */
const OFFERS = 32
/** Attempts of low priority leave this share of the slots free for queries. */
const RESERVE = 0.1

export interface DispatchOptions extends Pick<ExecutionOptions, 'clock' | 'hangMs' | 'accept' | 'together'> {
  /** After this time an attempt is late, if it is known. Default: never. */
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
  /** Whether attempts are collected before they are sent, by the latest batch; `under way`: they are being collected. */
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

  /** An attempt was queued: it goes to a worker now, or as soon as one may take it. @param now  when it was queued, if it is new */
  queued(now?: number): void {
    this.#roster.recheck(OFFERS)
    if (this.#gathering === 'off') this.dispatch(now)
    else this.#gather()
    if (!this.#roster.capacity.workers) this.#roster.strand()
  }

  /**
   * Attempts that arrive in the same turn of the event loop are sent together: each message wakes a thread, which takes as long as a small model.
   * That, and no smaller batches than pay, saves 12 % of the processor time of a request over HTTP (LeNet, 16 in flight, one or two workers).
   */
  #gather(): void {
    if (this.#gathering === 'under way') return
    this.#gathering = 'under way'
    this.#clock.soon?.(() => {
      this.#gathering = 'on'
      this.dispatch()
    })
  }

  /** Slots may be free. @param member  the worker that has finished a batch, if that is why */
  freed(member?: Member): void {
    if (member && this.#gathering !== 'under way') {
      // A message may cost as much as a query in it: for a near and fast worker that takes several queries at once.
      const isCheap = member.batching && (member.speed.ms ?? 0) < QUICK_MS && !member.worker.roundTripMs
      this.#gathering = isCheap && this.#clock.soon ? 'on' : 'off'
    }
    this.dispatch()
  }

  close(): void {
    this.#phase = 'closed'
    this.#unplan?.()
    this.execution.pipeline.close()
    this.execution.connections.close()
  }

  /** Sends queued attempts to free slots. @param now  nothing that was queued since is refused: its owner does not have the attempt yet */
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
        if (!attempt && skip && !this.#isBarred(member)) passedOver = member // then slower workers are passed over, too
      }
      if (this.#queue.needed > this.#roster.capacity.slots) this.#sendAhead()
    } finally {
      for (const member of aside) this.#roster.update(member)
      if (this.#phase === 'at work') this.#phase = 'idle' // also after an exception: otherwise nothing would ever be dispatched again
    }
    if (this.#phase !== 'idle') return // closed by an owner's callback
    this.#waiting.isAny = this.#queue.needed > 0
    if (this.#queue.needed && this.#roster.lacksConnections) this.execution.connections.awaited()
    if (passedOver || this.#unplan) this.#plan(passedOver)
  }

  /** Whether the worker may take none of the waiting queries in any case: then it says nothing about slower workers. */
  #isBarred({ identity }: Member): boolean {
    return this.#queue.needed > 0 && !this.#queue.find(0, (attempt) => attempt.mayGoTo(identity))
  }

  /** Whether enough slots are free for an attempt of low priority. */
  get #canSpare(): boolean {
    const { free, slots } = this.#roster.capacity
    return free > Math.floor(RESERVE * slots)
  }

  /**
   * The first attempt that a worker may take, after skipping `skip` attempts for which faster workers will be free sooner. Attempts before it that
   * would be too late on this worker stay queued.
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

  /** The first attempt that this worker may take and no faster one may: it would wait for them in vain. */
  #strandedFor(member: Member): PooledAttempt | undefined {
    const isStranded = (attempt: PooledAttempt) => {
      if (!attempt.mayGoTo(member.identity)) return false
      let refused: Member | undefined // a machine with thousands of workers is checked once
      for (const other of this.#roster.members.values()) {
        if (other.state !== 'ready' || refused?.isBeside(other)) continue
        if (!this.#speeds.isFaster(other.speed, member.speed)) continue
        if (attempt.mayGoTo(other.identity)) return false
        refused = other
      }
      return true
    }
    return this.#queue.find(0, isStranded, OFFERS)
  }

  /** How many attempts it leaves to faster workers: as few as it must; of the others it takes the last one, which would wait longest. */
  #skipFor({ speed, passOver }: Member): number {
    const { utilisation, capacity } = this.#roster
    const waitedMs = this.#waiting.msOf(this.#speeds.passOverMs(speed))
    const least = this.#speeds.passOverThreshold(speed, utilisation.value * capacity.slots, waitedMs)
    return Math.max(least, Math.min(passOver, this.#queue.needed - 1))
  }

  /** No attempt waits for faster workers longer than an idle one would take, since faster workers may hang. */
  #overdueIn({ speed }: Member): number {
    const { first } = this.#queue
    return first ? first.queuedAt + this.#speeds.passOverMs(speed) - this.#clock.now() : Number.POSITIVE_INFINITY
  }

  /** Dispatches again when the first attempt has waited long enough for a worker that was passed over. */
  #plan(passedOver: Member | undefined): void {
    this.#unplan?.()
    this.#unplan = undefined
    if (!passedOver || !this.#queue.first) return
    const ms = Math.max(1, Math.ceil(this.#overdueIn(passedOver)))
    this.#unplan = this.#clock.after(ms, () => this.dispatch(), true)
  }

  /** When a slot will begin with what it gets now, as far as is known: after its current batch. */
  #startsAt({ batch, member }: WorkerSlot): number {
    const now = this.#clock.now()
    return batch ? Math.max(now, batch.startedAt + member.runMs(1) * batch.factor) : now
  }

  /** Sends attempts to workers that will be free soon. */
  #sendAhead(): void {
    const { slots } = this.#roster.capacity
    for (let left = OFFERS; left > 0 && this.#queue.needed > slots; left--) {
      const slot = this.execution.pipeline.first
      if (!slot) return
      const { member } = slot
      // More attempts may arrive before it is free.
      if (this.#gathering !== 'off' && this.#queue.needed < slots * (member.batching?.size ?? 1)) return
      this.execution.pipeline.unlist(slot)
      const startsAt = this.#startsAt(slot)
      const isFree = member.state === 'ready' && member.isFree
      const attempt = isFree ? this.#attemptFor(member, 0, startsAt, slot) : undefined
      if (attempt) this.execution.startAhead(slot, this.#packing.pack(member, attempt, startsAt, slot))
    }
  }
}
