/** One group on its way: encoded, sent, gathered, decoded, and still watched until the last answer or `hangMs`. */

import type { Codec, CodedRow, Group, Recovery } from '../codec/codec'
import { ApproxiferError, asError } from '../errors'
import type { Recollection } from '../history/memory'
import { type Policy, type Recovered, recoveriesOf } from '../history/worth'
import { allFinite } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import { Call, type Outcome } from './gather'
import type { Learned } from './learned'
import type { Roster } from './roster'

/** `fastest`: decode at the quorum. `deadline`: wait for all, at most until the deadline. */
export type Rule = 'fastest' | 'deadline'

/** `unverified`: the answer of one worker, handed out before anybody looked whether it lies. */
export type Status = 'exact' | 'recovered' | 'unverified'

/** When queries get answers that are not proven, with byzantine > 0: after liars were located, or at once. */
export type Deliver = 'located' | 'early'

export interface RunOptions {
  rule: Rule
  hangMs: number
  /** What was learned from earlier groups; only where answers can be believed. */
  past: Learned | undefined
}

/** A query that waits for its answer. */
export interface Ticket {
  readonly row: Float32Array
  readonly policy: Policy
  /** Of `auto`. */
  readonly minConfidence: number
  readonly deliver: Deliver
  /** Still unanswered. */
  readonly open: boolean
  /** The query itself on its way to a worker, where the code allows that before the group is closed. */
  readonly call?: Call
  answer(answer: Float32Array, status: Status, confidence?: number): void
  fail(error: ApproxiferError): void
}

/** What happened to one row of a group. */
export interface RowReport {
  /** 0 .. N-1 as encoded; retries count on from N. */
  row: number
  /** Empty where no worker had room for the row before the group was decided. */
  worker: string
  outcome: 'onTime' | 'late' | 'failed' | 'rejected'
  /** Dropped by the locator. */
  suspected: boolean
  /** From sending to the outcome. */
  ms: number
  /** Why it failed or was rejected. */
  error?: ApproxiferError
}

/** An answer that was recovered, and what became known of it. */
export interface RecoveryReport extends Omit<Recovered, 'answer'> {
  query: number
  /** The probability that the model's own label is the same; undefined until enough late answers taught it. */
  confidence?: number
  /** Whether the caller got it, rather than the model's own answer from a retry. */
  given: boolean
  /** Whether the model's own answer, which came later, has the same label. */
  agreed?: boolean
}

/** What happened to a group. Complete when its last row has an outcome. */
export interface GroupReport {
  queries: number
  workers: number
  quorum: number
  core: 'wasm' | 'js'
  rule: Rule
  /** `decoded`, or the code of the error its callers got. */
  outcome: string
  rows: RowReport[]
  recoveries: RecoveryReport[]
  /** Rows that the answers were decoded from. */
  survivors: number[]
  encodeMs: number
  /** From sending to the decision to decode. */
  waitMs: number
  /** Locating and decoding. */
  decodeMs: number
}

export class GroupRun {
  readonly report: Promise<GroupReport>
  readonly #codec: Codec
  readonly #roster: Roster
  readonly #rule: Rule
  readonly #past: Learned | undefined
  readonly #tickets: readonly Ticket[]
  readonly #group: Group
  readonly #calls = new Map<CodedRow, Call>()
  /** Rows whose outcome was not recorded yet. */
  readonly #pending = new Set<CodedRow>()
  /** Rows that no worker had room for yet. They are sent as workers get free, while the group is undecided. */
  #unsent: CodedRow[]
  /** Rows that ask for a query again. */
  readonly #repeats = new Set<CodedRow>()
  /** Those of them that wait for a worker. */
  #retries: CodedRow[] = []
  readonly #taken = new Set<ModelWorker>()
  readonly #hangMs: number
  readonly #outcomes: RowReport[] = []
  /** By query, the surest recovery and all that were made. */
  readonly #recoveries = new Map<
    number,
    { report: RecoveryReport; answer: Float32Array; all: readonly Recovered[]; graded: boolean }
  >()
  /** What the memory said of queries before any of them was lost. */
  readonly #foreseen = new Map<number, Recollection>()
  readonly #suspects = new Set<number>()
  readonly #times = { encodeMs: 0, waitMs: 0, decodeMs: 0 }
  readonly #sentAt: number
  /** Fires when answers that are still missing are late. */
  #unexpect = () => {}
  #answers = 0
  #outcome = ''
  #finished = false
  #survivors: number[] = []
  /** Why there is no recovery for who needs one. */
  #failure: ApproxiferError | undefined
  #complete: (report: GroupReport) => void = () => {}

  /** Encodes and sends what is not on its way yet. */
  constructor(codec: Codec, roster: Roster, tickets: readonly Ticket[], { rule, hangMs, past }: RunOptions) {
    this.#codec = codec
    this.#past = past
    this.#hangMs = hangMs
    this.#roster = roster
    this.#tickets = tickets
    this.#rule = rule
    this.report = new Promise((resolve) => {
      this.#complete = resolve
    })
    const start = this.#roster.clock.now()
    this.#group = codec.open()
    for (const ticket of tickets) this.#group.join(ticket.row)
    const early = this.#group.ready
    early.forEach((row, i) => {
      const call = tickets[i].call
      if (call?.outcome) this.#record(row, call)
    })
    const rows = this.#group.close(this.#leastSure())
    this.#sentAt = this.#roster.clock.now()
    this.#times.encodeMs = this.#sentAt - start
    early.forEach((row, i) => {
      const call = tickets[i].call
      if (call) this.#taken.add(call.worker)
      if (call && !call.outcome) this.#watch(row, call)
    })
    this.#unsent = [...early.filter((_, i) => !tickets[i].call), ...rows]
    this.#send(roster.assign(this.#unsent, codec.scheme.byzantine, this.#taken))
    this.#expect()
    if (!this.#pending.size) queueMicrotask(() => this.#after())
  }

  /** Without parities there is no quorum to miss: only the time says that an answer is late, and the memory may have it. */
  #expect(): void {
    const { stragglers } = this.#group.scheme
    const lateMs = this.#past?.lateness.lateMs
    if (stragglers || this.#codec.code !== 'systematic' || lateMs === undefined || !this.#past?.remembers) return
    const overdue = () => {
      for (const query of this.#group.missing()) {
        const { open, policy, minConfidence } = this.#tickets[query]
        if (!open || policy === 'retry') continue
        this.#recover(query, [])
        const confidence = this.#recoveries.get(query)?.report.confidence ?? 0
        const sure = policy === 'recover' || confidence >= minConfidence
        if (sure && this.#past?.lateness.allow()) this.#give(query)
      }
    }
    this.#unexpect = this.#roster.clock.after(Math.ceil(lateMs) + 1, overdue) // a timer may fire up to a millisecond early
  }

  /** The queries that the memory knows least of: copies of these are worth more than parities. */
  #leastSure(): number[] | undefined {
    const { queries, workers } = this.#codec.schemeFor(this.#tickets.length)
    const missing = this.#group.missing()
    if (!this.#honest || this.#codec.code !== 'systematic' || missing.length <= workers - queries) return undefined
    const rows = missing.map((query) => this.#tickets[query].row)
    const foreseen = this.#past?.foresee(rows, this.#roster.medianMs())
    foreseen?.forEach((recollection, i) => this.#foreseen.set(missing[i], recollection))
    return foreseen && this.#past?.worth.leastSure(foreseen, workers - queries)?.map((at) => missing[at])
  }

  /** Sends rows that wait for a worker; to be called when one may have got free. */
  fill(): void {
    for (const row of this.#retries.splice(0)) this.#retry(row.query as number, row)
    while (!this.#outcome && this.#unsent.length) {
      const worker = this.#roster.fastest(this.#taken)
      if (!worker) return
      this.#send([{ row: this.#unsent[0], worker }])
    }
  }

  /** A ticket's deadline has come: it gets what can be had now, or an error. */
  due(ticket: Ticket): void {
    const query = this.#tickets.indexOf(ticket)
    if (this.#outcome) this.#settle(query, true)
    else if (this.#answers >= this.#group.scheme.quorum) this.#decode({ due: query })
    else {
      this.#recover(query, [])
      this.#settle(query, true)
      this.#giveUp('QUORUM')
    }
    this.#after()
  }

  /** A ticket was aborted. When no caller is left, the calls that still wait at workers are aborted too. */
  abandoned(): void {
    if (this.#giveUp('ABORTED')) this.#abort()
  }

  /** Fails what is open and forgets the rest. */
  close(error: ApproxiferError): void {
    this.#fail(error)
    this.#abort()
    this.#after()
  }

  /** When no caller is left there is nothing to decide any more. */
  #giveUp(outcome: string): boolean {
    if (this.#tickets.some((ticket) => ticket.open)) return false
    this.#outcome ||= outcome
    this.#after()
    return true
  }

  #abort(): void {
    for (const call of this.#calls.values()) call.abort()
  }

  #send(assigned: readonly { row: CodedRow; worker: ModelWorker }[]): void {
    const sent = new Set(assigned.map(({ row }) => row))
    this.#unsent = this.#unsent.filter((row) => !sent.has(row))
    for (const { row, worker } of assigned) {
      this.#taken.add(worker)
      this.#watch(row, new Call(worker, row.data, this.#hangMs, this.#roster))
    }
  }

  #watch(row: CodedRow, call: Call): void {
    this.#pending.add(row)
    this.#calls.set(row, call)
    void call.done.then(() => {
      this.#pending.delete(row)
      this.#record(row, call)
      this.#after()
    })
  }

  /** Counts an outcome, feeds the group, and gives the model's own answers to who waits for them. */
  #record(row: CodedRow, call: Call): void {
    this.#calls.set(row, call)
    const { answer, error, ms } = call.outcome as Outcome
    const { worker } = call
    const late = this.#outcome && !this.#repeats.has(row)
    const outcome = answer ? (late ? 'late' : 'onTime') : error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
    this.#outcomes.push({ row: row.index, worker: worker.name, outcome, suspected: false, ms, error })
    if (!call.aborted) this.#roster.count(worker, outcome, ms)
    if (answer) {
      this.#group.add(row, answer)
      if (!this.#outcome && !this.#repeats.has(row)) this.#answers++
      if (row.query !== undefined) this.#own(row.query, row.data, answer)
    } else if (row.query !== undefined && this.#outcome) this.#settle(row.query)
  }

  /** The model's own answer to a query has come, in time or late. */
  #own(query: number, row: Float32Array, answer: Float32Array): void {
    const ticket = this.#tickets[query]
    if (!this.#honest) {
      if (ticket.deliver === 'early' && !this.#outcome) ticket.answer(answer, 'unverified')
      return
    }
    ticket.answer(answer, 'exact')
    this.#grade(query, answer)
    this.#past?.remember(row, answer)
  }

  /** Tells what recovered answers are worth, by the model's own that came late. */
  #grade(query: number, answer: Float32Array): void {
    const recovery = this.#recoveries.get(query)
    if (!this.#past || !recovery || recovery.graded) return
    recovery.graded = true
    for (const each of recovery.all) {
      const agreed = this.#past.worth.grade(each, answer)
      if (each.answer === recovery.answer) recovery.report.agreed = agreed
    }
    const recoveries = [...this.#recoveries.values()]
    const decoded = ({ source }: Recovered) => source === 'code'
    if (recoveries.every(({ graded, all }) => graded && all.some(decoded))) this.#past.later(this.#rehearse())
  }

  /** Other queries of the group, too, tell what their recoveries would have been worth. */
  *#rehearse(): Generator<void> {
    for (const others of this.#group.rehearse([...this.#recoveries.keys()], this.#survivors)) {
      for (const other of others) this.#past?.worth.rehearse(other, this.#group.exact(other.query) as Float32Array)
      yield
    }
  }

  /** Whether nobody is expected to lie: an answer to a query itself then goes to its caller at once. */
  get #honest(): boolean {
    return this.#codec.scheme.byzantine === 0
  }

  #after(): void {
    if (!this.#outcome) this.#decide()
    this.#retries = this.#retries.filter((row) => this.#tickets[row.query as number].open)
    if (this.#outcome && !this.#pending.size && !this.#retries.length) this.#finish()
  }

  #decide(): void {
    const { quorum, workers, stragglers } = this.#group.scheme
    const own = (rows: Iterable<CodedRow>) => [...rows].filter((row) => !this.#repeats.has(row)).length
    const sent = own(this.#calls.keys())
    const outstanding = own(this.#pending) + this.#unsent.length
    const needed = Math.max(0, quorum - (workers - sent - this.#unsent.length)) // parities nobody needs
    const enough = this.#answers >= needed && (this.#rule === 'fastest' || !outstanding)
    const complete = this.#honest && !this.#group.missing().length
    if (enough || complete) this.#decode({})
    else if (this.#answers + outstanding >= needed) return
    // More are lost than the code can recover. Own answers are waited for, as long as a code would wait.
    else if (this.#honest && this.#codec.code === 'systematic' && outstanding > stragglers) this.#rescue()
    else this.#decode({ hopeless: true })
  }

  /** Queries that are lost for certain need not wait for the others of their group. */
  #rescue(): void {
    const coming = new Set(this.#unsent.map((row) => row.query))
    for (const [row, call] of this.#calls) if (this.#pending.has(row) || call.outcome?.answer) coming.add(row.query)
    this.#tickets.forEach((ticket, query) => {
      if (coming.has(query) || !ticket.open) return
      this.#recover(query, [])
      this.#settle(query)
    })
  }

  /**
   * Gives every query its answer, or what its policy says.
   *
   * @param due       a query whose deadline has come
   * @param hopeless  the quorum was missed: the code cannot help, the memory may
   */
  #decode({ due, hopeless = false }: { due?: number; hopeless?: boolean }): void {
    this.#outcome = 'decoded'
    const start = this.#roster.clock.now()
    this.#times.waitMs = start - this.#sentAt
    try {
      for (const { row } of this.#group.locate()) {
        this.#suspects.add(row.index)
        this.#roster.suspected((this.#calls.get(row as CodedRow) as Call).worker)
      }
      this.#survivors = this.#group.survivors
      // Who wants nothing but an exact answer needs no recovery.
      const wanted = this.#group.missing().filter((query) => this.#tickets[query].policy !== 'retry')
      const decoded = hopeless || !wanted.length ? [] : this.#decoded()
      for (const query of wanted) {
        this.#recover(query, decoded.filter((each) => each.query === query)) // biome-ignore format: one line
      }
      if (hopeless && !this.#recoveries.size) throw this.#lacking()
      if (this.#failure && !this.#recoveries.size) throw this.#failure
      this.#times.decodeMs = this.#roster.clock.now() - start
    } catch (error) {
      this.#failure = asError(error, 'QUORUM')
      this.#outcome = this.#failure.code
    }
    this.#tickets.forEach((ticket, query) => {
      const own = this.#outcome === 'decoded' ? this.#group.exact(query) : undefined
      if (own) ticket.answer(own, 'exact')
      else this.#settle(query, query === due)
    })
    const fromCode = [...this.#recoveries.values()].some(({ all }) => all.some(({ source }) => source === 'code'))
    if (fromCode) this.#past?.later(this.#group.lessons(this.#past.criterion))
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

  /** Recovers a query from what was decoded and from the memory, and keeps the surer answer. */
  #recover(query: number, decoded: readonly Recovered[]): void {
    if (this.#recoveries.has(query)) return
    const remembered = this.#foreseen.get(query) ?? this.#past?.recall(this.#tickets[query].row)
    const about = { mixed: this.#group.mixes(query), missing: this.#group.missing().length }
    const all = recoveriesOf(decoded, remembered, about).filter(({ answer }) => allFinite(answer))
    if (!all.length) {
      if (decoded.length) this.#failure = new ApproxiferError('PROTOCOL', 'the recovered answer is not finite')
      return
    }
    const { recovery, confidence } = this.#past?.worth.surest(all) ?? { recovery: all[0], confidence: undefined }
    const { answer, ...rest } = recovery
    this.#recoveries.set(query, { report: { ...rest, query, confidence, given: false }, answer, all, graded: false })
  }

  /** Gives a query without an answer of its own what its policy says: its recovery, a retry, or an error. */
  #settle(query: number, due = false): void {
    const ticket = this.#tickets[query]
    if (!ticket.open) return
    const { policy, minConfidence } = ticket
    const recovery = this.#recoveries.get(query)
    const enough =
      policy === 'recover' || (policy === 'auto' && (due || (recovery?.report.confidence ?? 0) >= minConfidence))
    if (recovery && enough) this.#give(query)
    else if (policy === 'recover') ticket.fail(this.#failure ?? this.#lacking())
    else if (due) ticket.fail(this.#failure ?? this.#late(query))
    else if (!this.#asking(query)) this.#retry(query)
  }

  #late(query: number): ApproxiferError {
    const waits = this.#retries.some((row) => row.query === query)
    return new ApproxiferError('DEADLINE', waits ? 'no worker was free for the retry' : 'the retry has no answer yet')
  }

  #give(query: number): void {
    const recovery = this.#recoveries.get(query)
    if (!recovery) return
    recovery.report.given = true
    this.#tickets[query].answer(recovery.answer, 'recovered', recovery.report.confidence)
  }

  /** Whether a retry of the query is under way. */
  #asking(query: number): boolean {
    const waits = [...this.#retries, ...this.#pending]
    return waits.some((row) => row.query === query && this.#repeats.has(row))
  }

  /** Asks for a query again: another worker, as soon as one is free; when all were asked, what there is must do. */
  #retry(query: number, row?: CodedRow): void {
    const ticket = this.#tickets[query]
    if (!ticket.open) return
    const asked = [...this.#calls].filter(([each]) => each.query === query)
    const workers = new Set(asked.map(([, call]) => call.worker))
    const worker = this.#roster.fastest(workers)
    if (worker || workers.size < this.#roster.workers.length) {
      const again = row ?? this.#group.repeat(query)
      this.#repeats.add(again)
      if (worker) this.#watch(again, new Call(worker, again.data, this.#hangMs, this.#roster))
      else this.#retries.push(again)
      return
    }
    if (ticket.policy === 'auto' && this.#recoveries.has(query)) this.#give(query)
    else if (!asked.some(([each]) => this.#pending.has(each))) {
      ticket.fail(this.#failure ?? new ApproxiferError('WORKER', `all ${workers.size} workers failed on the query`))
    }
  }

  #fail(error: ApproxiferError): void {
    this.#outcome ||= error.code
    this.#retries = []
    for (const ticket of this.#tickets) if (ticket.open) ticket.fail(error)
  }

  #lacking(): ApproxiferError {
    const { quorum, workers } = this.#group.scheme
    const lost = this.#outcomes.flatMap(({ error }) => (error ? [error.message] : []))
    const why = lost.length ? `; ${lost.join('; ')}` : ''
    const text = `results: expected >= ${quorum} of ${workers}, got ${this.#answers}, ${this.#pending.size + this.#unsent.length} outstanding${why}`
    return new ApproxiferError('QUORUM', text)
  }

  #finish(): void {
    const { workers, quorum } = this.#group.scheme
    if (this.#finished) return
    this.#finished = true
    this.#unexpect()
    for (const { index: row } of this.#unsent.splice(0)) {
      const error = new ApproxiferError('OVERLOADED', 'no worker had room for the row')
      this.#outcomes.push({ row, worker: '', outcome: 'failed', suspected: false, ms: 0, error })
    }
    for (const row of this.#outcomes) row.suspected = this.#suspects.has(row.row)
    this.#complete({
      queries: this.#tickets.length,
      workers,
      quorum,
      core: this.#codec.core.kind,
      rule: this.#rule,
      outcome: this.#outcome,
      rows: this.#outcomes.sort((a, b) => a.row - b.row),
      recoveries: [...this.#recoveries.values()].map(({ report }) => report),
      survivors: this.#survivors,
      ...this.#times,
    })
  }
}
