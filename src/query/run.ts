/** One group, from its first query to its last answer: late ones, which nobody waits for any more, still teach. */

import { append } from '../arrays'
import type { Clock } from '../clock'
import type { Codec, CodedRow, Group, Recovery } from '../codec/codec'
import type { Criterion } from '../criterion'
import { ApproxiferError, asError } from '../errors'
import { bestRecovery, type Recovered } from '../memory/confidence'
import type { Recollection } from '../memory/memory'
import { type Asker, Call, forgive, mayForgive } from '../pool/call'
import type { Pool } from '../pool/pool'
import type { Random } from '../random'
import { Audit } from '../trust/audit'
import type { Scores } from '../trust/scores'
import type { Verification } from '../trust/verification'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Budget, Extras } from './budget'
import { isSure, type Lack, type Rule, standing, verdict } from './decision'
import type { Lateness } from './lateness'
import type { Learning } from './learning'
import type { GroupReport, RecoveryReport, RowReport } from './report'
import type { Ending, Run, Ticket } from './ticket'

/** A query that took so many workers down with it is not given to another, nor after more than the scheme's stragglers. */
const MOST_KILLED = 2
/** Workers beyond the scheme's stragglers that may fail on a query before it is given up: the fault is then its own. */
const MORE_FAILURES = 3
/** Workers' errors that are told of a group. */
const MOST_REASONS = 3

/** Medians that a query waits before it is recovered: where times differ little, answers lie there about to arrive. */
export const FLOOR = 1.3
/** Timers may fire so much too early. */
const EARLY_MS = 1
/** Share of the workers at work beyond which what can be done without costs others more than it gives. */
const FULL = 0.85

const ANSWERED: readonly Ending[] = ['exact', 'checked', 'recovered', 'unverified']

/** What a predictor does with a run. */
export interface LiveRun extends Run {
  readonly report: Promise<GroupReport>
  /** Among the predictor's. */
  place: number
  /** Whether queries may join. */
  readonly filling: boolean
  join(ticket: Ticket): void
  /** No more queries join. */
  close(): void
  /** The predictor is closed: who waits gets this error. */
  end(error: ApproxiferError): void
  /** There are fewer workers that take rows. @param convicted  the identity that is believed no more, if that is why */
  reconsider(convicted?: string): void
}

/** What all runs of a predictor share. */
export interface Service {
  readonly codec: Codec
  readonly pool: Pool
  readonly clock: Clock
  readonly random: Random
  readonly rule: Rule
  readonly criterion: Criterion
  /** Only where answers can be believed. */
  readonly learning: Learning | undefined
  readonly lateness: Lateness
  /** Second requests for late queries, and recoveries given to them. */
  readonly hedges: Budget
  readonly recoveries: Budget
  /** What copies and parities are worth. */
  readonly extras: Extras
  /** Hedges that went to a worker, and those that answered first. */
  readonly hedged: { sent: number; won: number }
  /** What is believed of the workers. */
  readonly verification: Verification
  /** How unusual answers are in groups of which some are lies. */
  readonly scores: Scores
  /** A run was reported. */
  done(run: LiveRun): void
}

/** One query of the group. */
interface Entry {
  readonly ticket: Ticket
  /** Rows that ask for it and for nothing else, in the order in which they were asked. */
  calls: Call[]
  hedge?: Call
  /** It has waited so long that a recovery may be given. */
  overdue?: boolean
  /** It is being looked up, and why it is to be settled when that is done. */
  looking?: boolean
  moment?: Lack['moment']
  /** What was decoded, and what the memory says of it. */
  decoded?: readonly Recovered[]
  remembered?: Recollection | undefined
  /** The surest recovery, and all that were made. */
  recovery?: { report: RecoveryReport; answer: Float32Array; all: readonly Recovered[]; graded: boolean }
}

/** What most groups have none of. */
const NONE: never[] = Object.freeze([]) as never[]

export class GroupRun implements Asker, LiveRun {
  /** Among the predictor's. */
  place = 0
  readonly #service: Service
  readonly #group: Group
  /** `filling`: queries join. `waiting`: for answers to decode from. `decided`: for the last ones. `done`: reported. */
  #phase: 'filling' | 'waiting' | 'decided' | 'done' = 'filling'
  #entries: Entry[] = NONE
  #calls: Call[] = NONE
  /** Calls without an outcome. */
  #open = 0
  /** Calls without an answer, that their workers are to blame for. */
  #failures: Call[] = NONE
  #rows: RowReport[] = NONE
  #suspects: readonly number[] = NONE
  /** Calls whose answers will be dropped; undefined until it was looked for them. */
  #accused: readonly Call[] | undefined
  /** How many of these others are being asked for: one that they agree with is not dropped. */
  #audits = 0
  #survivors: readonly number[] = NONE
  #encodeMs: number | undefined
  #waitMs: number | undefined
  #decodeMs: number | undefined
  #closedAt = Number.NaN
  /** When it closes, full or not. */
  #closesAt: number | undefined
  #unplan: (() => void) | undefined
  /** Why nothing can be recovered. */
  #failure: ApproxiferError | undefined
  /** The predictor's end. */
  #ended: ApproxiferError | undefined
  /** When it is done, and when somebody asks for it. */
  #reported: GroupReport | undefined
  #report: Promise<GroupReport> | undefined
  #complete: ((report: GroupReport) => void) | undefined

  constructor(service: Service) {
    this.#service = service
    this.#group = service.codec.open()
  }

  /** Made for who asks: the first to do so are those who get an answer. */
  get report(): Promise<GroupReport> {
    this.#report ??= new Promise((resolve) => {
      if (this.#reported) resolve(this.#reported)
      else this.#complete = resolve
    })
    return this.#report
  }

  /** Whether queries may join. */
  get filling(): boolean {
    return this.#phase === 'filling'
  }

  /** Takes a query in. The systematic code sends it at once; the paper's sends nothing before the group is closed. */
  join(ticket: Ticket): void {
    const { codec, clock, pool } = this.#service
    const entry: Entry = { ticket, calls: NONE }
    this.#entries = append(this.#entries, entry)
    if (this.#early) {
      const query = this.#group.join(ticket.row)
      this.#put(this.#group.ready[query], 'query')
    }
    if (this.#entries.length === codec.scheme.queries || !pool.usable) return this.close() // nobody is worth waiting for
    const closesAt = clock.now() + ticket.maxWaitMs
    if (this.#closesAt !== undefined && closesAt >= this.#closesAt) return
    this.#closesAt = closesAt
    this.#unplan?.()
    this.#unplan = clock.after(ticket.maxWaitMs, () => this.close())
  }

  /** No more queries join. */
  close(): void {
    if (this.#phase !== 'filling') return
    const { clock } = this.#service
    this.#unplan?.()
    this.#phase = 'waiting'
    const start = clock.now()
    let rows: readonly CodedRow[] = []
    try {
      rows = this.#early ? this.#extras() : this.#encode()
    } catch (error) {
      this.#failure = asError(error, 'WORKER')
      this.#phase = 'decided' // with the systematic code queries have their own rows all the same
      if (!this.#early) for (const { ticket } of this.#entries) ticket.fail(this.#failure)
    }
    this.#closedAt = clock.now()
    this.#encodeMs = this.#closedAt - start
    for (const row of rows) this.#put(row, this.#early ? 'extra' : 'query')
    if (this.#early && this.#entries.some(isLost)) this.#hurry()
    if (!this.#honest) this.reconsider()
    this.#advance()
  }

  /** A late query is asked for again when its row has been at work for as long as nearly all take: most of its wait may be the queue's. */
  #planHedge(entry: Entry): void {
    const call = entry.calls.find(({ state }) => state === 'running')
    const ms = call && !entry.hedge ? this.#hedgeIn(call) : 0
    if (!(ms >= EARLY_MS)) return // NaN while it is behind another
    const again = () => {
      this.#settle(entry, this.#moment(entry) ?? 'late')
      this.#advance()
    }
    this.#service.clock.after(ms, again, true)
  }

  /** Milliseconds until a row has been at work for so long that another worker may be asked. */
  #hedgeIn({ sentAt, factor }: Call): number {
    const { clock, lateness } = this.#service
    return sentAt + factor * (lateness.lateMs ?? Number.POSITIVE_INFINITY) - clock.now()
  }

  /** A query's deadline has come: it gets what can be had now, or an error. */
  due(ticket: Ticket): void {
    const entry = this.#entry(ticket)
    if (!entry) return
    if (this.#phase === 'waiting' && this.#standing('fastest') === 'decode') this.#decode(entry)
    else this.#settle(entry, 'due')
    this.#advance()
  }

  /** A query has waited longer than nearly all others do: it may be asked for again, and be recovered a little later. */
  late(ticket: Ticket): void {
    const entry = this.#entry(ticket)
    if (!entry) return
    ticket.late = true
    this.#advance() // its group may be decoded now
    this.#settle(entry, isLost(entry) ? 'lost' : 'late')
    this.#advance()
    if (!ticket.open) return
    this.#planHedge(entry)
    if (ticket.choices.policy === 'retry') return
    const { clock, lateness } = this.#service
    const ms = ticket.since + FLOOR * factorOf(entry) * (lateness.medianMs ?? 0) - clock.now()
    const overdue = () => {
      entry.overdue = true
      this.#settle(entry, isLost(entry) ? 'lost' : 'overdue')
      this.#advance()
    }
    clock.after(Math.max(0, ms), overdue, true)
  }

  /** A caller has left; rows that nobody wants any more are let go. */
  left(ticket: Ticket): void {
    const calls = this.#entry(ticket)?.calls ?? []
    if (this.filling) {
      this.#cancel(calls)
      if (!this.#early) this.#entries = this.#entries.filter((entry) => entry.ticket.open) // room for others
    } else if (this.#wanted)
      this.#withdraw(calls) // an answer that nobody waits for still tells of the others
    else this.#cancel(this.#calls)
    this.#advance()
  }

  /** The predictor is closed: who waits gets this error, and the rest is forgotten. */
  end(error: ApproxiferError): void {
    this.#unplan?.()
    if (this.#phase === 'filling' || this.#phase === 'waiting') this.#ended = error
    for (const { ticket } of this.#entries) ticket.fail(error)
    this.#cancel(this.#calls)
    this.#phase = 'decided'
    this.#advance()
  }

  /** Rows that wait though there are fewer workers for them are given up; where all need one each, only if what is left cannot be decoded. */
  reconsider(): void {
    if (this.#honest) for (const { calls } of this.#entries) this.#giveUp(calls, 0)
    else if (this.#calls.length) this.#giveUp(this.#calls, this.#group.scheme.quorum) // else it still fills
  }

  /** @param needed  answers that will do, if so many may come */
  #giveUp(calls: readonly Call[], needed: number): void {
    const { pool } = this.#service
    const excess = -pool.candidates(calls)
    if (excess <= 0) return
    const hopeful = calls.filter(({ answer, isLive }) => answer || isLive).length - excess
    if (needed && hopeful >= needed) return
    const waiting = calls.filter(({ state }) => state === 'waiting')
    for (const call of waiting.slice(-excess)) pool.giveUp(call)
  }

  // What the pool asks and tells.

  avoids(call: Call, worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    const isItsOwn = (other: Call) => other !== call && other.asked === identity
    if (!this.#honest) return this.#calls.some(isItsOwn)
    return this.#askedFor(call)?.calls.some(isItsOwn) === true || this.#failedOn(identity)
  }

  /** A worker that failed on one of the rows gets no other while somebody else can: it would soon have failed on all of them. */
  #failedOn(identity: string): boolean {
    return this.#failures.some(({ asked }) => asked === identity) && this.#service.pool.candidates(this.#failures) > 0
  }

  sent(call: Call): void {
    const entry = this.#askedFor(call)
    const { hedged, extras } = this.#service
    if (this.#isExtra(call)) extras.send()
    if (entry && call === entry.hedge)
      hedged.sent += Number(!call.alone) // that was sent before
    else if (entry?.ticket.late) this.#planHedge(entry)
  }

  back(call: Call): void {
    const entry = this.#askedFor(call)
    if (entry ? !entry.ticket.open : this.#phase === 'decided') this.#withdraw([call])
    this.#advance()
  }

  spare(call: Call): void {
    if (this.#honest) this.#withdraw(this.#askedFor(call)?.calls ?? [])
  }

  failed(call: Call): void {
    if (!isEnded(call)) this.#failures = append(this.#failures, call)
  }

  heard(call: Call): void {
    const { row, answer, error, ms, worker } = call
    const entry = this.#askedFor(call)
    const wanted = entry ? entry.ticket.open : this.#phase === 'waiting'
    const outcome = answer ? (wanted ? 'onTime' : 'late') : call.failure
    if (!isEnded(call)) this.#service.pool.count(worker, outcome)
    const report: RowReport = { row: row.index, worker: worker?.name ?? '', outcome, suspected: false, ms, error }
    this.#rows = append(this.#rows, report)
    this.#open--
    if (answer) {
      const first = entry !== undefined && this.#group.exact(row.query as number) === undefined
      this.#group.add(row as CodedRow, answer)
      if (entry) this.#own(entry, call, answer, first)
    } else if (entry && this.#honest) this.#settle(entry, 'lost')
    if (this.filling && !this.#service.pool.usable) this.close()
    this.#advance()
  }

  /** The model's own answer to a query has come, in time or late. */
  #own(entry: Entry, call: Call, answer: Float32Array, first: boolean): void {
    const { lateness, learning, hedged, extras } = this.#service
    const { ticket, calls } = entry
    if (!this.#honest) {
      if (ticket.choices.deliver === 'early' && this.#phase === 'waiting') this.#answer(entry, call, 'unverified')
      return
    }
    if (call === calls[0] && call.comparable) lateness.see(call.ms / call.factor) // as in a run of its own
    if (call === entry.hedge && ticket.open) hedged.won++
    if (this.#isExtra(call) && ticket.open) extras.save()
    this.#answer(entry, call, 'exact')
    this.#grade(entry, call)
    this.#audit(entry, call)
    if (first) learning?.remember(call.row.data, answer, (call.worker as ModelWorker).name)
  }

  /** Whether workers agree shows where two answered; now and then one more is asked, though nobody waits for it. */
  #audit({ calls }: Entry, call: Call): void {
    const { pool, verification } = this.#service
    if (!verification.isAuditing) return
    let answered = 0
    for (const { answer } of calls) if (answer) answered++
    if (answered === 2 || (answered === 1 && verification.audits(call.worker)))
      new Audit(pool, verification, calls.filter(({ answer }) => answer)).proceed() // biome-ignore format: one line
  }

  /** With the systematic code where nobody lies, a query's own row is sent before the group is closed. */
  get #early(): boolean {
    return this.#honest && this.#service.codec.code === 'systematic'
  }

  /** Whether nobody is expected to lie: an answer to a query itself then goes to its caller at once. */
  get #honest(): boolean {
    return this.#service.codec.scheme.byzantine === 0
  }

  /** Whether anybody waits for an answer. */
  get #wanted(): boolean {
    return this.#entries.some(({ ticket }) => ticket.open)
  }

  /** Whether it is known what is late, so that recovering can wait for that: most answers that lack at the quorum are about to come. */
  get #paced(): boolean {
    return this.#early && this.#service.lateness.lateMs !== undefined
  }

  /** What a query without an answer may get when its group was decoded; undefined: it waits. */
  #moment(entry: Entry): Lack['moment'] | undefined {
    if (!this.#paced || isLost(entry)) return 'decoded'
    return entry.overdue ? 'overdue' : entry.ticket.late ? 'late' : undefined
  }

  /** Whether a row is a copy or a parity that was sent ahead. */
  #isExtra({ row }: Call): boolean {
    return this.#early && row.index >= this.#entries.length && row.index < this.#service.codec.scheme.workers
  }

  #entry(ticket: Ticket): Entry | undefined {
    return this.#entries.find((entry) => entry.ticket === ticket)
  }

  /** The query that a row asks for; none where it is a sum of several. */
  #askedFor({ row }: Pick<Call, 'row'>): Entry | undefined {
    return row.query === undefined ? undefined : this.#entries[row.query]
  }

  /** Queries without an answer of their own whose callers would take a recovery: who retries wants nothing but an exact one. */
  #recoverable(): number[] {
    return this.#group.missing().filter((query) => {
      const { ticket } = this.#entries[query]
      return ticket.open && ticket.choices.policy !== 'retry'
    })
  }

  #put(row: CodedRow, kind: Call['kind'], hedge = false): void {
    const call = new Call(this, row, kind)
    const entry = this.#askedFor(call)
    if (entry) call.dueAt = entry.ticket.dueAt
    if (entry && hedge) entry.hedge = call
    if (entry) entry.calls = append(entry.calls, call)
    this.#calls = append(this.#calls, call)
    this.#open++
    this.#service.pool.put(call)
  }

  /** Nobody wants these rows any more. */
  #cancel(calls: readonly Call[]): void {
    for (const call of calls) {
      if (call.state === 'waiting') this.#open--
      this.#service.pool.cancel(call)
    }
  }

  /** Takes back those of the rows that no worker has. */
  #withdraw(calls: readonly Call[]): void {
    if (calls.some(isWaiting)) this.#cancel(calls.filter(isWaiting))
  }

  /** All rows. Where somebody may lie, workers get places at random: a place biases a score. */
  #encode(): readonly CodedRow[] {
    const { codec, random } = this.#service
    if (!this.#entries.length) return []
    for (const { ticket } of this.#entries) this.#group.join(ticket.row)
    const early = this.#group.ready
    const rows = [...early, ...this.#group.close()]
    return codec.scheme.byzantine ? random.choose(rows.length, rows.length).map((i) => rows[i]) : rows
  }

  /** Copies or parities of what may be recovered and is unanswered. */
  #extras(): readonly CodedRow[] {
    const { pool, extras, codec } = this.#service
    const { queries, workers } = codec.schemeFor(this.#entries.length)
    if (workers === queries) return this.#group.close(NONE) // there are none
    const missing = this.#recoverable()
    // Who only recovers was promised an answer if S are lost; others are asked again.
    const promised = missing.some((query) => this.#entries[query].ticket.choices.policy === 'recover')
    const spared = !missing.length || (!promised && (pool.utilisation > FULL || !extras.worthIt))
    if (spared) return this.#group.close(NONE)
    return this.#group.close(this.#leastSure(missing) ?? missing)
  }

  /** The queries that the memory knows least of: copies of these are worth more than parities. */
  #leastSure(missing: readonly number[]): number[] | undefined {
    const { codec, learning, lateness } = this.#service
    const { queries, workers } = codec.schemeFor(this.#entries.length)
    if (missing.length <= workers - queries || workers === queries) return undefined
    const rows = missing.map((query) => this.#entries[query].ticket.row)
    const foreseen = learning?.foresee(rows, lateness.medianMs ?? Number.POSITIVE_INFINITY)
    foreseen?.forEach((recollection, i) => {
      this.#entries[missing[i]].remembered = recollection
    })
    return foreseen && learning?.experience.confidence.least(foreseen, workers - queries)?.map((at) => missing[at])
  }

  #standing(rule = this.#service.rule) {
    const { quorum, workers } = this.#group.scheme
    let [rows, answers, outstanding] = [0, 0, 0]
    for (const call of this.#calls) {
      if (call.row.index >= workers) continue // it asks for a query again
      rows++
      if (call.answer) answers++
      else if (call.isLive) outstanding++
    }
    return standing({ rule, answers, outstanding, quorum, unmade: workers - rows })
  }

  #advance(): void {
    if (this.#phase === 'waiting') this.#decide()
    if (this.#phase === 'decided' && !this.#open && !this.#entries.some(({ looking }) => looking)) this.#finish()
  }

  #decide(): void {
    if (!this.#wanted && !this.#entries.some(({ ticket }) => ticket.ending === 'unverified')) {
      this.#phase = 'decided'
      this.#withdraw(this.#calls)
      this.#waitMs ||= this.#service.clock.now() - this.#closedAt
      return
    }
    const now = this.#standing()
    if (now === 'decode' && this.#isPressing) this.#decode()
    if (now !== 'hopeless') return
    this.#phase = 'decided'
    for (const entry of this.#entries) this.#settle(entry, 'lost')
  }

  /** Whether somebody may get what is decoded. */
  get #isPressing(): boolean {
    return !this.#paced || this.#entries.some((entry) => entry.ticket.open && this.#moment(entry))
  }

  /** Recovers what is missing, as soon as it is known which answers are lies. @param due  whose deadline has come */
  #decode(due?: Entry): void {
    const { clock } = this.#service
    const start = clock.now()
    try {
      if (!this.#accused) this.#accuse()
      if (this.#audits && !due) return
      this.#phase = 'decided'
      this.#drop(this.#accused ?? NONE)
      this.#recoverAll()
    } catch (error) {
      this.#phase = 'decided'
      this.#failure = asError(error, 'QUORUM')
    }
    this.#waitMs = start - this.#closedAt
    this.#decodeMs = clock.now() - start
    this.#entries.forEach((entry, query) => {
      const own = this.#group.exact(query)
      const call = own && entry.calls.find(({ answer }) => answer === own)
      // Where some may lie, one worker's word proves nothing.
      if (call) this.#answer(entry, call, this.#honest ? 'exact' : 'unverified')
      else {
        const moment = entry === due ? 'due' : this.#moment(entry)
        if (moment) this.#settle(entry, moment)
      }
    })
    this.#withdraw(this.#calls.filter((call) => !this.#askedFor(call)?.ticket.open))
  }

  /** Looks for lies. An answer that is unusual may be honest: it is not dropped before others were asked for its row. */
  #accuse(): void {
    const { codec, pool, verification } = this.#service
    const { known, unusual } = codec.published ? { known: this.#mostSuspicious(), unusual: NONE } : this.#unusual()
    this.#accused = [...known, ...unusual]
    if (!verification.isAuditing) return
    this.#audits = 1 + unusual.length // one for this loop: an audit that can ask nobody is done at once
    for (const call of unusual) {
      const done = (proven: readonly Call[]) => {
        if (proven.includes(call)) this.#accused = this.#accused?.filter((each) => each !== call)
        this.#audits--
        this.#advance()
      }
      new Audit(pool, verification, [call], done).proceed()
    }
    this.#audits--
  }

  #drop(calls: readonly Call[]): void {
    const { pool } = this.#service
    for (const call of calls) {
      this.#group.drop(call.row as CodedRow)
      this.#suspects = [...this.#suspects, call.row.index]
      pool.count(call.worker as ModelWorker, 'suspected')
    }
    this.#survivors = this.#group.survivors
  }

  /** The paper's rule: as many as may lie, whether anybody does. */
  #mostSuspicious(): Call[] {
    const { byzantine } = this.#group.scheme
    return this.#group.scores().slice(0, byzantine).map(({ row }) => this.#callOf(row)) // biome-ignore format: one line
  }

  /**
   * Answers of those who were shown to lie, and such as are unlike what earlier groups had; while that is not known yet, as many as may
   * lie. Who is under suspicion is looked at: others are asked for his row.
   */
  #unusual(): { known: Call[]; unusual: Call[] } {
    const { pool, scores, verification } = this.#service
    const { byzantine } = this.#group.scheme
    if (!byzantine) return { known: NONE, unusual: NONE }
    const known = this.#calls.filter(({ answer, worker }) => answer && !verification.isTrusted(worker as ModelWorker))
    for (const { row } of known) this.#group.drop(row as CodedRow)
    const limit = byzantine - known.length
    const ranked = limit > 0 ? this.#group.scores(limit) : []
    const group = ranked.map(({ row, score }) => ({ row: row.index, score, worker: workerOf(this.#callOf(row)).name }))
    const ready = scores.isReady
    const { unusual, suspects } = scores.see(group)
    const accused = (ready ? unusual : group).slice(0, limit).map(({ row }) => row)
    const doubtful = this.#calls.filter(({ row }) => accused.includes(row.index))
    for (const call of this.#calls) {
      if (ready && doubtful.includes(call)) continue // asked for anyway
      const isSuspect = suspects.includes(call.worker?.name ?? '') || known.includes(call) || verification.audits()
      if (call.answer && isSuspect && verification.isAuditing) new Audit(pool, verification, [call]).proceed()
    }
    for (const worker of suspects) scores.clear(worker)
    return ready ? { known, unusual: doubtful } : { known: [...known, ...doubtful], unusual: NONE }
  }

  #callOf(row: CodedRow): Call {
    return this.#calls.find((call) => call.row === row) as Call
  }

  #recoverAll(): void {
    const { learning, criterion } = this.#service
    const wanted = this.#recoverable()
    const decoded = wanted.length ? this.#decoded() : []
    for (const query of wanted) {
      const entry = this.#entries[query]
      entry.decoded = decoded.filter((each) => each.query === query)
      this.#recover(entry)
    }
    const fromCode = this.#entries.some(({ recovery }) => recovery?.all.some(({ source }) => source === 'code'))
    if (fromCode) learning?.later(this.#group.lessons(criterion), this.#bytes)
  }

  /** What the code recovers; where it cannot, the memory may. */
  #decoded(): Recovery[] {
    try {
      return this.#group.recover()
    } catch (error) {
      this.#failure = asError(error, 'QUORUM')
      return []
    }
  }

  /** Recovers a query from the memory as well; where that is not done at once, it is settled again. */
  #look(entry: Entry, due: boolean): void {
    const { learning } = this.#service
    const { ticket } = entry
    const { policy, minConfidence } = ticket.choices
    if (entry.remembered || !learning) return entry.recovery ? undefined : this.#recover(entry)
    let later = false
    const told = (said: Recollection | undefined) => {
      entry.looking = false
      entry.remembered = said
      this.#recover(entry)
      if (said) learning.judge(isSure(policy, minConfidence, entry.recovery?.report.confidence))
      if (!later) return
      this.#settle(entry, entry.moment as Lack['moment'], true)
      this.#advance()
    }
    entry.looking = true
    learning.look(ticket.row, due, () => ticket.open, told)
    later = true
  }

  /** Recovers a query from what was decoded and what the memory said, and keeps the surer answer. */
  #recover(entry: Entry): void {
    const { learning } = this.#service
    const { decoded = [], remembered } = entry
    const query = this.#entries.indexOf(entry)
    const about = { mixed: this.#group.mixes(query), missing: this.#group.missing().length }
    const surest = bestRecovery(decoded, remembered, about, learning?.experience.confidence)
    if (!surest) {
      if (decoded.length) this.#failure = new ApproxiferError('PROTOCOL', 'the recovered answer is not finite')
      return
    }
    const { recovery, confidence, all } = surest
    const { answer, ...rest } = recovery
    entry.recovery = { report: { ...rest, query, confidence, given: false }, answer, all, graded: false }
  }

  /** Gives a query that waits what its policy says. @param looked  it was looked up for that, if there was time */
  #settle(entry: Entry, moment: Lack['moment'], looked = false): void {
    const { ticket, calls } = entry
    if (!ticket.open) return
    const { policy, minConfidence, atDeadline } = ticket.choices
    const late = moment === 'late' || moment === 'overdue'
    const { recoveries, codec } = this.#service
    const asked = this.#honest && calls.some(({ isLive }) => isLive) // where somebody may lie an answer alone is none
    if (moment === 'lost' && asked) return
    const may = late ? recoveries.has : true
    if (entry.moment !== 'due') entry.moment = moment
    if (!looked && !entry.looking && policy !== 'retry' && may && this.#mayLook(entry, moment))
      this.#look(entry, moment === 'due' || (moment === 'lost' && policy === 'recover'))
    if (entry.looking) return
    const said = verdict({
      policy,
      minConfidence,
      moment,
      recovery: may && entry.recovery ? entry.recovery.report : undefined,
      asked,
      decodable: this.#phase !== 'decided' && codec.scheme.stragglers > 0,
      mayAsk: this.#mayAsk(entry, late),
      atDeadline,
    })
    if (said === 'give') this.#give(entry, late)
    else if (said === 'ask') this.#ask(entry, late)
    else if (said === 'fail') this.#fail(entry, moment)
    else if (moment === 'lost') this.#hurry()
    if (!ticket.open) this.#withdraw(calls)
  }

  /** Where the memory is rarely sure, or a look takes longer than an answer, a late query is first asked for again. */
  #mayLook(entry: Entry, moment: Lack['moment']): boolean {
    const { learning, lateness } = this.#service
    if (moment === 'late') return this.#mayAsk(entry, true) && learning?.looksFirst(lateness.medianMs ?? 0) === true
    return moment !== 'decoded' || !this.#paced
  }

  /** A late query once, from the budget, and not while its row waits, since a second one would wait as well; a lost one as long as the fault may be its workers'. */
  #mayAsk({ calls, hedge }: Entry, late: boolean): boolean {
    const { pool, hedges, codec } = this.#service
    if (!this.#honest) return false
    const others = pool.candidates(calls) > 0
    const isSlow = (call: Call) => call.state === 'running' && this.#hedgeIn(call) < EARLY_MS
    if (late) return others && !hedge && hedges.has && calls.some(isSlow)
    if (!others && !(pool.usable && mayForgive(calls))) return false
    const failed = calls.filter(({ removed }) => !removed).length
    return !this.#kills(calls) && failed < codec.scheme.stragglers + MORE_FAILURES
  }

  /** Whether the workers that went down with a query cannot all be bad ones. */
  #kills(calls: readonly Call[]): boolean {
    const killed = calls.filter((call) => call.killed).length
    return killed >= Math.max(MOST_KILLED, this.#service.codec.scheme.stragglers + 1)
  }

  /** Asks for a query again, before all that is new: another worker, or who failed on it where there is no other. */
  #ask(entry: Entry, late: boolean): void {
    const { hedges, pool } = this.#service
    if (late) hedges.take()
    else if (pool.candidates(entry.calls) < 1) forgive(entry.calls)
    this.#put(this.#group.repeat(this.#entries.indexOf(entry)), 'urgent', late)
  }

  /** A query is lost unless the code recovers it: parities can no longer be done without. */
  #hurry(): void {
    for (const call of [...this.#calls]) if (call.kind === 'extra') this.#service.pool.hurry(call)
  }

  #give(entry: Entry, late: boolean): void {
    const { recovery, ticket, calls } = entry
    if (!recovery) return
    const { clock, recoveries, extras } = this.#service
    const { report, answer } = recovery
    if (late) recoveries.take()
    if (report.source === 'code') extras.save()
    report.given = true
    const sentAt = calls[0]?.sentAt || clock.now()
    const workers = this.#calls.flatMap(({ row, worker }) => (worker && this.#survivors.includes(row.index) ? worker.name : [])) // biome-ignore format: one line
    const given = {
      status: 'recovered' as const,
      confidence: report.confidence,
      waitedMs: sentAt - ticket.since,
      ranMs: clock.now() - sentAt,
      hedged: hedged(entry),
      workers: report.source === 'code' ? workers : [],
    }
    ticket.answer(answer, given, this.report)
  }

  /** One worker's answer to the query itself. */
  #answer(entry: Entry, { sentAt, ms, answer, worker }: Call, status: 'exact' | 'unverified'): void {
    const { ticket } = entry
    const given = {
      status,
      confidence: status === 'exact' ? 1 : undefined,
      waitedMs: sentAt - ticket.since,
      ranMs: ms,
      hedged: hedged(entry),
      workers: [(worker as ModelWorker).name],
    }
    ticket.answer(answer as Float32Array, given, this.report)
  }

  /** Tells what recovered answers are worth, by the model's own that came late. */
  #grade({ recovery }: Entry, { answer, worker }: Call): void {
    const { learning } = this.#service
    if (!learning || !recovery || recovery.graded) return
    recovery.graded = true
    for (const each of recovery.all) {
      const agreed = learning.experience.confidence.grade(each, answer as Float32Array, worker?.name)
      if (each.answer === recovery.answer) recovery.report.agreed = agreed
    }
    const recoveries = this.#entries.flatMap((entry) => entry.recovery ?? [])
    const decoded = ({ source }: Recovered) => source === 'code'
    if (recoveries.every(({ graded, all }) => graded && all.some(decoded))) {
      learning.later(this.#rehearse(learning), this.#bytes)
    }
  }

  /** Of the rows, which who learns from the group holds on to. */
  get #bytes(): number {
    return this.#calls.reduce((sum, { row }) => sum + row.data.byteLength, 0)
  }

  /** Other queries of the group, too, tell what their recoveries would have been worth. */
  *#rehearse({ experience }: Learning): Generator<void> {
    const lost = [...this.#entries.keys()].filter((query) => this.#entries[query].recovery)
    for (const others of this.#group.rehearse(lost, this.#survivors)) {
      for (const other of others) {
        const own = this.#group.exact(other.query) as Float32Array
        const from = this.#entries[other.query].calls.find(({ answer }) => answer === own)
        experience.confidence.rehearse(other, own, from?.worker?.name)
      }
      yield
    }
  }

  /** A query gets an error. */
  #fail(entry: Entry, moment: Lack['moment']): void {
    const { pool, clock } = this.#service
    const { ticket, calls, recovery } = entry
    if (moment !== 'due')
      return ticket.fail(pool.usable ? this.#why(entry) : new ApproxiferError('WORKER', pool.nobody))
    const isAsked = (calls.length ? calls : this.#calls).some(({ worker }) => worker)
    if (isAsked && ticket.choices.policy === 'recover') return ticket.fail(this.#failure ?? this.#lacking(entry))
    const ms = Math.round(clock.now() - ticket.since)
    const why = isAsked ? `no answer within ${ms} ms` : `waited ${ms} ms for workers, ${pool.free} of ${pool.size} free`
    ticket.expire(why, recovery && { answer: recovery.answer, confidence: recovery.report.confidence })
  }

  /** Why a query can have no answer. */
  #why(entry: Entry): ApproxiferError {
    const { calls, ticket } = entry
    if (ticket.choices.policy === 'recover' || !calls.length) return this.#failure ?? this.#lacking(entry)
    const workers = new Set(calls.map(({ worker }) => worker?.name)).size
    const all = workers === this.#service.pool.size ? 'all ' : ''
    const tries = calls.length > workers ? ` in ${calls.length} tries` : ''
    const what = this.#kills(calls)
      ? `${workers} workers went down with the query, and no other is asked`
      : `${all}${workers} workers failed on the query${tries}`
    return new ApproxiferError('WORKER', `${what}: ${calls.at(-1)?.error?.message}`)
  }

  /** Of the other rows only who failed is told: what a worker says of a row may tell of another caller's query. */
  #lacking({ calls }: Entry): ApproxiferError {
    const { quorum, workers } = this.#service.codec.schemeFor(this.#entries.length)
    const own = calls.flatMap(({ error }) => error?.message ?? [])
    const others = this.#failures.filter((call) => !calls.includes(call))
    const told = others.slice(0, MOST_REASONS).map(({ worker, error }) => `${worker?.name}: ${error?.code}`)
    const more = others.length - told.length
    const answers = this.#calls.filter(({ answer }) => answer).length
    const text = `results: expected >= ${quorum} of ${workers}, got ${answers}, ${this.#open} outstanding`
    return new ApproxiferError(
      'QUORUM',
      [text, ...own, ...told, ...(more > 0 ? [`and ${more} others`] : [])].join('; '),
    )
  }

  #finish(): void {
    const { codec, rule } = this.#service
    this.#phase = 'done'
    const { workers, quorum } = codec.schemeFor(this.#entries.length || codec.scheme.queries)
    for (const { state, kind, row } of this.#calls) {
      if (state !== 'cancelled' || kind === 'urgent') continue
      const error = new ApproxiferError('OVERLOADED', 'no worker had room for the row while it was wanted')
      const report: RowReport = { row: row.index, worker: '', outcome: 'failed', suspected: false, ms: 0, error }
      this.#rows = append(this.#rows, report)
    }
    for (const row of this.#rows) row.suspected = this.#suspects.includes(row.row)
    this.#service.done(this)
    this.#reported = {
      queries: this.#entries.length,
      workers,
      quorum,
      core: codec.core.kind,
      rule,
      outcome: this.#ended?.code ?? outcomeOf(this.#entries.map(({ ticket }) => ticket.ending as Ending)),
      rows: this.#rows.length > 1 ? this.#rows.sort((a, b) => a.row - b.row) : [...this.#rows],
      recoveries: this.#entries.flatMap(({ recovery }) => recovery?.report ?? []),
      survivors: [...this.#survivors],
      encodeMs: this.#encodeMs ?? 0,
      waitMs: this.#waitMs ?? 0,
      decodeMs: this.#decodeMs ?? 0,
    }
    this.#complete?.(this.#reported)
  }
}

/** Whether no worker has a row yet. */
function isWaiting({ state }: Call): boolean {
  return state === 'waiting'
}

/** Whether it has no answer since nobody wanted one. */
function isEnded({ isLetGo, error }: Call): boolean {
  return isLetGo && error?.code === 'ABORTED'
}

/** Who answered. */
function workerOf({ worker }: Call): ModelWorker {
  return worker as ModelWorker
}

/** Whether nobody is asked for a query that waits. */
function isLost({ ticket, calls }: Entry): boolean {
  return ticket.open && !calls.some(({ isLive }) => isLive)
}

/** How many times as long as alone a query's row takes, since it shares a run with others. */
function factorOf({ calls }: Entry): number {
  return Math.max(1, ...calls.map(({ state, factor }) => (state === 'running' ? factor : 1)))
}

/** Whether a second request went to a worker because the query was late. */
function hedged({ hedge }: Entry): boolean {
  return hedge?.worker !== undefined
}

/** Who left by himself says nothing of the group, unless all did. */
export function outcomeOf(endings: readonly Ending[]): string {
  const failed = endings.find((ending) => !ANSWERED.includes(ending) && ending !== 'ABORTED')
  return failed ?? (endings.some((ending) => ending !== 'ABORTED') ? 'decoded' : 'ABORTED')
}
