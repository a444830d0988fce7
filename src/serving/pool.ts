/**
 * The workers, and the one queue of rows. A row waits here until a worker is free that may take it, and is bound to it only
 * then: one bound early waits behind a straggler (27 workers at 60 % load: p99 93 ms, against 21 ms for a plain hedge).
 */

import TinyQueue from 'tinyqueue'
import type { CodedRow } from '../codec/codec'
import { ApproxiferError, asError } from '../errors'
import { checkAnswer, rowLength, type Signature } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import type { Clock } from './clock'
import { Line } from './line'
import { Pace, Speeds } from './speed'

/** In this order: hedges and retries, queries, and what can be done without: copies and parities. */
export type Kind = 'urgent' | 'query' | 'extra'

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
/**
 * Where an inference takes less, and more rows wait than there are workers, a worker gets its next row while it is at work:
 * the way to a thread and back takes .05 to .1 ms. With less to do the row could wait behind a straggler for nothing (27
 * workers of 3 ms at 80 % load: p99 13.0 ms instead of 8.2).
 */
const QUICK_MS = 5
/** Of how long ago the utilisation tells, ms: older times count for less by a factor of e. */
const RECENT_MS = 500
/** How long `close` waits for a worker's own. */
const CLOSE_MS = 5000
/** Entries of the idle that may be out of date, beyond as many as there are workers, before they are sorted out. */
const OUT_OF_DATE = 1000

/** Who wants rows answered. */
export interface Asker {
  /** Whether this worker must not take the call: it has another row of the group, or failed on the query. */
  avoids(call: Call, worker: ModelWorker): boolean
  /** A worker has it. */
  sent(call: Call): void
  /** It was answered: cancels what need not be asked any more, before its worker gets another row. */
  spare(call: Call): void
  /**
   * It has an outcome; of every call that was put, once, unless it was cancelled while it waited. It has no worker where it was given up
   * while it waited, since none may take it.
   */
  heard(call: Call): void
}

/** One row on its way: it waits, runs on one worker, and is done. */
export class Call {
  state: 'waiting' | 'running' | 'done' | 'cancelled' = 'waiting'
  worker: ModelWorker | undefined
  /** When a worker got it. */
  sentAt = Number.NaN
  /** From then to the outcome. */
  ms = 0
  /** A copy: the caller's alone. */
  answer: Float32Array | undefined
  error: ApproxiferError | undefined
  /** Whether the worker went down with it, or hung. */
  killed = false
  /** Whether its worker was taken away from it: neither is to blame. */
  removed = false
  putAt = Number.NaN
  /** In its line. */
  place = 0
  #abort: AbortController | undefined
  #let = false

  constructor(
    readonly asker: Asker,
    readonly row: Pick<CodedRow, 'data' | 'query' | 'index'>,
    public kind: Kind,
  ) {}

  /** Fires when nobody wants the answer any more. Made for who looks: one for each call made a .1 ms model 8 % slower. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#let) this.#abort.abort()
    return this.#abort.signal
  }

  /** Nobody wants it any more. The worker is not to blame for what comes of it, but may go on. */
  letGo(): void {
    this.#let = true
    this.#abort?.abort()
  }

  get isLetGo(): boolean {
    return this.#let
  }

  /** Whether it may still be answered. */
  get isLive(): boolean {
    return this.state === 'waiting' || this.state === 'running'
  }

  /** What its error counts as. */
  get failure(): 'failed' | 'rejected' {
    return this.error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
  }
}

/** What became of a worker's calls, and how fast it is. */
export interface WorkerStats {
  worker: string
  /** Answers that somebody waited for. */
  onTime: number
  /** Answers that came when nobody did any more. */
  late: number
  /** Calls that ended in a crash, a hang or an error. */
  failed: number
  /** Answers that were none: wrong length, NaN, Inf. */
  rejected: number
  /** Answers dropped as lies. */
  suspected: number
  /** Milliseconds that it takes: the median of the last three, Infinity where it fails; undefined before the first. */
  expectedMs: number | undefined
}

type Outcome = { answer?: Float32Array; error?: ApproxiferError }

interface Member {
  readonly worker: ModelWorker
  readonly pace: Pace
  readonly counts: Omit<WorkerStats, 'worker' | 'expectedMs'>
  /** Rows that have to wait before it gets one: 0 unless others are faster. */
  patience: number
  call: Call | undefined
  /** The one behind it, where it has that already. */
  next: Call | undefined
  /** Among those that may get a next one, or undefined. */
  place: number | undefined
  /** When the call began that it is at work on, wanted or not; undefined while it has none. */
  since: number | undefined
  /** `free` but without a call; `down`: without a call, not free. */
  state: 'idle' | 'down' | 'busy'
  /** Of its entry among the idle; 0 while it has none. */
  stamp: number
  unwatch: (() => void) | undefined
  /** Seems to hang; is given a little time to be heard. */
  doubted: boolean
  /** Given up while it hung, and nobody restarts it: it gets no row until it was heard of. */
  hung: Call | undefined
  /** It gets no rows but those that `tryOn` gives it. */
  barred: boolean
  /** It may take rows, now or in a moment: it is neither barred nor gone. */
  usable: boolean
  /** It is none of the members any more, and is closed when it has no call. */
  left: boolean
}

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
}

export class Pool {
  readonly #clock: Clock
  readonly #hangMs: number
  readonly #signature: Signature
  readonly #length: number
  /** By name. */
  readonly #members = new Map<string, Member>()
  /** Those that left, while they have calls. */
  readonly #leaving = new Set<Member>()
  /** Of those that left. */
  readonly #closing = new Set<Promise<void>>()
  readonly #speeds = new Speeds()
  readonly #useAll: boolean
  readonly #lines: Record<Kind, Line<Call>> = { urgent: new Line(), query: new Line(), extra: new Line() }
  /** The fastest first, of equal ones the one that rested longest. An entry of a member that was busy since is skipped. */
  #idle = new TinyQueue<Entry>([], faster)
  /** Busy workers that may get their next row, those first that have been at work longest. */
  readonly #quick = new Line<Member>()
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
    const { clock, hangMs, signature, useAll = false, fewer = () => {} } = options
    this.#clock = clock
    this.#hangMs = hangMs
    this.#signature = signature
    this.#useAll = useAll
    this.#length = rowLength(signature.outputs)
    this.#probeAt = clock.now()
    this.#utilisedAt = clock.now()
    this.#fewer = fewer
    for (const worker of workers) this.add(worker)
  }

  get size(): number {
    return this.#members.size
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
    const member = newMember(worker)
    this.#members.set(worker.name, member)
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
    if (member) this.#dismiss(member)
    return member !== undefined
  }

  /** A worker's calls reject, and it is closed, also where it drains. @returns whether there is one of this name */
  remove(name: string): boolean {
    const known = this.drain(name)
    const leaving = [...this.#leaving].filter(({ worker }) => worker.name === name)
    const error = new ApproxiferError('WORKER', `${name} was removed`)
    for (const member of leaving) {
      for (const call of [member.call, member.next]) if (call) call.removed = true
      this.#endCalls(member, error)
    }
    return known || leaving.length > 0
  }

  /** It is no member any more: nothing that is told of all counts it. */
  #dismiss(member: Member): void {
    this.#utilise(0) // so far it counted
    this.#members.delete(member.worker.name)
    if (member.state === 'idle') this.#idleCount--
    member.state = 'busy'
    member.left = true
    for (const set of [this.#down, this.#barred, this.#slow]) set.delete(member)
    this.#unlist(member)
    this.#speeds.forget(member.pace)
    this.#see(member, false)
    this.#leaving.add(member)
    if (!member.call) this.#discharge(member)
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
    this.#dispatch()
    if (!this.#usable) this.#lookForStranded()
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

  /** The worker of this name gets no more rows from the queue, until it is admitted again. */
  bar(name: string, barred = true): void {
    const member = this.#members.get(name)
    if (!member) return
    member.barred = barred
    if (barred) this.#barred.add(member)
    else this.#barred.delete(member)
    if (!member.call && member.since === undefined) this.#rest(member)
    else this.#see(member, mayWorkSoon(member))
    this.#dispatch()
  }

  /**
   * How many workers may yet take a row that must not go where these calls went, or will go: those that have, or had, one of them do not
   * count, nor do as many as wait for one. Below 0: not all that wait will get one.
   *
   * @param calls  no two of one worker
   */
  candidates(calls: readonly Call[]): number {
    let left = this.#usable
    for (const { state, worker } of calls) {
      const member = worker && this.#member(worker)
      if (state === 'waiting' || member?.usable) left--
    }
    return left
  }

  /** Gives a row to one of the workers that are barred, if one is free that may take it; its outcome is heard. */
  tryOn(call: Call): boolean {
    for (const member of this.#barred) {
      if (member.state !== 'down' || member.hung || !isFree(member.worker) || call.asker.avoids(call, member.worker))
        continue
      this.#down.delete(member)
      this.#barred.delete(member) // and in again as the last
      this.#barred.add(member)
      this.#start(member, call)
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
    const each = ({ worker, counts, pace }: Member) => ({ worker: worker.name, ...counts, expectedMs: pace.ms })
    return Array.from(this.#members.values(), each)
  }

  /** Ends every call with this error and closes the workers, those that take too long unseen. */
  async close(error: ApproxiferError): Promise<void> {
    this.#closed = true
    this.#unplan?.()
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
    for (const call of [member.call, member.next]) if (call) this.#settle(member, call, { error })
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
        if (call) {
          this.#lines[call.kind].remove(call.place)
          this.#start(member, call)
        } else aside.push(member)
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
  #callFor({ worker, patience }: Member, skip: number): Call | undefined {
    const { urgent, query, extra } = this.#lines
    const mayTake = (call: Call) => !call.asker.avoids(call, worker)
    const call =
      (skip < urgent.size ? urgent.find(skip, LOOK, mayTake) : undefined) ??
      query.find(Math.max(0, skip - urgent.size), LOOK, mayTake)
    return call ?? (!patience && this.#canSpare ? extra.find(0, LOOK, mayTake) : undefined)
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

  #start(member: Member, call: Call): void {
    if (member.state === 'idle') this.#idleCount--
    member.state = 'busy'
    member.stamp = 0
    this.#begin(member, call)
    this.#send(member, call)
    member.unwatch ??= this.#clock.after(this.#hangMs, () => this.#watch(member), true)
  }

  #send(member: Member, call: Call): void {
    const { worker } = member
    call.sentAt = this.#clock.now()
    call.state = 'running'
    call.worker = worker
    infer(worker, call).then(
      (answer) => this.#answered(member, call, answer),
      (error) => this.#settle(member, call, { error: asError(error, 'WORKER') }),
    )
    call.asker.sent(call)
    if (call.kind === 'query' && !member.patience) this.#probe(call.row)
  }

  /** A worker is at work on a call, as far as can be told. */
  #begin(member: Member, call: Call | undefined): void {
    const more = Number(isNeeded(call)) - Number(isNeeded(member.call))
    if (more) this.#utilise(more)
    member.call = call
    member.next = undefined
    member.since = call && this.#clock.now()
    member.doubted = false
    const quick =
      call && !member.left && !member.patience && member.worker.takesNext && (member.pace.ms ?? QUICK_MS) < QUICK_MS
    if (quick) member.place = this.#quick.push(member)
  }

  /** It has its next row, or needs none. */
  #unlist(member: Member): void {
    if (member.place !== undefined) this.#quick.remove(member.place)
    member.place = undefined
  }

  /** Rows to workers that are about to be free. */
  #sendAhead(): void {
    for (let looks = OFFERS; looks > 0 && this.#waiting > this.size; looks--) {
      const member = this.#quick.first
      if (!member) return
      this.#unlist(member)
      const call = isFree(member.worker) ? this.#callFor(member, 0) : undefined
      if (!call) continue
      this.#lines[call.kind].remove(call.place)
      member.next = call
      this.#send(member, call)
    }
  }

  #answered(member: Member, call: Call, answer: unknown): void {
    let outcome: Outcome
    try {
      outcome = { answer: checkAnswer(answer, this.#length, this.#signature.outputs).slice() } // it may use its buffer again
    } catch (error) {
      outcome = { error: asError(error, 'PROTOCOL') }
    }
    this.#settle(member, call, outcome)
  }

  #settle(member: Member, call: Call, { answer, error }: Outcome): void {
    if (call.state !== 'running') return this.#heardOf(member, call) // it was taken for hung, or the pool is closed
    const now = this.#clock.now()
    call.state = 'done'
    call.ms = now - call.sentAt
    call.answer = answer
    call.error = error
    const ended = call.isLetGo && error?.code === 'ABORTED'
    if (!ended) this.#learn(member, answer ? now - (member.since ?? call.sentAt) : Number.POSITIVE_INFINITY)
    if (call === member.next) member.next = undefined
    else this.#leave(member, call, ended)
    if (answer) call.asker.spare(call)
    this.#dispatch() // first: while the answer is looked at its worker can be at work
    call.asker.heard(call)
  }

  /** A worker has done with a call, and is at work on the next, at rest, or gone. */
  #leave(member: Member, call: Call, ended: boolean): void {
    const { next, since } = member
    const free = isFree(member.worker)
    // The one that it was at work on, where it was not sent away.
    call.killed ||= call.error?.code === 'WORKER' && !free && !member.left && call === member.call
    this.#unlist(member)
    this.#begin(member, call.killed ? undefined : next)
    if (member.call) return
    // A worker that rejects what was let go may be at work on it all the same, or hang: it is watched until it is free.
    if (ended && !free && !member.left) member.since = since
    else this.#rest(member)
    if (next) this.#settle(member, next, { error: call.error as ApproxiferError })
  }

  #patience({ pace }: Member): number {
    return this.#useAll ? 0 : this.#speeds.patience(pace)
  }

  #learn(member: Member, ms: number): void {
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
    const which = [gone && `${gone} cannot be reached and are tried again`, barred && `${barred} are quarantined`]
    return `no worker may take a query: of ${this.size} ${which.filter(Boolean).join(', ')}`
  }

  /** A call that was given up has settled after all. */
  #heardOf(member: Member, call: Call): void {
    if (member.hung !== call) return
    member.hung = undefined
    this.#freed(member)
  }

  #freed(member: Member): void {
    if (member.call || this.#closed) return
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
    const { since, call } = member
    member.unwatch = undefined
    if (since === undefined || this.#closed) return
    const overMs = this.#clock.now() - since - this.#hangMs
    if (overMs < 0 || (overMs > GRACE_MS && !member.doubted)) {
      member.doubted = overMs > 0 // this thread stalled: replies that wait are read first
      member.unwatch = this.#clock.after(overMs < 0 ? Math.ceil(-overMs) : GRACE_MS, () => this.#watch(member), true)
      return
    }
    const why = `hung for ${this.#hangMs} ms`
    try {
      member.worker.restart?.(why)
    } catch {} // it stays as it is
    if (!call) return this.#freed(member)
    call.killed = true
    if (!member.worker.restart) this.#giveUp(member, call)
    this.#settle(member, call, { error: new ApproxiferError('WORKER', `${member.worker.name} ${why}`) })
  }

  /** Nobody restarts it: its calls are aborted, and it is slow until it has shown otherwise, whatever its last answers took. */
  #giveUp(member: Member, call: Call): void {
    for (const each of [call, member.next]) each?.letGo()
    member.hung = call
    this.#learn(member, Number.POSITIVE_INFINITY)
  }

  /** Now and then a slow worker gets a copy of a row that runs elsewhere, to show whether it has recovered. */
  #probe(row: Call['row']): void {
    const now = this.#clock.now()
    this.#probeMs += PROBING * this.size * (now - this.#probeAt)
    this.#probeMs = Math.min(SAVED_UP_MS, this.#probeMs)
    this.#probeAt = now
    if (++this.#sinceProbe < PROBE_EVERY || this.#probeMs <= 0) return
    const member = this.#slowest()
    if (!member) return
    const expectedMs = member.pace.ms as number
    this.#sinceProbe = 0
    const heard = ({ ms, error, worker, failure }: Call) => {
      this.#probeMs -= ms
      if (error) this.count(worker as ModelWorker, failure)
      else if (ms < expectedMs / 2) this.#sinceProbe = PROBE_EVERY // it seems to have recovered: the next will tell
    }
    this.#start(member, new Call({ avoids: () => false, sent() {}, spare() {}, heard }, row, 'extra'))
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

function newMember(worker: ModelWorker): Member {
  const counts = { onTime: 0, late: 0, failed: 0, rejected: 0, suspected: 0 }
  const none = { call: undefined, next: undefined, place: undefined, since: undefined, unwatch: undefined }
  return {
    worker,
    pace: new Pace(),
    counts,
    patience: 0,
    ...none,
    state: 'busy',
    stamp: 0,
    doubted: false,
    hung: undefined,
    barred: false,
    usable: false,
    left: false,
  }
}

function faster(a: Entry, b: Entry): number {
  return a.ms === b.ms ? a.stamp - b.stamp : a.ms - b.ms
}

/** Whether a member has been idle since. */
function isValid({ member, stamp }: Pick<Entry, 'member' | 'stamp'>): boolean {
  return member.state === 'idle' && stamp === member.stamp
}

/** Whether a worker gets rows from the queue. */
function mayWork({ worker, barred, hung }: Member): boolean {
  return !barred && !hung && isFree(worker)
}

/** Whether it will, as far as can be told: it starts again, or was not heard of for a while. */
function mayWorkSoon({ worker, barred }: Member): boolean {
  return !barred && !isGone(worker)
}

/** Whether it is a row that cannot be done without. */
function isNeeded(call: Call | undefined): boolean {
  return call !== undefined && call.kind !== 'extra'
}

/** What cannot say whether it is free is not. */
function isFree(worker: ModelWorker): boolean {
  try {
    return worker.free
  } catch {
    return false
  }
}

function isGone(worker: ModelWorker): boolean {
  try {
    return worker.gone === true
  } catch {
    return false
  }
}

/** A worker that throws instead of rejecting rejects all the same. */
function infer(worker: ModelWorker, call: Call): Promise<unknown> {
  const { data } = call.row
  try {
    return Promise.resolve(
      worker.interruptible === false ? worker.infer(data) : worker.infer(data, new InferOptions(call)),
    )
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * What a worker is told of a call. All share one getter, as an own property so that `{ ...options }` has the signal, too: a
 * getter each, as in a literal, gives each object a hidden class of its own, which cost 5 us a query.
 */
class InferOptions {
  declare readonly signal: AbortSignal
  readonly #call: Call
  static readonly #signal = {
    enumerable: true,
    get(this: InferOptions) {
      return this.#call.signal
    },
  }

  constructor(call: Call) {
    this.#call = call
    Object.defineProperty(this, 'signal', InferOptions.#signal)
  }
}
