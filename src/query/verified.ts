/**
 * One query where workers may lie: its answer is proven by E + 1 workers that agree, or checked by a memory that is sure; else
 * further workers are asked. What is far from those that agree is a lie, with proof. Nobody gets an approximation but who is late.
 */

import type { CodedRow } from '../codec/codec'
import { ApproxiferError } from '../errors'
import { type Asker, Call, forgive, mayForgive } from '../pool/call'
import { rmsDifference } from '../stats'
import { agree, isLie, ruling } from '../trust/agreement'
import type { Verification } from '../trust/verification'
import { identityOf, type ModelWorker } from '../workers/worker'
import { isSure } from './decision'
import type { Seen } from './learning'
import type { GroupReport, RecoveryReport, RowReport } from './report'
import { FLOOR, type LiveRun, outcomeOf, type Service } from './run'
import type { Ending, Status, Ticket } from './ticket'

/** Workers that may go down with a query before it is given up, beyond the scheme's stragglers. */
const MOST_KILLED = 2

export class VerifiedRun implements Asker, LiveRun {
  /** Among the predictor's. */
  place = 0
  readonly filling = false
  readonly #service: Service
  readonly #verification: Verification
  #ticket!: Ticket
  readonly #calls: Call[] = []
  /** Copies to workers that are not trusted: what they answer is compared, and never given. */
  readonly #probation: Call[] = []
  /** Answers that nothing was concluded from yet. */
  #heard: Call[] = []
  readonly #rows: RowReport[] = []
  /** undefined: not looked up, or nothing is remembered that tells of it. */
  #seen: Seen | undefined
  /** What waits until it is looked up; undefined when it was. */
  #unseen: (() => void)[] | undefined = []
  #hedge: Call | undefined
  #recovery: RecoveryReport | undefined
  /** What all others are compared with, once it is proven. */
  #proven: Float32Array | undefined
  /** It is proven though the memory may be sure. */
  #audited = false
  /** Answers differ so that nothing is proven yet; a timer runs after which that is looked at again. */
  #disputed = false
  #looksAgain = false
  #open = 0
  #ended = false
  #decidedAt = Number.NaN
  /** When it is done, and when somebody asks for it. */
  #reported: GroupReport | undefined
  #report: Promise<GroupReport> | undefined
  #complete: ((report: GroupReport) => void) | undefined

  constructor(service: Service) {
    this.#service = service
    this.#verification = service.verification
  }

  /** Made for who asks: the first to do so is who gets an answer. */
  get report(): Promise<GroupReport> {
    this.#report ??= new Promise((resolve) => {
      if (this.#reported) resolve(this.#reported)
      else this.#complete = resolve
    })
    return this.#report
  }

  join(ticket: Ticket): void {
    const { learning } = this.#service
    const { liars, integrity } = this.#verification
    this.#ticket = ticket
    this.#audited = this.#verification.audits()
    const warm = learning?.experience.memory === 'warm' && integrity < 1
    this.#ask(warm && !this.#audited ? 1 : liars + 1, 'query')
    if (this.#left < 0) this.reconsider()
    if (warm) this.#whenSeen(() => this.#weigh())
  }

  /** Calls it when it is known what the memory says of the query. */
  #whenSeen(then: () => void): void {
    const { learning } = this.#service
    if (!this.#unseen || learning?.experience.memory !== 'warm') return then()
    if (this.#unseen.push(then) > 1) return
    const told = (seen: Seen | undefined) => {
      const waiting = this.#unseen ?? []
      this.#unseen = undefined
      this.#seen = seen
      for (const each of waiting) if (this.#ticket.open) each()
    }
    learning.see(this.#ticket.row, () => this.#ticket.open, told)
  }

  /** Asks for proof at once where the memory will not do: while the first worker is at work. */
  #weigh(): void {
    if (!this.#isSure()) this.#demand('query')
  }

  close(): void {}

  // What the ticket tells.

  late(ticket: Ticket): void {
    ticket.late = true
    if (ticket.choices.policy === 'retry') this.#hurry()
    else this.#whenSeen(() => this.#late(ticket))
  }

  #late(ticket: Ticket): void {
    const { clock, lateness } = this.#service
    if (!this.#recoverable()) return this.#hurry()
    const ms = ticket.since + FLOOR * (lateness.medianMs ?? 0) - clock.now()
    clock.after(Math.max(0, ms), () => this.#overdue(), true)
  }

  #overdue(): void {
    const { recoveries } = this.#service
    if (!this.#ticket.open) return
    if (!recoveries.has || !this.#recoverable()) return this.#hurry()
    recoveries.take()
    this.#recover()
  }

  /** A second request, which is also its proof. */
  #hurry(): void {
    const { hedges } = this.#service
    if (this.#hedge || !hedges.has || this.#left < 1 || !this.#calls.some(({ state }) => state === 'running')) return
    hedges.take()
    this.#ask(1, 'urgent', true)
  }

  due(ticket: Ticket): void {
    if (ticket.choices.policy === 'retry') this.#due(ticket)
    else this.#whenSeen(() => this.#due(ticket))
  }

  #due(ticket: Ticket): void {
    const { policy, deliver, atDeadline } = ticket.choices
    const first = this.#answers()[0]
    const recovery = policy !== 'retry' && !this.#isContradicted() ? this.#seen : undefined
    if (recovery && (atDeadline === 'give' || this.#recoverable())) this.#recover()
    else if (first && deliver === 'deadline') this.#answer(first, 'unverified', undefined)
    else this.#expire(recovery)
    this.#settled()
  }

  left(): void {
    this.#settled()
  }

  /** The predictor is closed. */
  end(error: ApproxiferError): void {
    this.#ended = true
    this.#ticket.fail(error)
    this.#settled()
  }

  reconsider(convicted?: string): void {
    const excess = -this.#left // rows that wait for a worker which gets none any more
    if (excess > 0) this.#cancel(this.#calls.filter(({ state }) => state === 'waiting').slice(-excess))
    const isItsAnswer = ({ worker }: Call) => worker && identityOf(worker) === convicted
    if (this.#ticket.open && (excess > 0 || this.#calls.some(isItsAnswer))) this.#judge()
    this.#finish()
  }

  // What the pool asks and tells.

  avoids(call: Call, worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    return [...this.#calls, ...this.#probation].some((other) => other !== call && other.asked === identity)
  }

  sent(call: Call): void {
    const worker = call.worker as ModelWorker
    if (call === this.#hedge) this.#service.hedged.sent += Number(!call.alone) // that was sent before
    this.#lookAgain()
    if (call !== this.#calls[0] || this.#audited || !this.#verification.suspects(worker)) return
    this.#audited = this.#verification.audits(worker)
    if (!this.#audited) return
    this.#demand('query')
  }

  back(call: Call): void {
    if (!this.#ticket.open) this.#cancel([call])
    this.#finish()
  }

  spare(call: Call): void {
    if (call === this.#hedge || this.#hedge?.state !== 'waiting') return
    this.#cancel([this.#hedge])
  }

  heard(call: Call): void {
    const { row, answer, error, ms, worker } = call
    const { pool, lateness, clock } = this.#service
    const onTime = this.#ticket.open && !this.#probation.includes(call)
    const outcome = answer ? (onTime ? 'onTime' : 'late') : call.failure
    const ended = call.isLetGo && error?.code === 'ABORTED'
    if (!ended) pool.count(worker, outcome)
    if (worker && !answer && !ended) this.#verification.silent(worker)
    this.#rows.push({ row: row.index, worker: worker?.name ?? '', outcome, suspected: false, ms, error })
    this.#open--
    if (answer) this.#heard.push(call)
    if (answer && call === this.#calls[0] && call.comparable)
      lateness.see(clock.now() - this.#ticket.since - (1 - 1 / call.factor) * ms) // as in a run of its own
    this.#judge()
    this.#finish()
  }

  // What becomes of it.

  /** Answers of workers that are believed. */
  #answers(): Call[] {
    const isBelieved = ({ worker }: Call) => this.#verification.isTrusted(worker as ModelWorker)
    return this.#heard.filter((call) => this.#calls.includes(call) && isBelieved(call))
  }

  #judge(): void {
    if (this.#proven) return this.#compare()
    const told = this.#answers()
    const { liars } = this.#verification
    const { open, choices } = this.#ticket
    const answers = told.map(({ answer }) => answer as Float32Array)
    const { agreeing, proven, lies } = ruling(answers, liars, this.#verification.equality)
    const at = (positions: readonly number[]) => positions.map((i) => told[i])
    if (proven) return this.#prove(at(agreeing), at(lies))
    if (open && told.length && choices.deliver === 'early') return this.#answer(told[0], 'unverified', undefined)
    if (open && told.length === 1 && !this.#audited) {
      if (this.#unseen?.length) return void this.#unseen.push(() => this.#judge())
      if (this.#isSure() && this.#check(told[0])) return
    }
    const isDisputed = agreeing.length < told.length
    if (open || isDisputed) this.#demand(open ? 'urgent' : 'extra', agreeing.length)
  }

  /** E + 1 agree. */
  #prove(agreeing: readonly Call[], lies: readonly Call[]): void {
    const { learning } = this.#service
    const [first] = agreeing
    const own = first.answer as Float32Array
    this.#proven = own
    for (const { worker } of agreeing) this.#verification.proven(worker as ModelWorker, own)
    this.#heard = this.#heard.filter((call) => !agreeing.includes(call) && !lies.includes(call))
    this.#answer(first, 'exact', 1)
    if (this.#recovery && this.#seen) {
      this.#recovery.agreed = learning?.experience.confidence.grade({ ...this.#seen.recollection, missing: 1 }, own)
    }
    const taught = learning?.remember(this.#ticket.row, own)
    // What a sure look got wrong must be told, also where there is no time to remember: what it got right is told every time.
    if (!taught && this.#seen) learning?.experience.confidence.rehearse({ ...this.#seen.recollection, missing: 1 }, own)
    for (const call of lies) this.#lied(call)
    this.#compare()
    this.#settled()
  }

  /** Those who answer when it is proven already. */
  #compare(): void {
    const { equality } = this.#verification
    const own = this.#proven as Float32Array
    const heard = this.#heard
    this.#heard = []
    for (const call of heard) {
      const answer = call.answer as Float32Array
      if (agree(answer, own, equality)) this.#verification.proven(call.worker as ModelWorker, own)
      else if (isLie(answer, own, equality)) this.#lied(call)
    }
  }

  #lied({ worker, row }: Call): void {
    const report = this.#rows.find((each) => each.row === row.index)
    if (report) report.suspected = true
    this.#verification.lied(worker as ModelWorker)
  }

  /** Whether a sure memory shares the answer's label: it is then given. */
  #check(call: Call): boolean {
    const { evidence } = this.#verification
    const { learning } = this.#service
    const { recollection, confidence } = this.#seen as Seen
    const answer = call.answer as Float32Array
    const passed = learning?.experience.confidence.agrees(recollection.answer, answer) === true
    const distance = evidence.deviation ? rmsDifference(recollection.answer, answer) / (recollection.error || 1e-9) : 1
    this.#verification.checked(call.worker as ModelWorker, passed, distance)
    if (!passed) return false
    learning?.experience.confidence.rehearse({ ...recollection, missing: 1 }, answer, (call.worker as ModelWorker).name)
    this.#answer(call, 'checked', confidence)
    this.#settled()
    return true
  }

  /** As many further workers as it takes, were all to agree with those that do. */
  #demand(kind: Call['kind'], agreeing = this.#answers().length): void {
    const { codec } = this.#service
    const { liars } = this.#verification
    if (this.#ended) return
    const most = Math.max(MOST_KILLED, codec.scheme.stragglers + liars + 1) // as many may be the liars' doing
    this.#disputed = agreeing < this.#answers().length
    const live = this.#calls.filter(({ isLive }) => isLive)
    const silent = this.#disputed ? live.filter((call) => this.#silentIn(call) <= 0).length : 0
    const missing = liars + 1 - agreeing - live.length + Math.min(silent, most) // more: all are slow, and asking makes it worse
    const isDeadly = this.#calls.filter((call) => call.killed).length >= most
    if (missing > 0 && !isDeadly) {
      if (missing > this.#left && mayForgive(this.#calls)) forgive(this.#calls) // nobody else is left
      this.#ask(Math.min(missing, this.#left), kind)
    }
    if (!this.#calls.some(({ isLive }) => isLive)) {
      this.#ticket.fail(this.#unanswered())
      this.#settled()
    }
    this.#lookAgain()
  }

  /** Milliseconds until its worker has been at it for so long that whoever settles a dispute should not wait for it: it may hang. */
  #silentIn({ state, sentAt, factor }: Call): number {
    const { clock, lateness } = this.#service
    if (state !== 'running' || lateness.lateMs === undefined) return Number.POSITIVE_INFINITY
    return sentAt + factor * lateness.lateMs - clock.now() // NaN while it is behind another
  }

  /** Who hangs tells of nothing: a dispute that waits is looked at again when the next of its rows should have had an answer. */
  #lookAgain(): void {
    if (!this.#disputed || !this.#ticket.open || this.#looksAgain) return
    const ms = Math.min(...this.#calls.map((call) => this.#silentIn(call)).filter((left) => left > 0))
    if (ms === Number.POSITIVE_INFINITY) return
    this.#looksAgain = true
    const look = () => {
      this.#looksAgain = false
      this.#judge()
      this.#finish()
    }
    this.#service.clock.after(Math.ceil(ms), look, true)
  }

  /** Workers that may be asked yet, beside those that rows are waiting for. */
  get #left(): number {
    return this.#service.pool.candidates([...this.#calls, ...this.#probation])
  }

  #ask(count: number, kind: Call['kind'], hedge = false): void {
    const { pool } = this.#service
    for (let i = 0; i < count; i++) {
      const call = new Call(this, this.#row(), kind)
      call.dueAt = this.#ticket.dueAt
      if (hedge) this.#hedge = call // before it is put: it may be sent at once
      this.#calls.push(call)
      this.#open++
      pool.put(call)
    }
    if (this.#calls.length > 1) this.#test()
  }

  /** Where it is to be proven anyway, a worker in quarantine can show whether it answers well again. */
  #test(): void {
    if (this.#probation.length) return
    const call = new Call(this, this.#row(), 'extra')
    if (!this.#service.pool.tryOn(call)) return
    this.#probation.push(call)
    this.#open++
  }

  #row(): Pick<CodedRow, 'data' | 'query' | 'index'> {
    return { data: this.#ticket.row, query: 0, index: this.#calls.length + this.#probation.length }
  }

  #isSure(): boolean {
    const { integrity } = this.#verification
    return integrity < 1 && (this.#seen?.confidence ?? 0) >= integrity
  }

  /** Whether what is remembered may be given to a query that is late. */
  #recoverable(): boolean {
    const { policy, minConfidence } = this.#ticket.choices
    return this.#seen !== undefined && isSure(policy, minConfidence, this.#seen.confidence) && !this.#isContradicted()
  }

  /** Whether a worker answered otherwise than the memory would: nearly all wrong labels of honest pools were recoveries of that kind. */
  #isContradicted(): boolean {
    const { learning } = this.#service
    const own = this.#seen?.recollection.answer
    if (!own || !learning) return false
    const { confidence } = learning.experience
    return this.#answers().some(({ answer }) => confidence.agrees(own, answer as Float32Array) === false)
  }

  #recover(): void {
    const { clock } = this.#service
    const { recollection, confidence } = this.#seen as Seen
    const { answer, ...rest } = recollection
    this.#recovery = { ...rest, missing: 1, query: 0, confidence, given: true }
    const sentAt = this.#calls[0].sentAt || clock.now()
    const times = { waitedMs: sentAt - this.#ticket.since, ranMs: clock.now() - sentAt }
    this.#ticket.answer(
      answer,
      { status: 'recovered', confidence, ...times, hedged: this.#isHedged, workers: [] },
      this.report,
    )
    this.#settled()
  }

  #answer(call: Call, status: Status, confidence: number | undefined): void {
    const { answer, worker, sentAt, ms } = call
    if (call === this.#hedge && this.#ticket.open) this.#service.hedged.won++
    const given = {
      status,
      confidence,
      waitedMs: sentAt - this.#ticket.since,
      ranMs: ms,
      hedged: this.#isHedged,
      workers: [(worker as ModelWorker).name],
    }
    this.#ticket.answer(answer as Float32Array, given, this.report)
  }

  get #isHedged(): boolean {
    return this.#hedge?.worker !== undefined
  }

  /** Nobody waits any more: rows that no worker has are taken back. What runs is still compared. */
  #settled(): void {
    this.#decidedAt ||= this.#service.clock.now()
    if (this.#ticket.open) return
    this.#cancel(this.#calls.filter(({ state }) => state === 'waiting'))
    this.#finish()
  }

  #cancel(calls: readonly Call[]): void {
    for (const call of calls) {
      if (call.state === 'waiting') this.#open--
      this.#service.pool.cancel(call)
    }
  }

  /** The deadline has come. */
  #expire(seen: Seen | undefined): void {
    const error = this.#unanswered()
    if (error.code !== 'DEADLINE') return this.#ticket.fail(error)
    this.#ticket.expire(error.message, seen && { answer: seen.recollection.answer, confidence: seen.confidence })
  }

  #unanswered(): ApproxiferError {
    const { clock, pool } = this.#service
    const { liars } = this.#verification
    const isUnderway = this.#calls.some(({ isLive }) => isLive)
    if (!isUnderway && !pool.usable) return new ApproxiferError('WORKER', pool.nobody)
    const ms = Math.round(clock.now() - this.#ticket.since)
    const answers = this.#answers().length
    const errors = this.#rows.flatMap(({ error }) => (error ? [error.message] : []))
    const why = errors.length ? `; ${errors.slice(0, 3).join('; ')}` : ''
    const code = isUnderway ? 'DEADLINE' : 'QUORUM'
    return new ApproxiferError(
      code,
      `answers: expected ${liars + 1} workers to agree, got ${answers} answers in ${ms} ms${why}`,
    )
  }

  #finish(): void {
    if (this.#open || this.#ticket.open || this.#reported) return
    const { codec, rule } = this.#service
    this.#service.done(this)
    this.#reported = {
      queries: 1,
      workers: this.#calls.length,
      quorum: this.#verification.liars + 1,
      core: codec.core.kind,
      rule,
      outcome: outcomeOf([this.#ticket.ending as Ending]),
      rows: this.#rows,
      recoveries: this.#recovery ? [this.#recovery] : [],
      survivors: [],
      encodeMs: 0,
      waitMs: this.#decidedAt - this.#ticket.since,
      decodeMs: 0,
    }
    this.#complete?.(this.#reported)
  }
}
