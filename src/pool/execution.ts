/** What becomes of batches: each is sent, begins, and has its attempts settled; then its slot is free, or begins with the next. */

import type { Clock } from '../clock'
import { ApproxiferError, asError } from '../errors'
import { Batch, send } from './batch'
import { Call } from './call'
import { Listeners } from './listeners'
import type { Member, WorkerSlot } from './member'
import { Pipeline } from './pipeline'
import { Probing } from './probing'
import type { Queue } from './queue'
import type { Roster } from './roster'
import type { Speeds } from './speed'
import { Watchdog } from './watchdog'

export interface ExecutionOptions {
  readonly clock: Clock
  readonly hangMs: number
  readonly queue: Queue
  readonly roster: Roster
  readonly speeds: Speeds
  /** How long one row takes until it is late, as far as is known. */
  lateMs(): number | undefined
  /** Makes an answer of what a worker gave, or throws. */
  accept(answer: unknown): Float32Array
  /** Told when slots may be free, and which worker has done with a batch, if that is why. */
  freed(member?: Member): void
  /** Attempts are queued again. */
  queued(): void
}

export class Execution {
  readonly pipeline: Pipeline
  readonly #options: ExecutionOptions
  readonly watchdog: Watchdog
  readonly #probing: Probing
  readonly #listeners = new Listeners(
    (batch, call, answer) => this.#answered(batch, call, answer),
    (batch, call, error) => this.#settle(batch, call, asError(error, 'WORKER')),
  )

  constructor(options: ExecutionOptions) {
    const { clock, hangMs } = options
    this.#options = options
    this.pipeline = new Pipeline(clock, options.lateMs, (late) => this.#takeBackAll(late))
    this.watchdog = new Watchdog(clock, hangMs, (slot, why) => this.#hung(slot, why))
    this.#probing = new Probing(clock)
  }

  /** A worker with a free slot gets a batch. */
  start(member: Member, batch: Batch): void {
    const slot = this.#options.roster.occupy(member)
    this.#begin(slot, batch)
    this.#send(slot, batch)
    this.#tell(batch)
    this.watchdog.watch(slot)
  }

  /** A slot gets its next batch while it is at work. */
  startAhead(slot: WorkerSlot, batch: Batch): void {
    batch.phase = 'ahead'
    batch.startedAt = this.#options.clock.now()
    this.pipeline.give(slot, batch)
    this.#send(slot, batch)
  }

  #send(slot: WorkerSlot, batch: Batch): void {
    const { worker } = slot.member
    batch.slot = slot
    for (const call of batch.attempts) {
      call.state = 'running'
      call.worker = worker
      call.batch = batch
    }
    const outcomes = send(worker, batch)
    for (let i = 0; i < outcomes.length; i++) this.#listeners.listen(batch, batch.attempts[i], outcomes[i])
  }

  /** A slot is at work on a batch, as far as can be told, or on none. */
  #begin(slot: WorkerSlot, batch: Batch | undefined): void {
    const { clock, roster } = this.#options
    const more = Number(batch?.isNeeded ?? false) - Number(slot.batch?.isNeeded ?? false)
    if (more) roster.utilisation.add(more)
    slot.isDoubted = false
    if (!batch) return
    const now = clock.now()
    // One sent ahead has made its way already.
    const arrivedAt = now - (slot.member.worker.roundTripMs ?? 0)
    batch.startedAt = batch.phase === 'ahead' ? Math.max(batch.startedAt, arrivedAt) : now
    batch.phase = 'running'
    batch.slot = slot
    slot.batch = batch
    for (const call of batch.attempts) call.sentAt = batch.startedAt
    this.pipeline.began(slot)
  }

  /** Who wants an attempt learns that a worker has begun with it. */
  #tell(batch: Batch): void {
    const { roster } = this.#options
    const { patience } = (batch.slot as WorkerSlot).member
    for (const call of batch.attempts) {
      if (call.batch === batch) call.asker.sent(call)
      if (call.kind === 'query' && !patience && this.#probing.isDue(roster.capacity.slots)) this.#probe(call.row)
    }
  }

  #probe(row: Call['row']): void {
    const member = this.#probing.next(({ speed }) => this.#options.speeds.patience(speed))
    if (!member) return
    const expectedMs = member.speed.ms as number
    const heard = ({ ms, error, failure }: Call) => {
      this.#probing.spend(ms, !error && ms < expectedMs / 2)
      if (error && member.state.is !== 'leaving') member.counts[failure]++
    }
    const call = new Call({ avoids: () => false, sent() {}, spare() {}, heard }, row, 'extra')
    this.start(member, new Batch([call]))
  }

  #answered(batch: Batch, call: Call, answer: unknown): void {
    let outcome: Float32Array | ApproxiferError
    try {
      outcome = this.#options.accept(answer)
    } catch (error) {
      outcome = asError(error, 'PROTOCOL')
    }
    this.#settle(batch, call, outcome)
  }

  #settle(batch: Batch, call: Call, outcome: Float32Array | ApproxiferError): void {
    const error = outcome instanceof ApproxiferError ? outcome : undefined
    // It was given up or taken back, or the pool is closed.
    if (call.batch !== batch) return this.#heardOf(batch)
    const slot = batch.slot as WorkerSlot
    const { member } = slot
    const isLeaving = member.state.is === 'leaving'
    call.batch = undefined
    if (!error) batch.best = 'answered'
    else if (batch.best === 'cancelled' && !(call.isLetGo && error.code === 'ABORTED')) batch.best = 'failed'
    // With the one that it was at work on, where it was not sent away.
    batch.isDown ||= error?.code === 'WORKER' && batch === slot.batch && !isLeaving && !member.isFree
    // Whose fault that is shows when each has a run of its own.
    const again = error?.code === 'WORKER' && batch.attempts.length > 1 && !call.isLetGo && !isLeaving
    if (again) batch.again = [...(batch.again ?? []), call]
    else this.#end(call, batch, outcome)
    const { isOver } = batch
    const next = isOver ? this.#leave(slot, batch) : undefined
    if (!error) call.asker.spare(call)
    else if (!again) call.asker.failed?.(call)
    if (isOver) this.#options.freed(member) // first: while the answer is looked at its worker can be at work
    if (next) this.#tell(next)
    if (!again) call.asker.heard(call)
  }

  #end(call: Call, batch: Batch, outcome: Float32Array | ApproxiferError): void {
    call.state = 'done'
    if (Number.isNaN(call.sentAt)) call.sentAt = batch.startedAt
    call.ms = this.#options.clock.now() - call.sentAt
    if (outcome instanceof ApproxiferError) call.error = outcome
    else call.answer = outcome
    call.killed = batch.isDown && batch.attempts.length === 1
  }

  /** A worker has done with a batch, and begins with the next, is free, or gone. @returns the next */
  #leave(slot: WorkerSlot, batch: Batch): Batch | undefined {
    const { member } = slot
    if (batch.best !== 'cancelled') this.#learn(member, batch)
    if (batch.again) this.#sendAgain(member, batch.again)
    if (batch === slot.next) {
      this.pipeline.end(slot)
      return undefined
    }
    this.pipeline.unlist(slot)
    if (batch.isDown) this.#takeBack(slot)
    const next = this.pipeline.end(slot)
    this.#begin(slot, next)
    if (next) return next
    // A worker that rejects what was cancelled may be at work on it all the same, or hang: it is watched until it is free.
    const mayWork = batch.best === 'cancelled' && member.state.is !== 'leaving' && !member.isFree
    if (mayWork || batch.phase === 'silent') member.slots.hold(slot)
    else this.#vacate(slot)
    return undefined
  }

  #vacate(slot: WorkerSlot): void {
    this.#options.roster.vacate(slot)
    this.#options.roster.update(slot.member)
  }

  /** What is behind late batches is to go elsewhere. */
  #takeBackAll(late: readonly WorkerSlot[]): void {
    for (const slot of late) this.#takeBack(slot)
    this.#options.freed()
  }

  #takeBack(slot: WorkerSlot): void {
    const next = this.pipeline.end(slot)
    if (!next) return
    const { open } = next
    for (const call of open) call.withdraw()
    this.#putBack(open)
    if (next.again) this.#sendAgain(slot.member, next.again)
  }

  /** Attempts are queued again, before all others. */
  #putBack(calls: readonly Call[]): void {
    for (const call of [...calls].reverse()) {
      call.batch = undefined
      if (call.isLetGo) {
        call.state = 'done'
        call.error = new ApproxiferError('ABORTED', 'nobody waits for it any more')
        call.asker.heard(call)
        continue
      }
      call.state = 'waiting'
      call.worker = undefined
      call.sentAt = Number.NaN
      this.#options.queue.unshift(call)
      call.asker.back?.(call)
    }
    this.#options.queued()
  }

  /** Of attempts that failed together one may be at fault: each gets a run of its own. */
  #sendAgain({ counts }: Member, calls: readonly Call[]): void {
    counts.failed++
    for (const call of calls) call.alone = true
    this.#putBack(calls)
  }

  /** What it took tells how long one row takes, however many there were. */
  #learn(member: Member, { attempts, startedAt, measured, best, factor, comparable }: Batch): void {
    const ms = this.#options.clock.now() - startedAt
    if (measured && best === 'answered') member.batching?.add(attempts.length, ms)
    if (attempts.length > 1 && best === 'failed') member.batching?.fail(attempts.length)
    if (best === 'failed') this.#rate(member, Number.POSITIVE_INFINITY)
    else if (comparable) this.#rate(member, ms / factor)
  }

  #rate(member: Member, ms: number): void {
    if (member.state.is === 'leaving') return
    const { speeds } = this.#options
    speeds.add(member.speed, ms)
    member.patience = speeds.patience(member.speed)
    if (member.patience) this.#probing.add(member)
  }

  #hung(slot: WorkerSlot, why: string): void {
    const { member } = slot
    const { worker } = member
    try {
      worker.restart?.(why)
    } catch {} // it stays as it is
    const batch = slot.batch as Batch
    const { open } = batch
    if (!open.length) return this.free(member)
    batch.isDown = true
    if (!worker.restart) this.#giveUp(member, batch)
    const error = new ApproxiferError('WORKER', `${worker.name} ${why}`)
    for (const call of open) this.#settle(batch, call, error)
  }

  /** Nobody restarts it: its calls are aborted, and it is slow until it has shown otherwise, whatever its last answers took. */
  #giveUp(member: Member, batch: Batch): void {
    for (const call of batch.open) {
      call.abandoned = true
      call.withdraw()
    }
    batch.phase = 'silent'
    this.#rate(member, Number.POSITIVE_INFINITY)
  }

  /** An attempt that was given up or taken back has settled after all. */
  #heardOf(batch: Batch): void {
    const slot = batch.slot as WorkerSlot
    if (batch.phase !== 'silent' || slot.batch !== batch) return
    this.#vacate(slot)
    this.#options.freed()
  }

  /** A worker says that it may be free. */
  free(member: Member): void {
    for (const slot of member.slots.held) this.#options.roster.vacate(slot)
    if (!member.slots.hasRoom) return
    this.#options.roster.update(member)
    this.#options.freed()
  }

  /** A worker leaves the pool. */
  forget(member: Member): void {
    this.#options.speeds.forget(member.speed)
    this.#probing.forget(member)
  }

  /** All attempts of a worker end with this error. */
  end(member: Member, error: ApproxiferError): void {
    for (const { next, batch } of member.slots.all) {
      for (const each of [next, batch]) for (const call of each?.open ?? []) this.#settle(each as Batch, call, error)
    }
  }
}
