/** The workers, and one queue of attempts for all of them. It knows nothing about queries, groups, lies or numbers. */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { ModelWorker } from '../workers/worker'
import type { Apart, Attempt, Attempts, Identity, Submission, Turn } from './attempt'
import { type Batch, CANCELLED, nobodysFault, PooledAttempt } from './batch'
import { Closing } from './closing'
import { Dispatcher, type DispatchOptions } from './dispatch'
import type { Execution } from './execution'
import type { Forecast } from './forecast'
import type { IdentitiesView } from './identities'
import { Member, type PoolStats } from './member'
import { Queue } from './queue'
import { Roster, type WorkerChanged } from './roster'

export type { Attempt, AttemptOutcome, Owner, Priority } from './attempt'
export type { WorkerStats } from './member'

export interface PoolOptions<A> extends DispatchOptions {
  accept: (answer: unknown) => A
  /** Called a little later when fewer workers may take attempts: some queued ones may have no worker left. */
  fewer?: () => void
  /** A worker cannot be reached, or is back, or takes so many calls at once from now on. */
  changed?: WorkerChanged
  /** Attempts in one run at most. Default: as many as the worker takes. */
  maxBatch?: number
  /**
   * Whether a worker gets one attempt at a time, alone, and none that another worker has, so that it cannot tell a trial from a query. Default: no.
   */
  plain?: (worker: ModelWorker) => boolean
}

/** @typeParam P  payloads: what `ModelWorker.infer` takes @typeParam A  answers: what `accept` gives */
export class Pool<P = unknown, A = unknown> implements Attempts<P, A> {
  /** Whether a query that comes now would be answered in time. */
  readonly forecast: Forecast
  readonly #queue = new Queue()
  readonly #roster: Roster
  readonly #dispatcher: Dispatcher
  readonly #execution: Execution
  readonly #closing: Closing
  readonly #clock: Clock
  readonly #maxBatch: number
  readonly #plain: (worker: ModelWorker) => boolean
  #isClosed = false

  constructor(workers: readonly ModelWorker[], options: PoolOptions<A>) {
    const { clock, maxBatch = Number.POSITIVE_INFINITY, fewer = () => {}, plain = () => false } = options
    this.#clock = clock
    this.#plain = plain
    this.#maxBatch = maxBatch
    this.#closing = new Closing(clock)
    const strand = inAMoment(() => this.#strand(fewer)) // workers often leave in numbers
    const left = (member: Member) => this.#closing.close(member)
    const freed = (member?: Member) => this.#dispatcher.freed(member)
    this.#roster = new Roster(clock, strand, left, freed, () => this.#queue.needed > 0, options.changed)
    this.#dispatcher = new Dispatcher(this.#queue, this.#roster, options)
    this.#execution = this.#dispatcher.execution
    this.forecast = this.#dispatcher.forecast
    for (const worker of workers) this.add(worker)
  }

  get size(): number {
    return this.#roster.members.size
  }

  /** Attempts that its workers take at once. */
  get slots(): number {
    return this.#roster.capacity.slots
  }

  get usable(): number {
    return this.#roster.capacity.workers
  }

  get free(): number {
    return this.#roster.free
  }

  get utilisation(): number {
    return this.#roster.utilisation.soFar
  }

  get waiting(): number {
    return this.#queue.needed / Math.max(1, this.slots)
  }

  get hasSpare(): boolean {
    return this.#queue.low.size < this.slots
  }

  get isOverloaded(): boolean {
    return this.forecast.isOverloaded
  }

  tooLate({ dueAt, turn }: { readonly dueAt: number; readonly turn: Turn }): ApproxiferError | undefined {
    return this.isOverloaded ? this.forecast.tooLate(dueAt - this.#clock.now(), turn) : undefined
  }

  get nobody(): string {
    return this.#roster.nobody
  }

  get identities(): IdentitiesView {
    return this.#roster.identities
  }

  worker(name: string): ModelWorker | undefined {
    return this.#roster.members.get(name)?.worker
  }

  /** A worker joins. @param worker  with a name that no other has @param ejected  it only gets trials at first */
  add(worker: ModelWorker, ejected = false): void {
    if (this.#isClosed) throw new ApproxiferError('CLOSED', 'the pool is closed')
    const member = new Member(worker, this.#maxBatch, this.#plain(worker))
    worker.onFree = () => this.#execution.free(member)
    this.#roster.add(member, ejected)
    this.#dispatcher.dispatch()
  }

  /** A worker gets no more attempts, and is closed when it has none. @returns whether a worker has this name */
  drain(name: string): boolean {
    const member = this.#roster.members.get(name)
    if (!member) return false
    this.#execution.forget(member)
    this.#roster.leave(member)
    return true
  }

  /** Fails a worker's attempts and closes it. @returns whether a worker has this name */
  remove(name: string): boolean {
    const leaving = this.#roster.all.filter(({ worker }) => worker.name === name)
    this.drain(name)
    const error = new ApproxiferError('WORKER', `${name} was removed`)
    for (const member of leaving) this.#execution.end(member, error)
    return leaving.length > 0
  }

  submit(row: Submission<P>): Attempt<P, A> {
    const attempt = new PooledAttempt(row, this.#clock.now())
    this.#queue.push(attempt)
    this.#dispatcher.queued(attempt.queuedAt)
    return attempt as Attempt<P, A>
  }

  release(attempt: Attempt<P, A>): void {
    const own = attempt as PooledAttempt
    own.isReleased = true
    if (own.phase !== 'queued') return
    this.#queue.remove(own)
    own.settle(CANCELLED, this.#clock.now())
  }

  cancel(attempt: Attempt<P, A>): void {
    this.release(attempt)
    if (attempt.phase === 'running') (attempt as PooledAttempt).abort()
  }

  promote(attempt: Attempt<P, A>): void {
    const own = attempt as PooledAttempt
    if (own.phase !== 'queued' || own.priority !== 'low') return
    this.#queue.remove(own)
    own.priority = 'high'
    this.#queue.push(own)
    this.#dispatcher.queued()
  }

  trial(row: Submission<P>): Attempt<P, A> | undefined {
    const attempt = new PooledAttempt(row, this.#clock.now())
    const member = this.#roster.findEjected((identity) => attempt.mayGoTo(identity))
    if (!member) return undefined
    this.#execution.startAlone(member, attempt)
    return attempt as Attempt<P, A>
  }

  suspend(identity: Identity): void {
    this.#roster.eject(identity, true)
  }

  eject(identity: Identity): void {
    this.suspend(identity)
    const error = new ApproxiferError('WORKER', 'its worker was ejected')
    const theirs = this.#roster.all.filter((member) => member.identity === identity)
    for (const member of theirs) this.#execution.end(member, error)
  }

  readmit(identity: Identity): void {
    this.#roster.eject(identity, false)
    this.#dispatcher.dispatch()
  }

  available(blocked: Iterable<Identity>): number {
    const { identities } = this.#roster
    let available = identities.usable
    for (const identity of new Set(blocked)) if (identities.isUsable(identity)) available--
    return available
  }

  /** Counts an attempt's answer, by whether a query still waited for it. */
  record({ attempt, onTime }: { attempt: Attempt; onTime: boolean }): void {
    const own = attempt as PooledAttempt
    own.onTime = onTime
    if (own.outcome?.kind === 'answered') (own.batch as Batch).slot.member.counts[onTime ? 'onTime' : 'late']++
  }

  suspect(worker: ModelWorker): void {
    const member = this.#roster.members.get(worker.name)
    if (member?.worker === worker) member.counts.suspected++
  }

  stats(): PoolStats[] {
    return Array.from(this.#roster.members.values(), (member) => member.stats)
  }

  /** Fails queued attempts that no worker may take now or later, instead of letting them wait for their deadlines. */
  #strand(fewer: () => void): void {
    if (this.#isClosed || !(this.#queue.needed + this.#queue.low.size)) return
    fewer()
    const { identities } = this.#roster
    const usable = identities.all().filter((identity) => identities.isUsable(identity))
    const error = new ApproxiferError('WORKER', usable.length ? 'no worker is left that was not asked' : this.nobody)
    const kept = new Map<Apart, number>()
    for (const attempt of this.#queue.all) {
      if (attempt.phase !== 'queued') continue // an owner has cancelled it
      const { apart, isStranded } = attempt.row
      if (usable.length && !isStranded) continue // its owner waits for others to come back
      const before = apart.reduce((most, each) => Math.max(most, kept.get(each) ?? 0), 0)
      let left = before + 1 // attempts that keep apart from each other need an identity each
      for (let i = 0; left && i < usable.length; i++) if (attempt.mayGoTo(usable[i])) left--
      if (!left) {
        for (const each of apart) kept.set(each, before + 1)
        continue
      }
      this.#queue.remove(attempt)
      attempt.settle(nobodysFault(error), this.#clock.now())
      attempt.row.owner.settled(attempt)
    }
  }

  /** Fails all attempts with this error and closes the workers; slow ones are not waited for. */
  async close(error: ApproxiferError): Promise<void> {
    this.#isClosed = true
    this.#dispatcher.close()
    for (const attempt of this.#queue.all) this.cancel(attempt as Attempt<P, A>)
    const members = this.#roster.all
    this.#roster.leaving.clear()
    for (const member of members) {
      this.#execution.end(member, error)
      this.#closing.close(member)
    }
    await this.#closing.done()
  }
}

/** Calls `f` once in a moment, however often it is asked for until then. */
function inAMoment(f: () => void): () => void {
  let isPlanned = false
  return () => {
    if (isPlanned) return
    isPlanned = true
    queueMicrotask(() => {
      isPlanned = false
      f()
    })
  }
}
