/** What becomes of batches: each is sent, begins, and has its attempts settled; then its slot is free, or begins with the next. */

import { append, NONE } from '../base/arrays'
import type { Clock } from '../base/clock'
import { ApproxiferError, asError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Attempt, FailedOutcome } from './attempt'
import { Batch, CANCELLED, type Join, nobodysFault, PooledAttempt, send } from './batch'
import type { Member, WorkerSlot } from './member'
import { Pipeline } from './pipeline'
import type { Queue } from './queue'
import type { Roster } from './roster'
import type { Speeds } from './speed'
import { Watchdog } from './watchdog'

/**
 * An attempt cancelled when it was late is counted as if it had taken LONGER times its age. With 1 the p99.9 of two requests at once was
 * 1.5 times as much where slow machines wander.
 */
const LONGER = 1.5

/**
 * Share of the pool's time for copies of queries that show whether a slow worker has recovered. Without them one that was slow by chance
 * stayed away until queries queued: where one call in ten takes ten times as long p99 was 51 ms, not 35 (27 workers, load .6).
 */
const TRIED = 0.01
/** A copy that failed counts as so many milliseconds at least: a worker that fails at once would be tried with every query. */
const FAILED_MS = 10

export interface ExecutionOptions {
  readonly clock: Clock
  /** What a worker is restarted after, if it has an attempt and gives no sign. */
  readonly hangMs: number
  readonly queue: Queue
  readonly roster: Roster
  readonly speeds: Speeds
  /** How long one attempt takes until it is late, as far as is known. */
  lateMs(): number | undefined
  /** Makes an answer of what a worker gave, which the worker may change later, or throws PROTOCOL. */
  accept(answer: unknown): unknown
  /** Makes queries of equal shape keys equal in shape. Default: they are. */
  together?: Join | undefined
  /** Told when attempts are queued again. */
  queued(): void
}

export class Execution {
  readonly pipeline: Pipeline
  readonly #watchdog: Watchdog
  readonly #options: ExecutionOptions
  /** Workers that were slow or failed, the next one to be tried first; and from when on that is due. */
  readonly #slow = new Set<Member>()
  #triedAt = 0

  constructor(options: ExecutionOptions) {
    const { clock, hangMs, lateMs } = options
    this.#options = options
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

  /** A slot gets its next batch while it is at work. */
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

  /** A slot is at work on a batch, as far as can be told, or on none. */
  #begin(slot: WorkerSlot, batch: Batch | undefined, now: number): void {
    const more = Number(batch?.isNeeded ?? false) - Number(slot.batch?.isNeeded ?? false)
    if (more) this.#options.roster.utilisation.add(more, now)
    slot.isDoubted = false
    if (!batch) return
    const arrivedAt = now - (slot.member.worker.roundTripMs ?? 0) // one sent ahead has made its way already
    batch.startedAt = batch.phase === 'ahead' ? Math.max(batch.startedAt, arrivedAt) : now
    batch.phase = 'running'
    batch.slot = slot
    slot.batch = batch
    if (slot.member.worker.takesNext) this.pipeline.began(slot)
  }

  /** Owners learn that a worker has begun with their attempts. */
  #tell(batch: Batch): void {
    const { passOver, isPlain } = batch.slot.member
    for (const attempt of batch.attempts) {
      if (batch.has(attempt)) attempt.row.owner.began?.(attempt)
      if (this.#slow.size && attempt.priority === 'normal' && !passOver && !isPlain)
        this.#tryAgain(attempt, batch.startedAt)
    }
  }

  /** A worker's attempts fail, through nobody's fault: it leaves, or is believed no more. It is told, and keeps its slots until it is free. */
  end({ slots }: Member, error: ApproxiferError): void {
    for (const attempt of slots.all.flatMap(({ batch, next }) => [...(next?.open ?? NONE), ...(batch?.open ?? NONE)])) {
      const { batch } = attempt
      if (!batch?.has(attempt)) continue // what was told of another one has ended it
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
    const now = this.#options.clock.now()
    batch.best = 'answered'
    batch.slot.member.counts.answered++
    attempt.settle({ kind: 'answered', answer }, now)
    this.#left(batch, now, attempt)
  }

  #failed(batch: Batch, attempt: PooledAttempt, error: ApproxiferError, lost?: FailedOutcome['lost']): void {
    // It was given up or taken back, or the pool is closed.
    if (!batch.has(attempt)) return this.#heardOf(batch)
    const isRefused = error.code === 'OVERLOADED'
    const { isGone, isFree } = batch.slot.member
    // One that says both that it is gone and that it is free would be asked again at once, for ever.
    if (isRefused && (!isGone || isFree)) return this.#refused(batch, attempt, error)
    const now = this.#options.clock.now()
    const slot = batch.slot
    const { counts, slots, state } = slot.member
    const isSingle = batch.attempts.length === 1
    const isLost = error.code === 'WORKER' && state !== 'leaving'
    const isUnwanted = attempt.isReleased && isAbort(error)
    if (batch.best !== 'answered' && !isUnwanted) batch.best = 'failed'
    // With the one that it was at work on, where it was not sent away.
    batch.isDown ||= isLost && batch === slot.batch && !isFree
    lost ??= batch.isDown && isSingle && slots.limit === 1 ? 'down' : undefined
    // Whose fault it is that a batch was lost shows when each attempt has a run of its own.
    const isShared = isLost && !isSingle
    if (isUnwanted || (isShared && attempt.isReleased)) attempt.settle(CANCELLED, now)
    else if (isShared) {
      if (!batch.isLost) counts.failed++
      batch.isLost = true
      return this.#askAgain(batch, attempt, now)
    } else {
      if (!isRefused) counts[error.code === 'PROTOCOL' ? 'rejected' : 'failed']++
      attempt.settle({ kind: 'failed', error, blame: isRefused ? 'nobody' : 'worker', lost }, now)
    }
    this.#left(batch, now, attempt)
  }

  /**
   * Its worker is too busy for it, and has not failed: it waits again in its place, and goes to whichever worker may take it first. What can be
   * done without is dropped, so that it keeps no busy worker from what cannot.
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

  /** It is queued again when the whole batch is over. One that shared it gets a run of its own: it may be at fault, or its worker have room for a few. */
  #askAgain(batch: Batch, attempt: PooledAttempt, now: number): void {
    attempt.withdraw()
    attempt.batch = undefined
    attempt.isAlone ||= batch.attempts.length > 1
    batch.again = append(batch.again, attempt)
    this.#left(batch, now)
  }

  /** A batch has an attempt less. @param settled  its owner is told before the slot is filled again */
  #left(batch: Batch, now: number, settled?: PooledAttempt): void {
    if (!batch.isOver) return settled?.row.owner.settled(settled)
    const { slot } = batch
    const next = this.#leave(slot, batch, now)
    if (batch.attempts.length > 1) batch.attempts.length = 0 // who holds one of them need not hold all
    settled?.row.owner.settled(settled)
    this.#options.roster.freed(slot.member)
    if (next) this.#tell(next)
  }

  /** A worker has done with a batch, and begins with the next, is free, or gone. @returns the next */
  #leave(slot: WorkerSlot, batch: Batch, now: number): Batch | undefined {
    const { member } = slot
    const { speeds } = this.#options
    const ms = now - batch.startedAt
    const isLate =
      batch.phase === 'running' && batch.comparable && ms / batch.factor > (member.speed.ms ?? speeds.typicalMs)
    // A refusal that comes late is as good as silence: a machine could hold up queries with it, and lose nothing.
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
    // A worker that rejects what was cancelled may be at work on it all the same, or hang: it is watched until it is free.
    const mayWork = batch.best === 'cancelled' && member.state !== 'leaving' && !member.isFree
    if (mayWork || batch.phase === 'silent') this.#options.roster.hold(slot)
    else this.#options.roster.vacate(slot)
    return undefined
  }

  /** What a run took tells how long one attempt takes alone, however many there were. @param isLate  it took longer than expected */
  #learn({ slot, attempts, phase, measured, best, factor, comparable }: Batch, ms: number, isLate: boolean): void {
    if (best === 'refused') return
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

  /** What an attempt of typical size took that a worker had for itself; Infinity: it failed. */
  #rate(member: Member, ms: number): void {
    if (member.state === 'leaving') return
    const { speeds } = this.#options
    speeds.add(member.speed, ms, member.limit)
    member.passOver = speeds.passOverThreshold(member.speed)
    if (member.speed.slowness > 1 && !member.isPlain) this.#slow.add(member)
  }

  /** The next slow worker, if it is idle, gets a copy of a query that has begun elsewhere: it may have recovered. @param now  the time */
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
      this.#triedAt = seemsFast ? now : now + tookMs / (TRIED * roster.capacity.slots) // another one will tell
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

  /** What is behind late batches is to go elsewhere. */
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

  /** Attempts wait again, before all that came later. */
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

  /** A worker is restarted, where somebody may. Where nobody does, it is slow until it has shown otherwise, whatever its last answers took. */
  #hung(slot: WorkerSlot, why: string): void {
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
    for (const attempt of open) this.#failed(batch, attempt, error, lost)
  }

  /** What a worker had in other slots while it was restarted is not to blame. */
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

  /** An attempt that was given up, or taken back, has settled after all. */
  #heardOf(batch: Batch, isAnswer = false): void {
    const slot = batch.slot
    const { isFree, slots } = slot.member
    const isHeld = batch.phase === 'silent' || (slots.held.has(slot) && isFree) // else it says so when it is free
    if (!isHeld || slot.batch !== batch) return
    if (isAnswer) slot.silentMs = 0
    this.#options.roster.vacate(slot)
    this.#options.roster.freed()
  }

  /** A worker says that it may be free. */
  free(member: Member, isRestarted = false): void {
    // It may say something else, as that it takes fewer, while it hangs with what was cancelled.
    if (isRestarted || member.isFree) for (const slot of member.slots.held) this.#options.roster.vacate(slot)
    if (!member.slots.hasRoom) return
    this.#options.roster.update(member)
    this.#options.roster.freed()
  }
}

/** What a worker says of a call that was aborted: our error, or what `fetch` and others throw. */
function isAbort({ code, cause }: ApproxiferError): boolean {
  return code === 'ABORTED' || (cause as Error | undefined)?.name === 'AbortError'
}
