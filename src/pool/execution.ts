/** Runs batches: sends each, reports when it begins, and settles its attempts; then its slot is free, or begins with the next batch. */

import { append, NONE } from '../base/arrays'
import type { Clock } from '../base/clock'
import { ApproxiferError, asError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Attempt, FailedOutcome } from './attempt'
import { Batch, CANCELLED, type Join, nobodysFault, PooledAttempt, send } from './batch'
import { ConnectionWatch } from './connection-watch'
import type { Member, WorkerSlot } from './member'
import { Pipeline } from './pipeline'
import type { Queue } from './queue'
import type { Roster } from './roster'
import type { Speeds } from './speed'
import { Watchdog } from './watchdog'

/**
 * An attempt that is cancelled when it is late counts as if it had taken LONGER times its age. With 1, the p99.9 of two requests at once was 1.5
 * times as high where slow machines change.
 */
const LONGER = 1.5

/**
 * Share of the pool's time for copies of queries that test whether a slow worker has recovered. Without them a worker that was slow by chance got
 * nothing until queries queued up: p99 51 ms instead of 35, where one call in ten takes ten times as long (27 workers, load .6).
 */
const TRIED = 0.01
/** A copy that failed counts as at least this long: otherwise a worker that fails at once would be tested with every query. */
const FAILED_MS = 10

export interface ExecutionOptions {
  readonly clock: Clock
  /** A worker that has an attempt and is silent for this long is restarted. */
  readonly hangMs: number
  readonly queue: Queue
  readonly roster: Roster
  readonly speeds: Speeds
  /** After this time an attempt is late, if it is known. */
  lateMs(): number | undefined
  /** Makes an answer of a worker's output, which the worker may change later; throws PROTOCOL if it is none. */
  accept(answer: unknown): unknown
  /** Gives queries of equal shape keys one shape. Default: they have one. */
  together?: Join | undefined
  /** Called when attempts are queued again. */
  queued(): void
}

export class Execution {
  readonly pipeline: Pipeline
  readonly connections: ConnectionWatch
  readonly #watchdog: Watchdog
  readonly #options: ExecutionOptions
  /** Workers that were slow or failed, the next one to be tested first; and when that is due. */
  readonly #slow = new Set<Member>()
  #triedAt = 0

  constructor(options: ExecutionOptions) {
    const { clock, hangMs, lateMs, roster } = options
    this.#options = options
    const giveUp = (slot: WorkerSlot, why: string) => this.#hung(slot, why, 'nobody')
    this.connections = new ConnectionWatch({ clock, roster, hangMs, lateMs, giveUp })
    this.pipeline = new Pipeline(clock, lateMs, (late) => this.#takeBackAll(late))
    this.#watchdog = new Watchdog(clock, hangMs, (slot, why) => this.#hung(slot, why))
  }

  /** A worker with a free slot gets a batch. @param now  the time */
  start(member: Member, batch: Batch, now = this.#options.clock.now()): void {
    const slot = this.#options.roster.occupy(member)
    this.#begin(slot, batch, now)
    this.#send(batch)
    this.#tell(batch)
    if (!slot.unwatch) this.#watchdog.watch(slot)
  }

  /** As `start`, with one attempt. */
  startAlone(member: Member, attempt: PooledAttempt): void {
    this.start(member, new Batch([attempt], this.#options.speeds.scaling.factor([attempt])))
  }

  /** Gives a slot its next batch while it works on another. */
  startAhead(slot: WorkerSlot, batch: Batch): void {
    batch.phase = 'ahead'
    batch.startedAt = this.#options.clock.now()
    batch.slot = slot
    this.pipeline.give(slot, batch)
    this.#send(batch)
  }

  #send(batch: Batch): void {
    const { attempts, slot } = batch
    const { isPlain, worker, identity } = slot.member
    for (const attempt of attempts) {
      attempt.place = undefined
      attempt.batch = batch
      if (isPlain) attempt.seenBy = [...attempt.seenBy, identity]
    }
    send(worker, batch, this.#options.together).forEach((outcome, i) => {
      const attempt = attempts[i]
      outcome.then(
        (answer) => this.#answered(batch, attempt, answer),
        (error) => this.#failed(batch, attempt, asError(error, 'WORKER')),
      )
    })
  }

  /** A slot begins with a batch, as far as can be known, or is idle. */
  #begin(slot: WorkerSlot, batch: Batch | undefined, now: number): void {
    const more = Number(batch?.isNeeded ?? false) - Number(slot.batch?.isNeeded ?? false)
    if (more) this.#options.roster.utilisation.add(more, now)
    slot.isDoubted = false
    if (!batch) return
    const arrivedAt = now - (slot.member.worker.roundTripMs ?? 0) // it was sent ahead, and has arrived already
    batch.startedAt = batch.phase === 'ahead' ? Math.max(batch.startedAt, arrivedAt) : now
    batch.phase = 'running'
    batch.slot = slot
    slot.batch = batch
    if (slot.member.worker.takesNext) this.pipeline.began(slot)
  }

  /** Tells owners that a worker has begun with their attempts. */
  #tell(batch: Batch): void {
    const { passOver, isPlain } = batch.slot.member
    for (const attempt of batch.attempts) {
      if (batch.has(attempt)) attempt.row.owner.began?.(attempt)
      if (this.#slow.size && attempt.priority === 'normal' && !passOver && !isPlain)
        this.#tryAgain(attempt, batch.startedAt)
    }
  }

  /** Fails a worker's attempts, with `blame: 'nobody'`, when it leaves or is ejected. Its slots stay taken until it is free. */
  end({ slots }: Member, error: ApproxiferError): void {
    for (const attempt of slots.all.flatMap(({ batch, next }) => [...(next?.open ?? NONE), ...(batch?.open ?? NONE)])) {
      const { batch } = attempt
      if (!batch?.has(attempt)) continue // the owner of another attempt has ended it meanwhile
      const now = this.#options.clock.now()
      attempt.withdraw()
      if (batch.best !== 'answered') batch.best = 'cancelled'
      attempt.settle(nobodysFault(error), now)
      this.#left(batch, now, attempt)
    }
  }

  #answered(batch: Batch, attempt: PooledAttempt, raw: unknown): void {
    if (!batch.has(attempt)) return this.#heardOf(batch, true)
    let answer: unknown
    try {
      answer = this.#options.accept(raw)
    } catch (error) {
      return this.#failed(batch, attempt, asError(error, 'PROTOCOL'))
    }
    const now = this.#ended(batch)
    batch.best = 'answered'
    batch.slot.member.counts.answered++
    attempt.settle({ kind: 'answered', answer }, now)
    this.#left(batch, now, attempt)
  }

  /** One of its attempts has an outcome. @returns the time */
  #ended(batch: Batch): number {
    const now = this.#options.clock.now()
    batch.stood ||= this.#watchdog.stoodMs(batch.slot, batch.startedAt, now) > 0
    return now
  }

  #failed(
    batch: Batch,
    attempt: PooledAttempt,
    error: ApproxiferError,
    lost?: FailedOutcome['lost'],
    blame: FailedOutcome['blame'] = error.code === 'OVERLOADED' ? 'nobody' : 'worker',
  ): void {
    // It was given up or taken back, or the pool is closed.
    if (!batch.has(attempt)) return this.#heardOf(batch)
    const isRefused = error.code === 'OVERLOADED'
    const { isGone, isFree } = batch.slot.member
    // A worker that says both that it is gone and that it is free would be asked again at once, for ever.
    if (isRefused && (!isGone || isFree)) return this.#refused(batch, attempt, error)
    const now = this.#ended(batch)
    const slot = batch.slot
    const { counts, slots, state } = slot.member
    const isSingle = batch.attempts.length === 1
    const isLost = error.code === 'WORKER' && state !== 'leaving'
    const isUnwanted = attempt.isReleased && isAbort(error)
    if (batch.best !== 'answered' && !isUnwanted) batch.best = 'failed'
    // A batch sent ahead is lost with the current one, unless it was never sent.
    batch.isDown ||= isLost && batch === slot.batch && !isFree
    if (batch.isDown && isSingle) lost ??= slots.limit === 1 ? 'down' : 'shared'
    // Which attempt crashed the worker shows when each has a run of its own.
    const isShared = isLost && !isSingle
    if (isUnwanted || (isShared && attempt.isReleased)) attempt.settle(CANCELLED, now)
    else if (isShared) {
      if (!batch.isLost) counts.failed++
      batch.isLost = true
      return this.#askAgain(batch, attempt, now)
    } else {
      if (!isRefused) counts[error.code === 'PROTOCOL' ? 'rejected' : 'failed']++
      attempt.settle({ kind: 'failed', error, blame, lost }, now)
    }
    this.#left(batch, now, attempt)
  }

  /**
   * Its worker is too busy, and has not failed: the attempt returns to its place in the queue, for any worker. Attempts of low priority are
   * dropped, so that they keep no busy worker from queries.
   */
  #refused(batch: Batch, attempt: PooledAttempt, error: ApproxiferError): void {
    const now = this.#options.clock.now()
    const { member } = batch.slot
    member.counts.refused++
    this.#options.roster.refused(member, batch.startedAt, error.retryMs)
    if (batch.best === 'cancelled') batch.best = 'refused'
    if (!attempt.isReleased && attempt.priority !== 'low') return this.#askAgain(batch, attempt, now)
    attempt.settle(attempt.isReleased ? CANCELLED : nobodysFault(error), now)
    this.#left(batch, now, attempt)
  }

  /**
   * The attempt is queued again when the whole batch is over. If it shared the batch it gets a run of its own: it may be at fault, or its worker
   * may have too little room.
   */
  #askAgain(batch: Batch, attempt: PooledAttempt, now: number): void {
    attempt.withdraw()
    attempt.batch = undefined
    attempt.isAlone ||= batch.attempts.length > 1
    batch.again = append(batch.again, attempt)
    this.#left(batch, now)
  }

  /** A batch has one attempt less. @param settled  called before the slot is filled again */
  #left(batch: Batch, now: number, settled?: PooledAttempt): void {
    if (!batch.isOver) return settled?.row.owner.settled(settled)
    const { slot } = batch
    const next = this.#leave(slot, batch, now)
    if (batch.attempts.length > 1) batch.attempts.length = 0 // an owner that holds one attempt must not keep all of them alive
    settled?.row.owner.settled(settled)
    this.#options.roster.freed(slot.member)
    if (next) this.#tell(next)
  }

  /** A worker has finished a batch, and begins with the next, is free, or is gone. @returns the next batch */
  #leave(slot: WorkerSlot, batch: Batch, now: number): Batch | undefined {
    const { member } = slot
    const { speeds } = this.#options
    const ms = now - batch.startedAt
    const isLate =
      batch.phase === 'running' &&
      batch.comparable &&
      !batch.stood &&
      ms / batch.factor > (member.speed.ms ?? speeds.typicalMs)
    // A late refusal counts as silence: otherwise a machine could hold up queries at no cost.
    const isUnreached =
      batch.best === 'cancelled' || batch.best === 'refused' || (batch.best === 'failed' && member.state === 'leaving')
    if (batch.best === 'answered') this.#options.roster.answered(member)
    else if (member.machine.earns && (batch.phase === 'silent' || (isLate && isUnreached))) {
      slot.silentMs = ms
    }
    this.#learn(batch, ms, isLate)
    if (batch.again.length) this.#requeue(batch.again)
    if (batch.phase === 'ahead') {
      this.pipeline.end(slot)
      return undefined
    }
    if (slot.place !== undefined) this.pipeline.unlist(slot)
    if (batch.isDown || slot.silentMs) this.#takeBack(slot)
    const next = this.pipeline.waiting.size ? this.pipeline.next(slot) : undefined
    this.#begin(slot, next, now)
    if (next) return next
    // A worker that rejects a cancelled call may still work on it, or hang: it is watched until it is free.
    const mayWork = batch.best === 'cancelled' && member.state !== 'leaving' && !member.isFree
    if (mayWork || batch.phase === 'silent') this.#options.roster.hold(slot)
    else this.#options.roster.vacate(slot)
    return undefined
  }

  /** Learns from the time of a run how long one attempt takes alone. @param isLate  it took longer than expected */
  #learn(
    { slot, attempts, phase, measured, best, factor, comparable, stood }: Batch,
    ms: number,
    isLate: boolean,
  ): void {
    if (best === 'refused' || stood) return
    const { member } = slot
    const { serviceTimes, scaling } = this.#options.speeds
    if (phase !== 'ahead') serviceTimes.add(ms / attempts.length, attempts.length)
    if (best === 'cancelled') return isLate ? this.#rate(member, (LONGER * ms) / factor) : undefined
    const sized = scaling.factor(attempts)
    if (measured && best === 'answered') member.batching?.add(attempts.length, ms / sized)
    if (attempts.length > 1 && best === 'failed') member.batching?.fail(attempts.length)
    if (best === 'failed') this.#rate(member, Number.POSITIVE_INFINITY)
    else if (comparable) {
      this.#rate(member, ms / factor)
      scaling.add(member.speed.last, attempts, (ms * sized) / factor)
    }
  }

  /** Records the time of an attempt of typical size that runs alone; Infinity: it failed. */
  #rate(member: Member, ms: number): void {
    if (member.state === 'leaving') return
    const { speeds } = this.#options
    speeds.add(member.speed, ms, member.limit)
    member.passOver = speeds.passOverThreshold(member.speed)
    if (member.speed.slowness > 1 && !member.isPlain) this.#slow.add(member)
  }

  /** Sends a copy of a query that has begun elsewhere to the next slow worker that is idle: it may have recovered. @param now  the time */
  #tryAgain({ row }: PooledAttempt, now: number): void {
    if (now < this.#triedAt) return
    const [member] = this.#slow
    const { slots, machine, state, speed } = member
    const { speeds, roster } = this.#options
    this.#slow.delete(member)
    if (speed.slowness < Infinity && !speeds.passOverThreshold(speed)) return // it has recovered, or others are as slow
    this.#slow.add(member)
    if (state !== 'ready' || slots.busy || machine.room < 1 || !member.isFree) return
    const expectedMs = speed.ms as number
    const settled = ({ ranMs, factor, outcome }: Attempt) => {
      const seemsFast = outcome?.kind === 'answered' && ranMs < (factor * expectedMs) / 2
      const tookMs = outcome?.kind === 'answered' ? ranMs : Math.max(FAILED_MS, ranMs)
      this.#triedAt = seemsFast ? now : now + tookMs / (TRIED * roster.capacity.slots) // another worker will be tested
    }
    this.#triedAt = Number.POSITIVE_INFINITY
    const payload = (row.payload as Payload).kept()
    this.startAlone(member, new PooledAttempt({ payload, owner: { settled }, apart: [], priority: 'low' }, now))
  }

  /** A worker leaves. */
  forget(member: Member): void {
    this.#options.speeds.forget(member.speed)
    this.#slow.delete(member)
  }

  /** Attempts behind late batches are to go to other workers. */
  #takeBackAll(late: readonly WorkerSlot[]): void {
    for (const slot of late) this.#takeBack(slot)
    this.#options.roster.freed()
  }

  #takeBack(slot: WorkerSlot): void {
    const next = this.pipeline.end(slot)
    if (next) this.#putBack(next)
  }

  /** The attempts of a batch are queued again. */
  #putBack(batch: Batch): void {
    const { open, again } = batch
    for (const attempt of open) attempt.withdraw()
    this.#requeue([...again, ...open])
  }

  /** Attempts are queued again, before all that came later. */
  #requeue(attempts: readonly PooledAttempt[]): void {
    const { queue, clock, queued } = this.#options
    for (const attempt of attempts) {
      if (!attempt.isReleased) queue.push(attempt, true)
      else {
        attempt.settle(CANCELLED, clock.now())
        attempt.row.owner.settled(attempt)
      }
    }
    queued()
  }

  /** Restarts a worker, if that is possible. Otherwise it counts as slow until it answers, however fast it was. */
  #hung(slot: WorkerSlot, why: string, blame?: FailedOutcome['blame']): void {
    const { member } = slot
    const { worker } = member
    try {
      worker.restart?.(why)
    } catch {} // it stays as it is
    const batch = slot.batch as Batch
    const { open } = batch
    if (!open.length) return this.free(member, true)
    batch.isDown = true
    if (worker.restart) this.#loseOthers(slot)
    else {
      for (const attempt of open) attempt.withdraw()
      batch.phase = 'silent'
      this.#rate(member, Number.POSITIVE_INFINITY)
    }
    const error = new ApproxiferError('WORKER', `${worker.name} ${why}`)
    const lost = worker.restart ? 'down' : 'silent'
    for (const attempt of open) this.#failed(batch, attempt, error, lost, blame)
  }

  /** Attempts in a worker's other slots are not to blame for its restart. */
  #loseOthers(hung: WorkerSlot): void {
    for (const slot of hung.member.slots.all) {
      const { batch } = slot
      if (slot === hung || !batch || batch.isOver) continue
      this.pipeline.unlist(slot)
      this.#takeBack(slot)
      this.#putBack(batch)
      this.#begin(slot, undefined, this.#options.clock.now())
      this.#options.roster.vacate(slot)
    }
  }

  /** An attempt that was given up or taken back has settled after all. */
  #heardOf(batch: Batch, isAnswer = false): void {
    const slot = batch.slot
    const { isFree, slots } = slot.member
    const isHeld = batch.phase === 'silent' || (slots.held.has(slot) && isFree) // else the worker says so when it is free
    if (!isHeld || slot.batch !== batch) return
    if (isAnswer) slot.silentMs = 0
    this.#options.roster.vacate(slot)
    this.#options.roster.freed()
  }

  /** A worker says that it may be free. */
  free(member: Member, isRestarted = false): void {
    // It may report something else while it hangs with a cancelled call, for instance fewer slots.
    if (isRestarted || member.isFree) for (const slot of member.slots.held) this.#options.roster.vacate(slot)
    if (!member.slots.hasRoom) return
    this.#options.roster.update(member)
    this.#options.roster.freed()
  }
}

/** Whether an error means that the call was aborted: our own error, or what `fetch` and others throw. */
function isAbort({ code, cause }: ApproxiferError): boolean {
  return code === 'ABORTED' || (cause as Error | undefined)?.name === 'AbortError'
}
