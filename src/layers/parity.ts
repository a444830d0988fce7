/**
 * Queries are coded in groups of K. Each leaves at once, as it is. When its group closes, parities that mix the queries without an answer follow,
 * of low priority. Once as many rows as it takes are answered, what is missing can be decoded, and is offered to the layer around. Where a caller
 * takes nothing but recoveries a failure is held for as long as a decode may come.
 */

import { append, Bag, NONE } from '../base/arrays'
import type { Clock } from '../base/clock'
import { ApproxiferError, asError } from '../base/errors'
import { Payload } from '../base/payload'
import type { TensorSpec } from '../base/tensor'
import type { Codec } from '../codec/codec'
import type { CodedRow } from '../codec/decode'
import type { Trace } from '../events'
import type { MemoryService, Rehearsal } from '../memory/service'
import { type Apart, type Attempt, type Attempts, type Identity, NORMAL } from '../pool/attempt'
import type { Answer, Caller, Drop, Failure, Layer, Offer, Outcome, Query, Service } from '../service'
import { answerOf, OutgoingCall, Tried } from '../service'
import { type Timeable, Timers } from './timers'

export interface ParityOptions {
  readonly clock: Clock
  /** Of a systematic code. */
  readonly codec: Pick<Codec, 'open' | 'scheme' | 'schemeFor' | 'core'>
  readonly pool: Pick<Attempts, 'available' | 'nobody' | 'promote' | 'usable' | 'utilisation'>
  /** Parities go past the hedges: nobody asks twice for one. */
  readonly workers: Service
  /** Of queries: a parity is one. */
  readonly inputs: readonly TensorSpec[]
  readonly memory: Pick<MemoryService, 'isWarm' | 'study'>
  /** How long a query waits for others; half of the time to its deadline at most. */
  readonly maxWaitMs: number
}

/** Share of the workers at work beyond which parities cost others more than they give. */
const FULL = 0.85
/** Workers' errors that a query is told of. */
const MOST_REASONS = 3

/** A layer, and the groups that it has open. */
export interface ParityLayer extends Layer {
  /** Nobody joins its open group any more. */
  close(): void
  /** What follows from an identity's answers so far is given no more. */
  forget(identity: Identity): void
}

export function parity(options: ParityOptions): ParityLayer {
  const groups = new Groups(options)
  const layer: Layer = (next) => (query, caller) => groups.join(query, caller, next)
  return Object.assign(layer, {
    close: () => groups.filling?.close(),
    forget: (identity: Identity) => groups.forget(identity),
  })
}

/**
 * Whether a group that closes sends parities; `evaluate` asks this as well. A warm memory recovers more lost answers than parities do. Of
 * as many queries as there are parities each would be a copy, and a hedge costs less. Callers that only recover were promised an answer
 * with as many rows lost: their groups always send them.
 *
 * @param missing  queries to be mixed
 */
export function sendsParities(isPromised: boolean, missing: number, parities: number, isWarm: boolean): boolean {
  return parities > 0 && missing > 0 && (isPromised || (!isWarm && missing > parities))
}

class Groups {
  readonly options: ParityOptions
  readonly timers: Timers
  /** The one that queries join. */
  filling: QueryGroup | undefined
  /** Those that are not done. */
  readonly open = new Bag<QueryGroup>()

  constructor(options: ParityOptions) {
    this.options = options
    this.timers = new Timers(options.clock)
  }

  join(query: Query, caller: Caller, next: Service) {
    if (query.refusal) return next(query, caller) // no worker is asked for it
    if (!this.filling?.isOpen) {
      this.filling = new QueryGroup(this)
      this.open.add(this.filling)
    }
    return this.filling.join(query, caller, next)
  }

  forget(identity: Identity): void {
    for (const group of this.open.all) group.forget(identity)
  }
}

/** A row of the code, and the attempt whose answer stands for it. */
interface GroupRow {
  readonly row: number
  readonly tried: Tried
  by: Attempt | undefined
  /** A layer beneath does not vouch for that answer. */
  isUnproven: boolean
}

/** A query of a group, as it is asked beneath, and who waits for it. */
class GroupedQuery extends OutgoingCall implements Query, GroupRow {
  readonly payload: Query['payload']
  readonly choices: Query['choices']
  readonly said: Query['said']
  readonly turn: Query['turn']
  readonly since: Query['since']
  readonly dueAt: Query['dueAt']
  readonly priority: Query['priority']
  readonly why: Query['why']
  readonly refusal: Query['refusal']
  readonly apart: Query['apart']
  readonly tried: Tried
  readonly #group: QueryGroup
  readonly caller: Caller
  readonly row: number
  by: Attempt | undefined
  isUnproven = false
  /** Its caller waits. */
  isOpen = true
  /** Its caller left while others waited: for these its row goes on. */
  hasLeft = false
  /** Its answers tell nothing. */
  isVoid = false
  /** Its time is up. */
  isDue = false
  /** Its own answer is not to come. */
  held: Failure | undefined

  constructor(query: Query, caller: Caller, group: QueryGroup, row: number) {
    super()
    this.payload = query.payload
    this.choices = query.choices
    this.said = query.said
    this.turn = query.turn
    this.since = query.since
    this.dueAt = query.dueAt
    this.priority = query.priority
    this.why = query.why
    this.refusal = query.refusal
    this.apart = [...query.apart, group]
    this.tried = query.tried
    this.caller = caller
    this.#group = group
    this.row = row
  }

  ask(next: Service): void {
    this.send(next, this)
  }

  get isPromised(): boolean {
    return this.choices.policy === 'recover'
  }

  /** It has no answer, and its caller would take a recovery. */
  get isMissing(): boolean {
    return this.isOpen && !this.by && this.choices.policy !== 'retry'
  }

  get isQueued(): boolean {
    return this.tried.attempts.some(({ phase }) => phase === 'queued')
  }

  override drop(why: Drop): void {
    this.#group.leave(this, why)
  }

  /** Its attempts are dropped. */
  release(why: Drop): void {
    super.drop(why)
  }

  override expire(): void {
    this.isDue = true
    if (this.isOpen) this.#group.expire(this)
  }

  /** Asks inward, where nothing is to be had of the group. */
  expireOwn(): void {
    super.expire()
  }

  began(attempt: Attempt): void {
    this.caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    if (!this.isVoid) this.#group.ended(this, attempt)
    this.caller.ended?.(attempt)
  }

  settled(outcome: Outcome): void {
    if (!this.isOpen) return
    if (outcome.kind === 'failure') return this.#group.lost(this, outcome)
    this.#group.settle(this, outcome)
    this.#group.answered(this, outcome)
  }

  done(): void {
    this.#group.done(this)
  }
}

/** A row that is no query's own. */
class ParityRow extends OutgoingCall implements GroupRow {
  readonly tried: Tried
  readonly row: number
  /** The one query that it is a copy of, where it mixes no others. */
  readonly copied: GroupedQuery | undefined
  readonly #group: QueryGroup
  by: Attempt | undefined
  isUnproven = false

  constructor({ index }: CodedRow, copied: GroupedQuery | undefined, group: QueryGroup, tried: Tried) {
    super()
    this.tried = tried
    this.row = index
    this.copied = copied
    this.#group = group
  }

  /** @param since  now */
  ask(workers: Service, payload: Payload, { choices, said }: Query, since: number): void {
    const apart: Apart[] = [this.tried, this.#group]
    if (this.copied) apart.push(this.copied.tried)
    const times = { since, dueAt: Number.POSITIVE_INFINITY }
    const own = {
      payload,
      apart,
      tried: this.tried,
      turn: NORMAL,
      priority: 'low',
      why: 'parity',
      refusal: false,
    } as const
    this.send(workers, { choices, said, ...times, ...own })
  }

  ended(attempt: Attempt): void {
    this.#group.ended(this, attempt)
  }

  settled(outcome: Outcome): void {
    if (outcome.kind === 'answer') this.#group.answered(this, outcome)
  }

  done(): void {
    this.#group.done(this)
  }
}

class QueryGroup implements Apart, Timeable {
  /** Among those that are not done; -1 once it is. */
  place = 0
  isOpen = true
  readonly #groups: Groups
  readonly #coded: ReturnType<Codec['open']>
  readonly #queries: GroupedQuery[] = []
  #parities: ParityRow[] = NONE
  /** Identities that failed on one of the rows; and those whose answers may not be used. */
  #failed: Identity[] = NONE
  #forgotten: Set<Identity> | undefined
  /** Queries whose callers wait, those of them that take nothing but recoveries, and those whose callers left. */
  #wanted = 0
  #promised = 0
  #left = 0
  /** Rows with an answer, queries without one, rows that may yet be answered, and calls that are not done. */
  #answered = 0
  #missing = 0
  #live = 0
  #running = 0
  /** `enough`: it may be decoded. `over`: it never will be, or no more. */
  #state: 'waiting' | 'enough' | 'decoded' | 'over' = 'waiting'
  /** By the rows of the queries that were missing when it was decoded. */
  #offers: ReadonlyMap<number, Offer> | undefined
  /** Why nothing can be decoded. */
  #error: ApproxiferError | undefined
  /** Rows that it was decoded from. */
  #survivors: readonly number[] = NONE
  #encodeMs = 0
  #closedAt = 0
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(groups: Groups) {
    this.#groups = groups
    this.#coded = groups.options.codec.open()
  }

  /** A query joins, and is sent. */
  join(query: Query, caller: Caller, next: Service): GroupedQuery {
    const { codec, pool, maxWaitMs, clock } = this.#groups.options
    const grouped = new GroupedQuery(query, caller, this, this.#coded.join(query.payload.vector))
    this.#queries.push(grouped)
    this.#wanted++
    if (grouped.isPromised) this.#promised++
    this.#missing++
    this.#live++
    this.#running++
    grouped.ask(next)
    if (!this.isOpen) return grouped
    const now = clock.now()
    const closesAt = now + Math.min(maxWaitMs, (query.dueAt - now) / 2)
    const isFull = this.#queries.length === codec.scheme.queries
    if (isFull || !pool.usable || closesAt < now) this.close()
    else if (this.timer === undefined || closesAt < this.dueAt) this.#groups.timers.set(this, closesAt)
    return grouped
  }

  /** The first of its callers has waited long enough for others. */
  due(): void {
    this.close()
  }

  /** While others are free, no second row goes to a worker that failed on one; nor, where a caller counts on S lost rows, to one at work on a row: one slow worker would lose two. */
  blocks(identity: Identity): boolean {
    if (!this.#failed.includes(identity) && !(this.#promised && this.#isAtWork(identity))) return false
    const blocked = new Set(this.#failed)
    for (const { tried } of this.#promised ? this.#rows : NONE)
      for (const { phase, identity: own } of tried.attempts) if (phase === 'running' && own) blocked.add(own)
    return this.#groups.options.pool.available(blocked) > 0
  }

  #isAtWork(identity: Identity): boolean {
    const isIts = (attempt: Attempt) => attempt.identity === identity && attempt.phase === 'running'
    return (
      this.#queries.some(({ tried }) => tried.attempts.some(isIts)) ||
      this.#parities.some(({ tried }) => tried.attempts.some(isIts))
    )
  }

  get #rows(): readonly GroupRow[] {
    return [...this.#queries, ...this.#parities]
  }

  close(): void {
    this.#close(true)
  }

  #close(isCoded: boolean): void {
    if (!this.isOpen) return
    this.isOpen = false
    const { timers, options } = this.#groups
    const { clock } = options
    timers.remove(this)
    const start = clock.now()
    try {
      for (const row of this.#coded.close(isCoded ? this.#toMix : NONE)) this.#send(row, start)
    } catch (error) {
      this.#error = asError(error, 'WORKER') // queries have attempts of their own all the same
    }
    this.#closedAt = clock.now()
    this.#encodeMs = this.#closedAt - start
    if (!this.#wanted) this.#unwanted('over')
    else if (this.#error) this.#lose()
    else this.#consider()
    this.#finish()
  }

  /** Queries without an answer whose callers would take a recovery; none where parities are not worth it. */
  get #toMix(): readonly number[] {
    const { codec, pool, memory } = this.#groups.options
    const missing = this.#queries.filter(({ isMissing }) => isMissing)
    const { queries, workers } = codec.schemeFor(this.#queries.length)
    const isPromised = missing.some((query) => query.isPromised)
    if (!isPromised && pool.utilisation > FULL) return NONE
    const isSent = sendsParities(isPromised, missing.length, workers - queries, memory.isWarm)
    return isSent ? missing.map(({ row }) => row) : NONE
  }

  /** A parity of a single query goes to a worker that has not been asked for it. */
  #send(row: CodedRow, now: number): void {
    const { workers, inputs } = this.#groups.options
    const tried = new Tried(this.#trace?.coded('parity', numbersOf(this.#queries.filter((query) => query.isMissing))))
    const parityRow = new ParityRow(row, row.query === undefined ? undefined : this.#queries[row.query], this, tried)
    this.#parities = append(this.#parities, parityRow)
    this.#live++
    this.#running++
    parityRow.ask(workers, Payload.of(row.data, inputs), this.#queries[0], now)
  }

  /** What one of its queries tells. */
  get #trace(): Trace | undefined {
    return this.#queries[0]?.tried.trace
  }

  /** An attempt has its outcome. */
  ended(row: GroupedQuery | ParityRow, attempt: Attempt): void {
    const { outcome, identity } = attempt
    const answer = answerOf(attempt)
    if (outcome?.kind === 'failed' && outcome.blame !== 'nobody' && identity)
      this.#failed = append(this.#failed, identity)
    if (answer) this.#take(row, { kind: 'answer', answer, status: 'exact', confidence: 1, by: [attempt] })
  }

  /** A layer beneath that does not vouch for an answer keeps back that it ended: here it is told of. */
  answered(row: GroupedQuery | ParityRow, outcome: Answer): void {
    if (!row.by) this.#take(row, outcome)
  }

  #take(row: GroupedQuery | ParityRow, outcome: Answer): void {
    const { answer, status, by } = outcome
    const [attempt] = by as readonly Attempt[]
    if (row.by || this.#forgotten?.has(attempt.identity as Identity)) return
    row.by = attempt
    row.isUnproven = status !== 'exact'
    this.#answered++
    this.#live--
    this.#coded.add(this.#coded.row(row.row) as CodedRow, answer.vector)
    if (row instanceof GroupedQuery) {
      if (!--this.#missing && this.#state === 'decoded') this.#study()
    } else if (row.copied?.isOpen) {
      this.settle(row.copied, outcome)
      row.tried.place = row.copied.tried.place // an audit of it is one of what was given
      row.copied.release('teach')
    }
    this.#consider()
  }

  /** The call for a row is done. */
  done(row: GroupRow): void {
    this.#running--
    if (!row.by) this.#live--
    if (this.isOpen && !this.#groups.options.pool.usable) this.close() // nobody is worth waiting for
    this.#consider()
    this.#finish()
  }

  /** Its own answer is not to come. */
  lost(query: GroupedQuery, failure: Failure): void {
    if (query.isDue) return this.settle(query, failure)
    const mayWait = this.isOpen || this.#state === 'waiting'
    if (!query.isPromised || !mayWait) return this.#fail(query, failure)
    query.held = failure
    if (failure.blame !== 'load')
      for (const { tried } of this.#parities) for (const attempt of tried.attempts) this.#promote(attempt)
    query.caller.offer?.(() => this.#offerTo(query), true)
  }

  #promote(attempt: Attempt): void {
    if (attempt.phase === 'queued') this.#groups.options.pool.promote(attempt)
  }

  /** Offers what may be decoded, once enough rows are answered; failures are held no longer than until then, or until that cannot be any more. */
  #consider(): void {
    if (this.isOpen || this.#state !== 'waiting') return
    const { quorum } = this.#coded.scheme
    if (this.#answered + this.#live < quorum) return this.#lose()
    if (this.#answered < quorum) return
    this.#state = 'enough'
    for (const query of this.#queries) {
      const { held } = query
      if (query.isMissing) query.caller.offer?.(() => this.#offerTo(query), held !== undefined)
      if (held && query.isOpen) this.#fail(query, held)
    }
  }

  /** It will not be decoded, or what was decoded is given no more. */
  #lose(): void {
    this.#state = 'over'
    for (const query of this.#queries) if (query.held && query.isOpen) this.#fail(query, query.held)
  }

  /** What was decoded for a query; it is decoded now, where the query has no answer. */
  #offerTo(query: GroupedQuery): Offer | undefined {
    if (this.#state === 'enough' && !query.by) this.#decode(query)
    return this.#state === 'decoded' ? this.#offers?.get(query.row) : undefined
  }

  /** @param asking  it may have been told by now that its own answer is not to come */
  #decode(asking: GroupedQuery): void {
    const { clock } = this.#groups.options
    const start = clock.now()
    const offers = new Map<number, Offer>()
    const lost = this.#queries.filter((query) => query.isMissing || query === asking)
    const by = this.#rows.flatMap((row) => row.by ?? [])
    try {
      const all = this.#coded.recover()
      for (const { row } of lost) {
        const recoveries = all.filter(({ query }) => query === row)
        offers.set(row, { recoveries, isMixed: this.#coded.mixes(row), missing: this.#missing, by })
      }
    } catch (error) {
      this.#error = asError(error, 'QUORUM')
    }
    this.#state = 'decoded'
    this.#offers = offers
    const { survivors } = this.#coded
    this.#survivors = survivors
    const [waitMs, decodeMs] = [start - this.#closedAt, clock.now() - start]
    this.#trace?.decoded(numbersOf(lost), survivors.length, this.#encodeMs, waitMs, decodeMs)
  }

  settle(query: GroupedQuery, outcome: Outcome): void {
    this.#closeQuery(query)
    query.caller.settled(outcome)
    if (!this.#wanted) this.#unwanted('over')
  }

  #closeQuery(query: GroupedQuery): void {
    query.isOpen = false
    this.#wanted--
    if (query.isPromised) this.#promised--
  }

  #fail(query: GroupedQuery, failure: Failure): void {
    const { pool } = this.#groups.options
    const isOwn = failure.blame === 'load' || !query.isPromised
    const nobody = pool.usable ? undefined : new ApproxiferError('WORKER', pool.nobody) // the failure may be of before
    this.settle(query, isOwn ? failure : { ...failure, error: nobody ?? this.#error ?? this.#tooFew(query) })
  }

  /** Time is up: a query that takes nothing but recoveries has none. */
  expire(query: GroupedQuery): void {
    if (query.held) return this.#fail(query, query.held)
    const isAsked = ({ tried }: GroupRow) => tried.attempts.some(({ worker }) => worker)
    if (!query.isPromised || !(isAsked(query) || this.#parities.some(isAsked))) return query.expireOwn()
    this.settle(query, { kind: 'failure', error: this.#error ?? this.#tooFew(query), blame: 'nobody' })
    query.release('teach')
  }

  /** Of rows for other queries only the failed workers are named: a worker's own words may tell of another caller's query. */
  #tooFew({ tried: own }: GroupedQuery): ApproxiferError {
    const { quorum, workers } = this.#groups.options.codec.schemeFor(this.#queries.length)
    let [answers, outstanding, more] = [0, 0, 0]
    const reasons = own.attempts.flatMap((attempt) => errorOf(attempt)?.message ?? [])
    const most = reasons.length + MOST_REASONS
    for (const { tried } of this.#rows)
      for (const attempt of tried.attempts) {
        if (answerOf(attempt)) answers++
        else if (attempt.phase !== 'settled') outstanding++
        const error = tried === own ? undefined : errorOf(attempt)
        if (error && reasons.length < most) reasons.push(`${attempt.worker?.name}: ${error.code}`)
        else if (error) more++
      }
    const text = `results: expected >= ${quorum} of ${workers}, got ${answers}, ${outstanding} outstanding`
    return new ApproxiferError('QUORUM', [text, ...reasons, ...(more ? [`and ${more} others`] : [])].join('; '))
  }

  /**
   * The row of a caller that leaves goes on while others wait; while the group fills, where these are promised a recovery. Where nobody waits, nobody
   * may join any more: whoever did would be a row short from the start.
   */
  leave(query: GroupedQuery, why: Drop): void {
    if (query.isOpen) this.#closeQuery(query)
    const isUseful = why === 'left' && this.#wanted > 0 && (!this.isOpen || query.isPromised)
    if (isUseful && !query.hasLeft) {
      query.hasLeft = true
      this.#left++
    }
    if (why === 'void') query.isVoid = true
    if (why === 'void' || (query.isPromised && !this.#wanted)) this.#close(false) // no query of the next model may join
    // One that is queued would be taken back, and be lost beside S that workers lose.
    if (!isUseful || !query.isPromised || !query.isQueued) query.release(isUseful ? 'teach' : why)
    if (!this.#wanted) this.#unwanted(why)
  }

  /** Nobody waits for any of it. */
  #unwanted(why: Drop): void {
    if (this.isOpen) return
    if (this.#state === 'waiting' || this.#state === 'enough') this.#state = 'over'
    for (const row of this.#parities) row.drop(why === 'teach' ? 'over' : why)
    if (!this.#left) return
    this.#left = 0
    for (const query of this.#queries) if (query.hasLeft) query.release('left')
  }

  /** What follows from an identity's answers so far is given no more. */
  forget(identity: Identity): void {
    this.#forgotten ??= new Set()
    this.#forgotten.add(identity)
    if (!this.#rows.some(({ by }) => by?.identity === identity)) return
    this.#close(false)
    this.#lose()
  }

  /** All that was lost has come, and none of it may be a lie: other queries tell what their recoveries would have been worth. */
  #study(): void {
    const bytes = this.#queries.reduce((sum, { payload }) => sum + payload.vector.byteLength, 0)
    const lost = [...(this.#offers?.keys() ?? NONE)]
    if (lost.length && !this.#rows.some(({ isUnproven }) => isUnproven))
      this.#groups.options.memory.study(this.#rehearsals(lost), bytes)
  }

  *#rehearsals(lost: readonly number[]): Generator<readonly Rehearsal[]> {
    for (const others of this.#coded.rehearse(lost, this.#survivors)) {
      yield others.map((recovered) => {
        const own = this.#coded.exact(recovered.query) as Float32Array
        return { recovered, own, from: this.#queries[recovered.query].by?.identity }
      })
    }
  }

  /** The payloads are the group's until its last attempt has ended. */
  #finish(): void {
    if (this.isOpen || this.#running || this.place < 0) return
    this.#groups.open.remove(this)
    if (this.#groups.filling === this) this.#groups.filling = undefined // else it would be kept until the next one
    for (const { caller } of this.#queries) caller.done?.()
  }
}

/** Of queries of which somebody hears. */
function numbersOf(queries: readonly GroupRow[]): number[] {
  return queries.flatMap(({ tried }) => tried.trace?.query ?? [])
}

function errorOf({ outcome }: Attempt): ApproxiferError | undefined {
  return outcome?.kind === 'failed' ? outcome.error : undefined
}
