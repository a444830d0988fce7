/**
 * The workers, and the one queue of rows. A row waits here until a worker is free that may take it, and is bound to it only
 * then: one bound early waits behind a straggler (27 workers at 60 % load: p99 93 ms, against 21 ms for a plain hedge).
 */

import TinyQueue from 'tinyqueue'
import type { Clock } from '../clock'
import { Deque } from '../deque'
import { ApproxiferError, asError } from '../errors'
import { guarded } from '../notices'
import { checkAnswer, rowLength, type Signature } from '../tensor'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Ahead, QUICK_MS } from './ahead'
import { Call, type Kind } from './call'
import { Identities, type IdentitiesView } from './identities'
import { Job, run } from './job'
import { Listeners } from './listeners'
import {
  isApart,
  isFree,
  isGone,
  type Member,
  mayWork,
  mayWorkSoon,
  newMember,
  runMs,
  type WorkerStats,
} from './member'
import { Speeds } from './speed'

export { type Asker, Call, type Kind } from './call'
export type { WorkerStats } from './member'

/** Rows to look at for one that an idle worker may take, so that one that it may not take blocks nobody behind it. */
const LOOK = 256
/** Idle workers to offer rows to at a time. */
const OFFERS = 32
/** Share of the workers that extras leave idle, for queries to come. */
const RESERVE = 0.1
/** Share of the pool's time for probes, how much of it may be saved up in ms, and queries between two of them. */
const PROBING = 0.01
const SAVED_UP_MS = 100
const PROBE_EVERY = 50
/** Time for replies that wait to be read, before a worker that seems to hang is restarted: this thread may have stalled. */
const GRACE_MS = 10
/** A run takes at most this share of the time after which its worker hangs. */
const SAFE = 0.25
/** Of how long ago the utilisation tells, ms: older times count for less by a factor of e. */
const RECENT_MS = 500
/** How long `close` waits for a worker's own. */
const CLOSE_MS = 5000
/** Entries of the idle that may be out of date, beyond as many as there are workers, before they are sorted out. */
const OUT_OF_DATE = 1000
type Outcome = { answer?: Float32Array; error?: ApproxiferError }

export interface PoolOptions {
  clock: Clock
  /** What a worker is restarted after, if it has a call and gives no sign. */
  hangMs: number
  /** What answers are checked by, whatever a worker says of itself meanwhile. */
  signature: Signature
  /** Rows do not wait for faster workers, since they need all of them: no two rows of a group may share one. Default false. */
  useAll?: boolean
  /** Told a little later when there are fewer workers that may take rows: some rows that wait may have no worker left. */
  fewer?: () => void
  /** Rows that a worker gets in one run at most. Default: as many as it takes. */
  maxBatch?: number
  /** How long a call takes until it is late, as far as is known. Default: none ever is. */
  lateMs?: () => number | undefined
}

export class Pool {
  readonly #clock: Clock
  readonly #hangMs: number
  readonly #signature: Signature
  readonly #length: number
  /** By name. */
  readonly #members = new Map<string, Member>()
  readonly #identities = new Identities()
  /** Those that left, while they have calls. */
  readonly #leaving = new Set<Member>()
  /** Of those that left. */
  readonly #closing = new Set<Promise<void>>()
  readonly #speeds = new Speeds()
  readonly #useAll: boolean
  readonly #lines: Record<Kind, Deque<Call>> = { urgent: new Deque(), query: new Deque(), extra: new Deque() }
  /** The fastest first, of equal ones the one that rested longest. An entry of a member that was busy since is skipped. */
  #idle = new TinyQueue<Entry>([], faster)
  readonly #ahead: Ahead
  readonly #listeners = new Listeners(
    (member, job, call, answer) => this.#answered(member, job, call, answer),
    (member, job, call, error) => this.#settle(member, job, call, { error: asError(error, 'WORKER') }),
  )
  readonly #maxBatch: number
  #stamps = 0
  #idleCount = 0
  readonly #down = new Set<Member>()
  readonly #barred = new Set<Member>()
  /** Those to probe, the first one next. */
  readonly #slow = new Set<Member>()
  #usable = 0
  readonly #fewer: () => void
  #lookingForStranded = false
  #dispatching = false
  /** Whether rows are gathered before they are sent, by the latest answer, and whether some are just now. */
  #gathers = false
  #gathering = false
  #unplan: (() => void) | undefined
  /** Milliseconds that probes may take, and when that was reckoned. */
  #probeMs = 0
  #probeAt: number
  #sinceProbe = 0
  /** Workers at work on what cannot be done without; their share, averaged, and up to when. */
  #busyCount = 0
  #utilisation = 0
  #utilisedAt: number
  #closed = false

  constructor(workers: readonly ModelWorker[], options: PoolOptions) {
    const {
      clock,
      hangMs,
      signature,
      useAll = false,
      fewer = () => {},
      lateMs = () => undefined,
      maxBatch = Number.POSITIVE_INFINITY,
    } = options
    this.#clock = clock
    this.#hangMs = hangMs
    this.#signature = signature
    this.#useAll = useAll
    this.#length = rowLength(signature.outputs)
    this.#probeAt = clock.now()
    this.#utilisedAt = clock.now()
    this.#fewer = fewer
    this.#ahead = new Ahead(clock, lateMs, (late) => {
      for (const member of late) this.#takeBack(member)
      this.#dispatch()
    })
    this.#maxBatch = maxBatch
    for (const worker of workers) this.add(worker)
  }

  get size(): number {
    return this.#members.size
  }

  /** Of its workers: those of one machine share it. */
  get identities(): IdentitiesView {
    return this.#identities
  }

  get workers(): ModelWorker[] {
    return Array.from(this.#members.values(), ({ worker }) => worker)
  }

  /** The one of this name. */
  worker(name: string): ModelWorker | undefined {
    return this.#members.get(name)?.worker
  }

  /** Workers that may take rows, now or in a moment: those that are neither barred nor gone. */
  get usable(): number {
    return this.#usable
  }

  /** A worker joins. @param worker  of a name that no other has @param barred  it gets no rows from the queue at first */
  add(worker: ModelWorker, barred = false): void {
    if (this.#closed) throw new ApproxiferError('CLOSED', 'the pool is closed')
    this.#utilise(0) // so far it did not count
    const member = newMember(worker, this.#maxBatch)
    this.#members.set(worker.name, member)
    this.#identities.add(worker)
    member.barred = barred
    if (barred) this.#barred.add(member)
    worker.onFree = () => {
      member.hung = undefined
      this.#freed(member)
    }
    this.#rest(member)
    this.#dispatch()
  }

  /** A worker gets no more rows, and is closed when it has none. @returns whether there is one of this name */
  drain(name: string): boolean {
    const member = this.#members.get(name)
    if (!member) return false
    this.#utilise(0) // so far it counted
    this.#members.delete(name)
    this.#dismiss(member)
    return true
  }

  /** A worker's calls reject, and it is closed, also where it drains. @returns whether there is one of this name */
  remove(name: string): boolean {
    const known = this.drain(name)
    const leaving = [...this.#leaving].filter(({ worker }) => worker.name === name)
    const error = new ApproxiferError('WORKER', `${name} was removed`)
    for (const member of leaving) {
      for (const job of [member.job, member.next]) for (const call of job?.left ?? []) call.removed = true
      this.#endCalls(member, error)
    }
    return known || leaving.length > 0
  }

  /** It is no member any more: nothing that is told of all counts it. */
  #dismiss(member: Member): void {
    if (member.state === 'idle') this.#idleCount--
    member.state = 'busy'
    member.left = true
    for (const set of [this.#down, this.#barred, this.#slow]) set.delete(member)
    this.#ahead.unlist(member)
    this.#speeds.forget(member.pace)
    this.#see(member, false)
    this.#identities.remove(member.worker)
    this.#leaving.add(member)
    if (!member.job) this.#discharge(member)
  }

  /** A worker that left has no calls any more. */
  #discharge(member: Member): void {
    if (!this.#leaving.delete(member)) return
    member.unwatch?.()
    member.worker.onFree = undefined
    const closing = this.#shut([member.worker])
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }

  /** Workers that could take a row now. */
  get free(): number {
    return [...this.#members.values()].reduce((sum, { state, worker }) => sum + Number(state !== 'busy' && isFree(worker)), 0) // biome-ignore format: one line
  }

  /** Whether no more wait of what can be done without than it may soon get round to: while all are at work, none is done. */
  get hasSpare(): boolean {
    return this.#lines.extra.size < this.size
  }

  /** Share of the workers that were at work on what cannot be done without, in the last half second or so. */
  get utilisation(): number {
    this.#utilise(0)
    return this.#utilisation
  }

  /** @param more  workers at such work from now on */
  #utilise(more: number): void {
    const now = this.#clock.now()
    const share = Math.min(1, this.#busyCount / Math.max(1, this.size)) // those that leave may be at work yet
    this.#utilisation = share + (this.#utilisation - share) * Math.exp((this.#utilisedAt - now) / RECENT_MS)
    this.#utilisedAt = now
    this.#busyCount += more
  }

  /** Takes a row in: it goes to a worker now, or as soon as one may take it. */
  put(call: Call): void {
    call.putAt = this.#clock.now()
    call.place = this.#lines[call.kind].push(call)
    for (let looks = Math.min(OFFERS, this.#down.size); looks > 0; looks--) {
      const [down] = this.#down
      this.#rest(down) // it may be free, and have forgotten to say so; if it is not, it is now the last
    }
    if (this.#gathers) this.#gather()
    else this.#dispatch()
    if (!this.#usable) this.#lookForStranded()
  }

  /**
   * Rows that have arrived at the same time go to workers together: each message wakes a thread, which takes as long as a
   * small model. With that, and no smaller runs than pay sent ahead, a request over HTTP takes 12 % less processor time
   * (LeNet, 16 under way, one worker or two).
   */
  #gather(): void {
    if (this.#gathering) return
    this.#gathering = true
    this.#clock.soon?.(() => {
      this.#gathering = false
      this.#dispatch()
    })
  }

  /** Takes a waiting row out; one that runs is let go, and its outcome is still heard. */
  cancel(call: Call): void {
    if (call.state === 'running') call.letGo()
    if (call.state !== 'waiting') return
    call.state = 'cancelled'
    this.#lines[call.kind].remove(call.place)
  }

  /** A row that waits can no longer be done without. */
  hurry(call: Call): void {
    if (call.state !== 'waiting') return
    this.#lines[call.kind].remove(call.place)
    call.kind = 'urgent'
    this.put(call)
  }

  /** The workers of this identity get no more rows from the queue, until they are admitted again. */
  bar(identity: string, barred = true): void {
    for (const worker of this.#identities.workersOf(identity))
      this.#bar(this.#members.get(worker.name) as Member, barred)
    this.#dispatch()
  }

  #bar(member: Member, barred: boolean): void {
    member.barred = barred
    if (barred) this.#barred.add(member)
    else this.#barred.delete(member)
    if (barred) this.#ahead.unlist(member)
    if (!member.job && member.since === undefined) this.#rest(member)
    else this.#see(member, mayWorkSoon(member))
  }

  /**
   * How many machines may yet take a row that must not go where these calls went, or will go: those that have, or had, one of them do not
   * count, nor do as many as wait for one. Below 0: not all that wait will get one.
   */
  candidates(calls: readonly Call[]): number {
    const asked = new Set<string>()
    let waiting = 0
    for (const call of calls) {
      const { asked: identity, state } = call
      if (state === 'waiting') waiting++
      else if (identity !== undefined && this.#identities.isUsable(identity)) asked.add(identity)
    }
    return this.#identities.usable - asked.size - waiting
  }

  /** Gives a row to one of the workers that are barred, if one is free that may take it; its outcome is heard. */
  tryOn(call: Call): boolean {
    for (const member of this.#barred) {
      if (member.state !== 'down' || member.hung || !isFree(member.worker) || call.asker.avoids(call, member.worker))
        continue
      this.#down.delete(member)
      this.#barred.delete(member) // and in again as the last
      this.#barred.add(member)
      this.#start(member, new Job([call]))
      return true
    }
    return false
  }

  /** A row that waits for a worker where there is none for it fails. */
  giveUp(call: Call): void {
    if (call.state !== 'waiting') return
    this.#lines[call.kind].remove(call.place)
    call.state = 'done'
    call.error = new ApproxiferError('WORKER', this.nobody)
    call.asker.heard(call)
  }

  /** Counts what became of a call's answer; of a worker that has left nobody asks. */
  count(worker: ModelWorker | undefined, outcome: keyof Member['counts']): void {
    const member = worker && this.#member(worker)
    if (member) member.counts[outcome]++
  }

  stats(): WorkerStats[] {
    return Array.from(this.#members.values(), ({ worker, counts, pace }) => ({
      worker: worker.name,
      identity: identityOf(worker),
      ...counts,
      expectedMs: pace.ms,
      gone: isGone(worker),
    }))
  }

  /** Ends every call with this error and closes the workers, those that take too long unseen. */
  async close(error: ApproxiferError): Promise<void> {
    this.#closed = true
    this.#unplan?.()
    this.#ahead.close()
    for (const line of Object.values(this.#lines)) for (const call of [...line]) this.cancel(call)
    const members = [...this.#members.values(), ...this.#leaving]
    this.#leaving.clear()
    for (const member of members) {
      member.worker.onFree = undefined
      this.#endCalls(member, error)
      member.unwatch?.()
    }
    await Promise.all([this.#shut(members.map(({ worker }) => worker)), ...this.#closing])
  }

  #endCalls(member: Member, error: ApproxiferError): void {
    for (const job of [member.next, member.job]) {
      for (const call of job?.left ?? []) this.#settle(member, job as Job, call, { error })
    }
  }

  /** Closes workers, those that take too long unseen. */
  async #shut(workers: readonly ModelWorker[]): Promise<void> {
    const all = Promise.allSettled(workers.map(async (worker) => worker.close()))
    let giveUp = () => {}
    const late = new Promise<void>((resolve) => {
      giveUp = this.#clock.after(CLOSE_MS, resolve)
    })
    await Promise.race([all, late])
    giveUp()
  }

  /** Of one that has not left. */
  #member(worker: ModelWorker): Member | undefined {
    const member = this.#members.get(worker.name)
    return member?.worker === worker ? member : undefined
  }

  /** Rows to idle workers, as long as there are both. */
  #dispatch(): void {
    if (this.#dispatching || this.#closed) return
    this.#dispatching = true
    const aside: Member[] = []
    let passedOver: Member | undefined
    try {
      while (this.#wanted && aside.length < OFFERS && !passedOver) {
        const member = this.#fastest()
        if (!member) break
        const skip = this.#overdueIn(member) <= 0 ? 0 : member.patience
        const call = this.#callFor(member, skip)
        if (call) this.#start(member, this.#jobOf(member, call))
        else aside.push(member)
        if (!call && skip) passedOver = member // as will be all that are slower
      }
      this.#sendAhead()
    } finally {
      for (const member of aside) this.#rest(member)
      this.#dispatching = false
    }
    this.#plan(passedOver)
  }

  get #wanted(): boolean {
    return this.#waiting > 0 || (this.#lines.extra.size > 0 && this.#canSpare)
  }

  /** Rows that cannot be done without. */
  get #waiting(): number {
    return this.#lines.urgent.size + this.#lines.query.size
  }

  /** Whether so many workers are idle that one may do what can be done without. */
  get #canSpare(): boolean {
    return this.#idleCount > Math.floor(RESERVE * this.size)
  }

  get #first(): Call | undefined {
    const { urgent, query } = this.#lines
    return urgent.first ?? query.first
  }

  /** The first row that a worker may take behind `skip` others, for which faster workers will be free sooner. */
  #callFor(member: Member, skip: number): Call | undefined {
    const { urgent, query, extra } = this.#lines
    const mayTake = (call: Call) => isApart(member, call)
    const call =
      (skip < urgent.size ? urgent.find(skip, LOOK, mayTake) : undefined) ??
      query.find(Math.max(0, skip - urgent.size), LOOK, mayTake)
    return call ?? (!member.patience && this.#canSpare ? extra.find(0, LOOK, mayTake) : undefined)
  }

  /** Whatever was expected of faster workers, no row waits for them for longer than an idle one would take. */
  #overdueIn({ pace }: Member): number {
    const first = this.#first
    return first ? first.putAt + this.#speeds.patienceMs(pace) - this.#clock.now() : Number.POSITIVE_INFINITY
  }

  /** Looks again when the first row has waited long enough for a worker that was passed over. */
  #plan(passedOver: Member | undefined): void {
    this.#unplan?.()
    this.#unplan = undefined
    if (!passedOver || !this.#first) return
    const ms = Math.max(1, Math.ceil(this.#overdueIn(passedOver)))
    this.#unplan = this.#clock.after(ms, () => this.#dispatch(), true)
  }

  /** What a row goes through the model in: alone, or with rows of other groups where that pays. */
  #jobOf(member: Member, first: Call): Job {
    const { batches } = member
    const most = batches ? this.#mostTogether(member, first) : 1
    const size = batches && most > 1 ? batches.next(most) : 1
    const calls = size > 1 ? this.#together(member, first, size) : [first]
    for (const call of calls) this.#lines[call.kind].remove(call.place)
    if (most === 1 || !batches) return new Job(calls)
    return new Job(calls, batches.factor(calls.length), batches.knows(calls.length), true)
  }

  /** Rows that may go in one run now, a power of two: no more than wait for each worker, nor than the first one has time for. */
  #mostTogether(member: Member, first: Call): number {
    const share = Math.min(member.maxBatch, this.#waiting / Math.max(1, this.#usable))
    if (share < 2 || member.patience || first.alone || first.kind === 'extra') return 1
    const leftMs = Math.min(first.dueAt - this.#turnAt(member), SAFE * this.#hangMs)
    let most = 2 ** Math.floor(Math.log2(share))
    while (most > 1 && !(runMs(member, most) <= leftMs)) most /= 2
    return most
  }

  /** When a worker gets round to what it is given now, as far as is known: after what it is at work on. */
  #turnAt(member: Member): number {
    const { job } = member
    const now = this.#clock.now()
    return job ? Math.max(now, job.begunAt + runMs(member, job.calls.length)) : now
  }

  /** A row and those of other groups that go with it: of the next ones, so that nobody is overtaken for long. */
  #together(member: Member, first: Call, size: number): Call[] {
    const { urgent, query } = this.#lines
    const calls = [first]
    const endsAt = this.#turnAt(member) + runMs(member, size)
    const joins = (call: Call) => {
      const isOther = calls.every(({ asker }) => asker !== call.asker)
      if (isOther && !call.alone && call.dueAt >= endsAt && isApart(member, call)) calls.push(call)
      return calls.length === size
    }
    const look = Math.min(LOOK, size * this.#usable)
    urgent.find(0, look, joins) ?? query.find(0, look, joins)
    return calls.slice(0, 2 ** Math.floor(Math.log2(calls.length)))
  }

  #start(member: Member, job: Job): void {
    if (member.state === 'idle') this.#idleCount--
    member.state = 'busy'
    member.stamp = 0
    this.#begin(member, job)
    this.#send(member, job)
    this.#tell(member, job)
    member.unwatch ??= this.#clock.after(this.#hangMs, () => this.#watch(member), true)
  }

  #send(member: Member, job: Job): void {
    const { worker } = member
    for (const call of job.calls) {
      call.state = 'running'
      call.worker = worker
      call.job = job
    }
    const outcomes = run(worker, job)
    for (let i = 0; i < outcomes.length; i++) this.#listeners.listen(member, job, job.calls[i], outcomes[i])
  }

  /** A worker is at work on a job, as far as can be told, or on none. */
  #begin(member: Member, job: Job | undefined): void {
    const more = Number(job?.isNeeded ?? false) - Number(member.job?.isNeeded ?? false)
    if (more) this.#utilise(more)
    const now = this.#clock.now()
    member.job = job
    member.since = job && now
    member.doubted = false
    if (!job) return
    job.begunAt = Math.max(job.sentAt ?? now, now - (member.worker.roundTripMs ?? 0)) // one sent ahead has made its way
    for (const call of job.calls) call.sentAt = job.begunAt
    this.#ahead.begun(member)
  }

  /** Who wants a row learns that a worker has begun with it. */
  #tell({ patience }: Member, job: Job): void {
    for (const call of job.calls) {
      if (call.job === job) call.asker.sent(call)
      if (call.kind === 'query' && !patience) this.#probe(call.row)
    }
  }

  /** Rows to workers that are about to be free. */
  #sendAhead(): void {
    for (let looks = OFFERS; looks > 0 && this.#waiting > this.size; looks--) {
      const member = this.#ahead.first
      if (!member) return
      if (this.#gathers && this.#waiting < this.size * (member.batches?.size ?? 1)) return // more may come until it is free
      this.#ahead.unlist(member)
      const call = isFree(member.worker) ? this.#callFor(member, 0) : undefined
      if (!call) continue
      const job = this.#jobOf(member, call)
      job.sentAt = this.#clock.now()
      this.#ahead.give(member, job)
      this.#send(member, job)
    }
  }

  /** A worker's next rows are to go elsewhere. */
  #takeBack(member: Member): void {
    const next = this.#ahead.end(member)
    if (!next) return
    for (const call of next.left) call.withdraw()
    this.#putBack(next.left)
    if (next.again) this.#sendAgain(member, next.again)
  }

  /** Rows wait again, before all others. */
  #putBack(calls: readonly Call[]): void {
    for (const call of [...calls].reverse()) {
      call.job = undefined
      if (call.isLetGo) {
        call.state = 'done'
        call.error = new ApproxiferError('ABORTED', 'nobody waits for it any more')
        call.asker.heard(call)
        continue
      }
      call.state = 'waiting'
      call.worker = undefined
      call.sentAt = Number.NaN
      call.place = this.#lines[call.kind].unshift(call)
      call.asker.back?.(call)
    }
    if (!this.#usable) this.#lookForStranded()
  }

  #answered(member: Member, job: Job, call: Call, answer: unknown): void {
    let outcome: Outcome
    try {
      outcome = { answer: checkAnswer(answer, this.#length, this.#signature.outputs).slice() } // it may use its buffer again
    } catch (error) {
      outcome = { error: asError(error, 'PROTOCOL') }
    }
    this.#settle(member, job, call, outcome)
  }

  #settle(member: Member, job: Job, call: Call, { answer, error }: Outcome): void {
    if (call.job !== job) return this.#heardOf(member, job) // it was taken for hung or taken back, or the pool is closed
    call.job = undefined
    job.open--
    job.answered ||= answer !== undefined
    job.ended &&= call.isLetGo && error?.code === 'ABORTED'
    // The one that it was at work on, where it was not sent away.
    job.killed ||= error?.code === 'WORKER' && job === member.job && !member.left && !isFree(member.worker)
    // Whose fault that is shows when each has a run of its own.
    const again = error?.code === 'WORKER' && job.calls.length > 1 && !call.isLetGo && !member.left
    if (again) job.again = [...(job.again ?? []), call]
    else {
      call.state = 'done'
      if (Number.isNaN(call.sentAt)) call.sentAt = job.startedAt
      call.ms = this.#clock.now() - call.sentAt
      call.answer = answer
      call.error = error
      call.killed = job.killed && job.calls.length === 1
    }
    const next = job.open ? undefined : this.#leave(member, job)
    if (answer) call.asker.spare(call)
    else if (!again) call.asker.failed?.(call)
    if (!job.open) this.#dispatch() // first: while the answer is looked at its worker can be at work
    if (next) this.#tell(member, next)
    if (!again) call.asker.heard(call)
  }

  /** A worker has done with a job, and is at work on the next, at rest, or gone. @returns the next */
  #leave(member: Member, job: Job): Job | undefined {
    if (!job.ended) this.#learn(member, job)
    if (job.again) this.#sendAgain(member, job.again)
    if (job === member.next) {
      this.#ahead.end(member)
      return undefined
    }
    const { since } = member
    this.#ahead.unlist(member)
    if (job.killed) this.#takeBack(member)
    const next = this.#ahead.end(member)
    this.#begin(member, next)
    if (next) return next
    // A worker that rejects what was let go may be at work on it all the same, or hang: it is watched until it is free.
    if (job.ended && !member.left && !isFree(member.worker)) member.since = since
    else this.#rest(member)
    return undefined
  }

  /** Of rows that failed together one may be at fault: each gets a run of its own. */
  #sendAgain(member: Member, calls: readonly Call[]): void {
    member.counts.failed++
    for (const call of calls) call.alone = true
    this.#putBack(calls)
  }

  #patience({ pace }: Member): number {
    return this.#useAll ? 0 : this.#speeds.patience(pace)
  }

  /** What it took tells how long one row takes, however many there were. */
  #learn(member: Member, { calls, startedAt, measured, answered, factor, comparable }: Job): void {
    const ms = this.#clock.now() - startedAt
    if (measured && answered) member.batches?.see(calls.length, ms)
    if (calls.length > 1 && !answered) member.batches?.fail(calls.length)
    if (!answered) this.#rate(member, Number.POSITIVE_INFINITY)
    else if (comparable) this.#rate(member, ms / factor)
    this.#gathers = this.#clock.soon !== undefined && isCheap(member)
  }

  #rate(member: Member, ms: number): void {
    if (member.left) return
    this.#speeds.see(member.pace, ms)
    member.patience = this.#patience(member)
    if (member.patience) this.#slow.add(member)
  }

  /** A worker has no call, or says that it has none any more: it is idle, or down. */
  #rest(member: Member): void {
    if (member.left) return this.#discharge(member)
    member.since = undefined
    const free = mayWork(member)
    this.#see(member, free || mayWorkSoon(member))
    if (member.state === 'idle') this.#idleCount--
    member.state = free ? 'idle' : 'down'
    this.#down.delete(member) // and in again as the last
    if (!free) {
      this.#down.add(member)
      return
    }
    this.#idleCount++
    member.stamp = ++this.#stamps
    this.#idle.push({ member, stamp: member.stamp, ms: member.pace.ms ?? 0 })
    if (this.#idle.length < 2 * this.size + OUT_OF_DATE) return
    this.#idle = new TinyQueue(this.#idle.data.filter(isValid), faster)
  }

  /** Whether a member may take rows, now or in a moment. */
  #see(member: Member, usable: boolean): void {
    if (usable === member.usable) return
    member.usable = usable
    this.#usable += usable ? 1 : -1
    this.#identities.use(member.worker, usable)
    if (!usable) this.#lookForStranded()
  }

  /** In a moment: when workers leave, many do. */
  #lookForStranded(): void {
    if (this.#lookingForStranded || this.#closed) return
    this.#lookingForStranded = true
    queueMicrotask(() => {
      this.#lookingForStranded = false
      if (this.#closed || !(this.#waiting + this.#lines.extra.size)) return
      this.#fewer()
      if (!this.#usable) this.#strand()
    })
  }

  /** No worker may take a row, and nobody knows when one will: rows fail rather than wait for their deadlines. */
  #strand(): void {
    for (const line of Object.values(this.#lines)) for (const call of [...line]) this.giveUp(call)
  }

  /** A sentence that says why no worker may take a row. */
  get nobody(): string {
    const barred = this.#barred.size
    const gone = this.size - barred // where none is usable
    if (!this.size) return 'no worker is left: all were removed or drained'
    if (this.#usable) return `all workers that can be reached, ${this.#usable} of ${this.size}, were asked already`
    const all = `of ${this.size}`
    const which = [gone && `${gone} ${all} cannot be reached for now`, barred && `${barred} ${all} ejected`]
    return `no worker may take a query: ${which.filter(Boolean).join(', ')}`
  }

  /** A call that was given up has settled after all. */
  #heardOf(member: Member, job: Job): void {
    if (member.hung !== job) return
    member.hung = undefined
    this.#freed(member)
  }

  #freed(member: Member): void {
    if (member.job || this.#closed) return
    this.#rest(member)
    this.#dispatch()
  }

  /** Takes the fastest idle worker out. */
  #fastest(): Member | undefined {
    while (true) {
      const entry = this.#idle.pop()
      if (!entry) return undefined
      const { member, stamp } = entry
      if (!isValid({ member, stamp })) continue
      if (!mayWork(member)) {
        this.#rest(member)
        continue
      }
      member.patience = this.#patience(member)
      return member
    }
  }

  /** Silence since the current call began is a hang. One timer a worker, which is set anew only when it fires. */
  #watch(member: Member): void {
    const { since, job } = member
    member.unwatch = undefined
    if (since === undefined || this.#closed) return
    const overMs = this.#clock.now() - since - this.#hangMs
    if (overMs < 0 || (overMs > GRACE_MS && !member.doubted)) {
      member.doubted = overMs > 0 // this thread stalled: replies that wait are read first
      member.unwatch = this.#clock.after(overMs < 0 ? Math.ceil(-overMs) : GRACE_MS, () => this.#watch(member), true)
      return
    }
    const why = `hung for ${this.#hangMs} ms`
    guarded((reason: string) => member.worker.restart?.(reason))(why)
    if (!job) return this.#freed(member)
    job.killed = true
    if (!member.worker.restart) this.#giveUp(member, job)
    const error = new ApproxiferError('WORKER', `${member.worker.name} ${why}`)
    for (const call of job.left) this.#settle(member, job, call, { error })
  }

  /** Nobody restarts it: its calls are aborted, and it is slow until it has shown otherwise, whatever its last answers took. */
  #giveUp(member: Member, job: Job): void {
    for (const call of job.left) {
      call.abandoned = true
      call.withdraw()
    }
    member.hung = job
    this.#rate(member, Number.POSITIVE_INFINITY)
  }

  /** Now and then a slow worker gets a copy of a row that runs elsewhere, to show whether it has recovered. */
  #probe(row: Call['row']): void {
    const now = this.#clock.now()
    this.#probeMs += PROBING * this.size * (now - this.#probeAt)
    this.#probeMs = Math.min(SAVED_UP_MS, this.#probeMs)
    this.#probeAt = now
    if (++this.#sinceProbe < PROBE_EVERY || this.#probeMs <= 0 || !this.#slow.size) return
    this.#sinceProbe = 0 // also where none is idle: to look for one costs as much as a query
    const member = this.#slowest()
    if (!member) return
    const expectedMs = member.pace.ms as number
    const heard = ({ ms, error, worker, failure }: Call) => {
      this.#probeMs -= ms
      if (error) this.count(worker as ModelWorker, failure)
      else if (ms < expectedMs / 2) this.#sinceProbe = PROBE_EVERY // it seems to have recovered: the next will tell
    }
    const call = new Call({ avoids: () => false, sent() {}, spare() {}, heard }, row, 'extra')
    this.#start(member, new Job([call]))
  }

  /** One of the idle that are passed over, in turn. */
  #slowest(): Member | undefined {
    for (let looks = Math.min(OFFERS, this.#slow.size); looks > 0; looks--) {
      const [member] = this.#slow
      this.#slow.delete(member)
      if (!this.#patience(member)) continue
      this.#slow.add(member)
      if (member.state === 'idle' && isFree(member.worker)) return member
    }
  }
}

/** An idle member, as it was when it came to rest. */
interface Entry {
  member: Member
  stamp: number
  ms: number
}

function faster(a: Entry, b: Entry): number {
  return a.ms === b.ms ? a.stamp - b.stamp : a.ms - b.ms
}

/** Whether a message to a worker may cost as much as a row in it: it is near and quick, and takes several rows in one. */
function isCheap({ batches, pace, worker }: Member): boolean {
  return batches !== undefined && (pace.ms ?? 0) < QUICK_MS && !worker.roundTripMs
}

/** Whether a member has been idle since. */
function isValid({ member, stamp }: Pick<Entry, 'member' | 'stamp'>): boolean {
  return member.state === 'idle' && stamp === member.stamp
}
