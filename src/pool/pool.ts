/** The workers, and one queue of attempts for all of them. It knows nothing of queries, groups, lies or numbers. */

import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Attempt, Attempts, Identity, Submission } from './attempt'
import { Batch } from './batch'
import { Closing } from './closing'
import { Dispatcher } from './dispatch'
import { Execution } from './execution'
import type { IdentitiesView } from './identities'
import { Member, type PoolStats } from './member'
import { Packing } from './packing'
import { PooledAttempt } from './pooled-attempt'
import { Queue } from './queue'
import { Roster } from './roster'
import { Speeds } from './speed'

export type { WorkerStats } from './member'

export interface PoolOptions<A> {
  clock: Clock
  /** What a worker is restarted after, if it has an attempt and gives no sign. */
  hangMs: number
  /** Makes an answer of what a worker gave, which the worker may change later, or throws PROTOCOL. */
  accept: (answer: unknown) => A
  /** With the paper's code each row of a group needs a worker of its own, so that slow workers are not passed over. Default false. */
  useAll?: boolean
  /** Told a little later when fewer workers may take attempts: some that are queued may have no worker left. */
  fewer?: () => void
  /** Attempts that a worker gets in one run at most. Default: as many as it takes. */
  maxBatch?: number
  /** How long an attempt takes until it is late, as far as is known. Default: none ever is. */
  lateMs?: () => number | undefined
}

/** @typeParam P  payloads: what `ModelWorker.infer` takes @typeParam A  answers: what `accept` gives */
export class Pool<P = unknown, A = unknown> implements Attempts<P, A> {
  readonly #queue = new Queue()
  readonly #roster: Roster
  readonly #execution: Execution
  readonly #dispatcher: Dispatcher
  readonly #closing: Closing
  readonly #clock: Clock
  readonly #maxBatch: number
  readonly #fewer: () => void
  #isCheckingStranded = false
  #isClosed = false

  constructor(workers: readonly ModelWorker[], options: PoolOptions<A>) {
    const {
      clock,
      hangMs,
      accept,
      useAll,
      fewer = () => {},
      lateMs = () => undefined,
      maxBatch = Number.POSITIVE_INFINITY,
    } = options
    const speeds = new Speeds(useAll)
    const roster = new Roster(clock, () => this.#checkStranded())
    const parts = { queue: this.#queue, roster, speeds }
    this.#clock = clock
    this.#maxBatch = maxBatch
    this.#fewer = fewer
    this.#roster = roster
    this.#closing = new Closing(clock)
    this.#execution = new Execution({
      ...parts,
      clock,
      hangMs,
      lateMs,
      accept,
      freed: (member) => this.#freed(member),
      queued: () => this.#queued(),
    })
    const packing = new Packing(clock, hangMs, this.#queue, roster)
    this.#dispatcher = new Dispatcher(clock, { ...parts, packing, execution: this.#execution })
    for (const worker of workers) this.add(worker)
  }

  get size(): number {
    return this.#roster.size
  }

  /** Attempts that its workers take at once. */
  get slots(): number {
    return this.#roster.capacity.slots
  }

  /** Of its workers: those of one machine share it. */
  get identities(): IdentitiesView {
    return this.#roster.identities
  }

  get workers(): ModelWorker[] {
    return Array.from(this.#roster.members, ({ worker }) => worker)
  }

  /** The one of this name. */
  worker(name: string): ModelWorker | undefined {
    return this.#roster.get(name)?.worker
  }

  get usable(): number {
    return this.#roster.capacity.workers
  }

  get free(): number {
    return this.#roster.free
  }

  get hasSpare(): boolean {
    return this.#queue.low < this.#roster.capacity.slots
  }

  get utilisation(): number {
    return this.#roster.utilisation.value
  }

  get nobody(): string {
    return this.#roster.nobody
  }

  /** A worker joins. @param worker  of a name that no other has @param ejected  it gets nothing but trials at first */
  add(worker: ModelWorker, ejected = false): void {
    if (this.#isClosed) throw new ApproxiferError('CLOSED', 'the pool is closed')
    const member = new Member(worker, this.#maxBatch)
    worker.onFree = () => this.#execution.free(member)
    this.#roster.add(member, ejected)
    this.#dispatcher.dispatch()
  }

  /** A worker gets no more attempts, and is closed when it has none. @returns whether there is one of this name */
  drain(name: string): boolean {
    const member = this.#roster.get(name)
    if (!member) return false
    this.#roster.leave(member)
    this.#execution.forget(member)
    this.#discharge(member)
    return true
  }

  /** A worker's attempts fail, and it is closed, also where it drains. @returns whether there is one of this name */
  remove(name: string): boolean {
    const known = this.drain(name)
    const leaving = [...this.#roster.leaving].filter(({ worker }) => worker.name === name)
    const error = new ApproxiferError('WORKER', `${name} was removed`)
    for (const member of leaving) this.#execution.end(member, error)
    return known || leaving.length > 0
  }

  /** A worker that left is closed once it has no attempts. */
  #discharge(member: Member): void {
    if (member.slots.open || !this.#roster.leaving.delete(member)) return
    this.#execution.watchdog.unwatch(member)
    member.worker.onFree = undefined
    this.#closing.close([member.worker])
  }

  #freed(member: Member | undefined): void {
    if (member?.state.is === 'leaving') this.#discharge(member)
    if (member) this.#dispatcher.done(member)
    else this.#dispatcher.dispatch()
  }

  submit(row: Submission<P>): Attempt<P, A> {
    const attempt = new PooledAttempt(row, this.#clock.now())
    this.#queue.push(attempt)
    this.#dispatcher.queued()
    this.#queued()
    return attempt as Attempt<P, A>
  }

  #queued(): void {
    if (!this.usable) this.#checkStranded()
  }

  release(attempt: Attempt<P, A>): void {
    const own = attempt as PooledAttempt
    own.isReleased = true
    if (own.phase !== 'queued') return
    this.#queue.remove(own)
    own.settle({ kind: 'cancelled' }, this.#clock.now())
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
    const member = this.#roster.findEjected(({ slots, worker, isFree }) => {
      return !slots.busy && isFree && !attempt.isKeptFrom(identityOf(worker))
    })
    if (!member) return undefined
    this.#execution.start(member, new Batch([attempt]))
    return attempt as Attempt<P, A>
  }

  eject(identity: Identity): void {
    this.#roster.eject(identity, true)
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

  /** Counts what an answer was worth to its owner; of a worker that has left nobody asks. */
  count(worker: ModelWorker | undefined, outcome: 'onTime' | 'late' | 'suspected'): void {
    const member = worker && this.#roster.of(worker)
    if (member) member.counts[outcome]++
  }

  stats(): PoolStats[] {
    return Array.from(this.#roster.members, ({ worker, counts, slots, speed, isGone }) => ({
      worker: worker.name,
      identity: identityOf(worker),
      ...counts,
      slots: slots.limit,
      running: slots.open,
      expectedMs: speed.ms,
      gone: isGone,
    }))
  }

  /** In a moment: when workers leave, many do. */
  #checkStranded(): void {
    if (this.#isCheckingStranded || this.#isClosed) return
    this.#isCheckingStranded = true
    queueMicrotask(() => {
      this.#isCheckingStranded = false
      if (this.#isClosed || !(this.#queue.needed + this.#queue.low)) return
      this.#fewer()
      if (!this.usable) for (const attempt of this.#queue.all) this.#strand(attempt)
    })
  }

  /** No worker may take an attempt, and nobody knows when one will: it fails rather than waits for its deadline. */
  #strand(attempt: PooledAttempt): void {
    if (attempt.phase !== 'queued') return
    const error = new ApproxiferError('WORKER', this.nobody)
    this.#queue.remove(attempt)
    attempt.settle({ kind: 'failed', error, blame: 'nobody', lost: undefined }, this.#clock.now())
    attempt.row.owner.settled(attempt)
  }

  /** Ends every attempt that runs with this error and closes the workers, those that take too long unseen. */
  async close(error: ApproxiferError): Promise<void> {
    this.#isClosed = true
    this.#dispatcher.close()
    this.#execution.pipeline.close()
    for (const attempt of this.#queue.all) this.cancel(attempt as Attempt<P, A>)
    const members = [...this.#roster.members, ...this.#roster.leaving]
    this.#roster.leaving.clear()
    for (const member of members) {
      member.worker.onFree = undefined
      this.#execution.end(member, error)
      this.#execution.watchdog.unwatch(member)
    }
    this.#closing.close(members.map(({ worker }) => worker))
    await this.#closing.done()
  }
}
