/**
 * Codes queries in groups of K. Each query is sent at once, uncoded. When its group closes, parities that mix the unanswered queries follow
 * with low priority. Once enough rows are answered, the missing answers can be decoded, and are offered to the layer above.
 *
 * If a caller takes recoveries only (policy `recover`), a failure is held back as long as a decode may come.
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
  /** Has a systematic code. */
  readonly codec: Pick<Codec, 'open' | 'scheme' | 'schemeFor' | 'core'>
  readonly pool: Pick<Attempts, 'available' | 'nobody' | 'promote' | 'usable' | 'utilisation'>
  /** Where parities are sent: a service without hedges, since no parity is asked twice. */
  readonly workers: Service
  /** Tensors of a query, and so of a parity. */
  readonly inputs: readonly TensorSpec[]
  readonly memory: Pick<MemoryService, 'isWarm' | 'study'>
  /** How long a query waits for others, at most half of the time to its deadline. */
  readonly maxWaitMs: number
}

/** Utilisation above which parities cost other queries more than they give. */
const FULL = 0.85
/** An error message quotes at most this many errors of other queries' workers. */
const MOST_REASONS = 3

/** The layer, with control of its open groups. */
export interface ParityLayer extends Layer {
  /** Closes the group that is filling. */
  close(): void
  /** Gives no recovery any more that was decoded from an identity's answers. */
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
 * Whether a closing group sends parities; `evaluate` asks the same function. A warm memory recovers more lost answers than parities do.
 * With as many parities as queries each parity would be a copy, and a hedge is cheaper. Callers with policy `recover` were promised an
 * answer with S rows lost: their groups always send parities.
 *
 * @param missing  unanswered queries, which the parities would mix
 */
export function sendsParities(isPromised: boolean, missing: number, parities: number, isWarm: boolean): boolean {
  return parities > 0 && missing > 0 && (isPromised || (!isWarm && missing > parities))
}

class Groups {
  readonly options: ParityOptions
  readonly timers: Timers
  /** The group that queries join. */
  filling: QueryGroup | undefined
  /** Groups that are not done. */
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

/** A row of the code, and the attempt that answered it. */
interface GroupRow {
  readonly row: number
  readonly tried: Tried
  by: Attempt | undefined
  /** Whether a layer beneath marked that answer as unproven. */
  isUnproven: boolean
}

/** A query of a group, as it is sent to the layers beneath, and its caller. */
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
  /** Whether its caller waits. */
  isOpen = true
  /** Its caller left, but its row goes on for the other callers of the group. */
  hasLeft = false
  /** The model was replaced: answers prove nothing any more. */
  isVoid = false
  /** Whether its deadline has come. */
  isDue = false
  /** Its own failure, held back while the group may still be decoded. */
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

  get isPromised(): boolean {
    return this.choices.policy === 'recover'
  }

  /** Whether it has no answer and its caller takes recoveries. */
  get isMissing(): boolean {
    return this.isOpen && !this.by && this.choices.policy !== 'retry'
  }

  get isQueued(): boolean {
    return this.tried.attempts.some(({ phase }) => phase === 'queued')
  }

  override drop(why: Drop): void {
    this.#group.leave(this, why)
  }

  release(why: Drop): void {
    super.drop(why)
  }

  override expire(): void {
    this.isDue = true
    if (this.isOpen) this.#group.expire(this)
  }

  /** Passes the deadline to the layers beneath, if the group has nothing to give. */
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

/** A coded row that mixes queries. */
class ParityRow extends OutgoingCall implements GroupRow {
  readonly tried: Tried
  readonly row: number
  /** The query that it equals, if it mixes no other. */
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

  /** @param since  the present time */
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
  /** Place among the groups that are not done; -1 afterwards. */
  place = 0
  isOpen = true
  readonly #groups: Groups
  readonly #coded: ReturnType<Codec['open']>
  readonly #queries: GroupedQuery[] = []
  #parities: ParityRow[] = NONE
  /** Identities that failed on one of the rows, and identities whose answers must not be used. */
  #failed: Identity[] = NONE
  #forgotten: Set<Identity> | undefined
  /** Queries whose callers wait; those among them with policy `recover`; queries whose callers left while their rows go on. */
  #wanted = 0
  #promised = 0
  #left = 0
  /** Answered rows; unanswered queries; rows that may still be answered; calls that are not done. */
  #answered = 0
  #missing = 0
  #live = 0
  #running = 0
  /** `enough`: it can be decoded. `over`: it will not be decoded any more. */
  #state: 'waiting' | 'enough' | 'decoded' | 'over' = 'waiting'
  /** Recoveries by the rows of the queries that were missing at the decode. */
  #offers: ReadonlyMap<number, Offer> | undefined
  /** Why encoding or decoding failed. */
  #error: ApproxiferError | undefined
  /** The rows that were decoded from. */
  #survivors: readonly number[] = NONE
  #encodeMs = 0
  #closedAt = 0
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(groups: Groups) {
    this.#groups = groups
    this.#coded = groups.options.codec.open()
  }

  /** A query joins the group and is sent. */
  join(query: Query, caller: Caller, next: Service): GroupedQuery {
    const { codec, pool, maxWaitMs, clock } = this.#groups.options
    const grouped = new GroupedQuery(query, caller, this, this.#coded.join(query.payload.vector))
    this.#queries.push(grouped)
    this.#wanted++
    if (grouped.isPromised) this.#promised++
    this.#missing++
    this.#live++
    this.#running++
    grouped.send(next, grouped)
    if (!this.isOpen) return grouped
    const now = clock.now()
    const closesAt = now + Math.min(maxWaitMs, (query.dueAt - now) / 2)
    const isFull = this.#queries.length === codec.scheme.queries
    if (isFull || !pool.usable || closesAt < now) this.close()
    else if (this.timer === undefined || closesAt < this.dueAt) this.#groups.timers.set(this, closesAt)
    return grouped
  }

  /** The earliest query has waited long enough for others. */
  due(): void {
    this.close()
  }

  /**
   * As long as other workers are available, a row avoids identities that failed on a row. If a caller counts on an answer despite S lost
   * rows, it also avoids identities that run a row, since one slow worker would then lose two.
   */
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
      this.#error = asError(error, 'WORKER') // each query has been sent uncoded all the same
    }
    this.#closedAt = clock.now()
    this.#encodeMs = this.#closedAt - start
    if (!this.#wanted) this.#unwanted('over')
    else if (this.#error) this.#lose()
    else this.#consider()
    this.#finish()
  }

  /** Unanswered queries whose callers take recoveries; none if parities do not pay. */
  get #toMix(): readonly number[] {
    const { codec, pool, memory } = this.#groups.options
    const missing = this.#queries.filter(({ isMissing }) => isMissing)
    const { queries, workers } = codec.schemeFor(this.#queries.length)
    const isPromised = missing.some((query) => query.isPromised)
    if (!isPromised && pool.utilisation > FULL) return NONE
    const isSent = sendsParities(isPromised, missing.length, workers - queries, memory.isWarm)
    return isSent ? missing.map(({ row }) => row) : NONE
  }

  /** Sends a parity. One that equals a single query avoids the workers that were sent the query. */
  #send(row: CodedRow, now: number): void {
    const { workers, inputs } = this.#groups.options
    const tried = new Tried(this.#trace?.coded('parity', numbersOf(this.#queries.filter((query) => query.isMissing))))
    const parityRow = new ParityRow(row, row.query === undefined ? undefined : this.#queries[row.query], this, tried)
    this.#parities = append(this.#parities, parityRow)
    this.#live++
    this.#running++
    parityRow.ask(workers, Payload.of(row.data, inputs), this.#queries[0], now)
  }

  /** Any of its queries' traces. */
  get #trace(): Trace | undefined {
    return this.#queries[0]?.tried.trace
  }

  ended(row: GroupedQuery | ParityRow, attempt: Attempt): void {
    const { outcome, identity } = attempt
    const answer = answerOf(attempt)
    if (outcome?.kind === 'failed' && outcome.blame !== 'nobody' && identity)
      this.#failed = append(this.#failed, identity)
    if (answer) this.#take(row, { kind: 'answer', answer, status: 'exact', confidence: 1, by: [attempt] })
  }

  /** A layer beneath that marks an answer as unproven keeps back `ended`, so that its answer arrives here. */
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
      row.tried.place = row.copied.tried.place // an audit of the copy audits the answer that was given
      row.copied.release('teach')
    }
    this.#consider()
  }

  done(row: GroupRow): void {
    this.#running--
    if (!row.by) this.#live--
    if (this.isOpen && !this.#groups.options.pool.usable) this.close() // no worker is left to wait for
    this.#consider()
    this.#finish()
  }

  /** The query's own answer will not come. */
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

  /** Offers what can be decoded once enough rows are answered. Held failures end then, or when a decode has become impossible. */
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

  /** The group will not be decoded, or its recoveries are given no more. */
  #lose(): void {
    this.#state = 'over'
    for (const query of this.#queries) if (query.held && query.isOpen) this.#fail(query, query.held)
  }

  /** The query's recovery; decodes the group first if that has not happened and the query has no answer. */
  #offerTo(query: GroupedQuery): Offer | undefined {
    if (this.#state === 'enough' && !query.by) this.#decode(query)
    return this.#state === 'decoded' ? this.#offers?.get(query.row) : undefined
  }

  /** @param asking  has perhaps failed meanwhile, and is decoded all the same */
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
    const nobody = pool.usable ? undefined : new ApproxiferError('WORKER', pool.nobody) // the failure may be older than the loss of the last worker
    this.settle(query, isOwn ? failure : { ...failure, error: nobody ?? this.#error ?? this.#tooFew(query) })
  }

  /** At the deadline, a query with policy `recover` has no recovery. */
  expire(query: GroupedQuery): void {
    if (query.held) return this.#fail(query, query.held)
    const isAsked = ({ tried }: GroupRow) => tried.attempts.some(({ worker }) => worker)
    if (!query.isPromised || !(isAsked(query) || this.#parities.some(isAsked))) return query.expireOwn()
    this.settle(query, { kind: 'failure', error: this.#error ?? this.#tooFew(query), blame: 'nobody' })
    query.release('teach')
  }

  /** Names failed workers of other queries' rows without their messages: these may reveal another caller's query. */
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
   * The row of a caller that leaves goes on while other callers of the group wait; while the group is filling, only if the group is
   * promised a recovery. If no caller waits, no query may join any more: it would be a row short from the start.
   */
  leave(query: GroupedQuery, why: Drop): void {
    if (query.isOpen) this.#closeQuery(query)
    const isUseful = why === 'left' && this.#wanted > 0 && (!this.isOpen || query.isPromised)
    if (isUseful && !query.hasLeft) {
      query.hasLeft = true
      this.#left++
    }
    if (why === 'void') query.isVoid = true
    if (why === 'void' || (query.isPromised && !this.#wanted)) this.#close(false) // no query for the next model may join
    // A queued attempt would be cancelled, and count as lost besides the S rows that workers may lose.
    if (!isUseful || !query.isPromised || !query.isQueued) query.release(isUseful ? 'teach' : why)
    if (!this.#wanted) this.#unwanted(why)
  }

  /** No caller of the group waits any more. */
  #unwanted(why: Drop): void {
    if (this.isOpen) return
    if (this.#state === 'waiting' || this.#state === 'enough') this.#state = 'over'
    for (const row of this.#parities) row.drop(why === 'teach' ? 'over' : why)
    if (!this.#left) return
    this.#left = 0
    for (const query of this.#queries) if (query.hasLeft) query.release('left')
  }

  /** Gives no recovery any more that was decoded from an identity's answers. */
  forget(identity: Identity): void {
    this.#forgotten ??= new Set()
    this.#forgotten.add(identity)
    if (!this.#rows.some(({ by }) => by?.identity === identity)) return
    this.#close(false)
    this.#lose()
  }

  /** All missing answers have come, and none is doubtful: rehearsals on the other queries teach how good such recoveries are. */
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

  /** Payloads may be freed once the group's last attempt has ended. */
  #finish(): void {
    if (this.isOpen || this.#running || this.place < 0) return
    this.#groups.open.remove(this)
    if (this.#groups.filling === this) this.#groups.filling = undefined // otherwise it would be kept until the next group opens
    for (const { caller } of this.#queries) caller.done?.()
  }
}

/** Numbers of the queries that are traced. */
function numbersOf(queries: readonly GroupRow[]): number[] {
  return queries.flatMap(({ tried }) => tried.trace?.query ?? [])
}

function errorOf({ outcome }: Attempt): ApproxiferError | undefined {
  return outcome?.kind === 'failed' ? outcome.error : undefined
}
