/** The workers, and one queue of attempts for all of them. */

import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import { checkAnswer, rowLength, type Signature } from '../tensor'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Batch } from './batch'
import type { Call } from './call'
import { Closing } from './closing'
import { Dispatcher } from './dispatch'
import { Execution } from './execution'
import type { IdentitiesView } from './identities'
import { Member, type WorkerStats } from './member'
import { Packing } from './packing'
import { Queue } from './queue'
import { Roster } from './roster'
import { Speeds } from './speed'

export { type Asker, Call, type Kind } from './call'
export type { WorkerStats } from './member'

export interface PoolOptions {
  clock: Clock
  /** What a worker is restarted after, if it has a call and gives no sign. */
  hangMs: number
  /** What answers are checked by, whatever a worker says of itself meanwhile. */
  signature: Signature
  /** With the paper's code each row of a group needs a worker of its own, so that slow workers are not passed over. Default false. */
  useAll?: boolean
  /** Told a little later when fewer workers may take attempts: some that are queued may have no worker left. */
  fewer?: () => void
  /** Rows that a worker gets in one run at most. Default: as many as it takes. */
  maxBatch?: number
  /** How long a call takes until it is late, as far as is known. Default: none ever is. */
  lateMs?: () => number | undefined
}

export class Pool {
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

  constructor(workers: readonly ModelWorker[], options: PoolOptions) {
    const {
      clock,
      hangMs,
      signature,
      useAll,
      fewer = () => {},
      lateMs = () => undefined,
      maxBatch = Number.POSITIVE_INFINITY,
    } = options
    const length = rowLength(signature.outputs)
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
      accept: (answer) => checkAnswer(answer, length, signature.outputs).slice(), // it may use its buffer again
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

  /** Workers that may take attempts, now or in a moment: those that are neither ejected nor gone. */
  get usable(): number {
    return this.#roster.capacity.workers
  }

  /** Workers that could take an attempt now. */
  get free(): number {
    return this.#roster.free
  }

  /** Whether no more wait of what can be done without than it may soon get round to: while all are at work, none is done. */
  get hasSpare(): boolean {
    return this.#queue.spare < this.#roster.capacity.slots
  }

  /** Share of the slots that were at work on what cannot be done without, in the last half second or so. */
  get utilisation(): number {
    return this.#roster.utilisation.value
  }

  /** A sentence that says why no worker may take an attempt. */
  get nobody(): string {
    return this.#roster.nobody
  }

  /** A worker joins. @param worker  of a name that no other has @param barred  it gets no rows from the queue at first */
  add(worker: ModelWorker, barred = false): void {
    if (this.#isClosed) throw new ApproxiferError('CLOSED', 'the pool is closed')
    const member = new Member(worker, this.#maxBatch)
    worker.onFree = () => this.#execution.free(member)
    this.#roster.add(member, barred)
    this.#dispatcher.dispatch()
  }

  /** A worker gets no more rows, and is closed when it has none. @returns whether there is one of this name */
  drain(name: string): boolean {
    const member = this.#roster.get(name)
    if (!member) return false
    this.#roster.leave(member)
    this.#execution.forget(member)
    this.#discharge(member)
    return true
  }

  /** A worker's calls reject, and it is closed, also where it drains. @returns whether there is one of this name */
  remove(name: string): boolean {
    const known = this.drain(name)
    const leaving = [...this.#roster.leaving].filter(({ worker }) => worker.name === name)
    const error = new ApproxiferError('WORKER', `${name} was removed`)
    for (const member of leaving) {
      for (const { batch, next } of member.slots.all)
        for (const each of [batch, next]) for (const call of each?.open ?? []) call.removed = true
      this.#execution.end(member, error)
    }
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

  /** Takes a row in: it goes to a worker now, or as soon as one may take it. */
  put(call: Call): void {
    call.putAt = this.#clock.now()
    this.#queue.push(call)
    this.#dispatcher.queued()
    this.#queued()
  }

  #queued(): void {
    if (!this.usable) this.#checkStranded()
  }

  /** Takes a waiting row out; one that runs is let go, and its outcome is still heard. */
  cancel(call: Call): void {
    if (call.state === 'running') call.letGo()
    if (call.state !== 'waiting') return
    call.state = 'cancelled'
    this.#queue.remove(call)
  }

  /** A row that waits can no longer be done without. */
  hurry(call: Call): void {
    if (call.state !== 'waiting') return
    this.#queue.remove(call)
    call.kind = 'urgent'
    this.put(call)
  }

  /** The workers of this identity get no more rows from the queue, until they are admitted again. */
  bar(identity: string, barred = true): void {
    this.#roster.eject(identity, barred)
    this.#dispatcher.dispatch()
  }

  /**
   * How many machines may yet take a row that must not go where these calls went, or will go: those that have, or had, one of them do not
   * count, nor do as many as wait for one. Below 0: not all that wait will get one.
   */
  candidates(calls: readonly Call[]): number {
    const { identities } = this.#roster
    const asked = new Set<string>()
    let waiting = 0
    for (const call of calls) {
      const { asked: identity, state } = call
      if (state === 'waiting') waiting++
      else if (identity !== undefined && identities.isUsable(identity)) asked.add(identity)
    }
    return identities.usable - asked.size - waiting
  }

  /** Gives a row to one of the workers that are barred, if one is free that may take it; its outcome is heard. */
  tryOn(call: Call): boolean {
    const willDo = (member: Member) => !member.slots.busy && member.isFree && !call.asker.avoids(call, member.worker)
    const member = this.#roster.findEjected(willDo)
    if (member) this.#execution.start(member, new Batch([call]))
    return member !== undefined
  }

  /** A row that waits for a worker where there is none for it fails. */
  giveUp(call: Call): void {
    if (call.state !== 'waiting') return
    this.#queue.remove(call)
    call.state = 'done'
    call.error = new ApproxiferError('WORKER', this.nobody)
    call.asker.heard(call)
  }

  /** Counts what became of a call's answer; of a worker that has left nobody asks. */
  count(worker: ModelWorker | undefined, outcome: keyof Member['counts']): void {
    const member = worker && this.#roster.of(worker)
    if (member) member.counts[outcome]++
  }

  stats(): WorkerStats[] {
    return Array.from(this.#roster.members, ({ worker, counts, speed, isGone }) => ({
      worker: worker.name,
      identity: identityOf(worker),
      ...counts,
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
      if (this.#isClosed || !(this.#queue.needed + this.#queue.spare)) return
      this.#fewer()
      // No worker may take an attempt, and nobody knows when one will: they fail rather than wait for their deadlines.
      if (!this.usable) for (const call of this.#queue.all) this.giveUp(call)
    })
  }

  /** Ends every call with this error and closes the workers, those that take too long unseen. */
  async close(error: ApproxiferError): Promise<void> {
    this.#isClosed = true
    this.#dispatcher.close()
    this.#execution.pipeline.close()
    for (const call of this.#queue.all) this.cancel(call)
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
