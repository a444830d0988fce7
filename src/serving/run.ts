/** One group on its way: encoded, sent, gathered, decoded, and still watched until the last answer or `hangMs`. */

import type { Codec, CodedRow, Group } from '../codec/codec'
import { ApproxiferError, asError } from '../errors'
import type { ModelWorker } from '../workers/worker'
import { gather, type RowEvent } from './gather'
import type { Roster } from './roster'

/** `fastest`: decode at the quorum. `deadline`: wait for all, at most until the deadline. */
export type Rule = 'fastest' | 'deadline'

export type Status = 'exact' | 'recovered'

/** A query that waits for its answer. */
export interface Ticket {
  readonly row: Float32Array
  /** Still unanswered. */
  readonly open: boolean
  answer(answer: Float32Array, status: Status, report: Promise<GroupReport>): void
  fail(error: ApproxiferError): void
}

/** What happened to one row of a group. */
export interface RowReport {
  row: number
  worker: string
  outcome: 'onTime' | 'late' | 'failed' | 'rejected'
  /** Dropped by the locator. */
  suspected: boolean
  /** From sending to the outcome. */
  ms: number
  /** Why it failed or was rejected. */
  error?: ApproxiferError
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
  readonly #tickets: readonly Ticket[]
  readonly #group: Group
  readonly #abort = new AbortController()
  readonly #outcomes: RowReport[] = []
  readonly #workers = new Map<CodedRow, ModelWorker>()
  #pending = 0
  #answers = 0
  #sentAt = 0
  #outcome = ''
  #survivors: number[] = []
  #suspects = new Set<number>()
  #times = { encodeMs: 0, waitMs: 0, decodeMs: 0 }
  #complete: (report: GroupReport) => void = () => {}

  /** Encodes and sends at once. */
  constructor(codec: Codec, roster: Roster, tickets: readonly Ticket[], rule: Rule, hangMs: number) {
    this.#codec = codec
    this.#roster = roster
    this.#tickets = tickets
    this.#rule = rule
    this.report = new Promise((resolve) => {
      this.#complete = resolve
    })
    const start = performance.now()
    this.#group = codec.open()
    for (const ticket of tickets) this.#group.join(ticket.row)
    const rows = [...this.#group.ready, ...this.#group.close()]
    this.#sentAt = performance.now()
    this.#times.encodeMs = this.#sentAt - start
    const assigned = roster.assign(rows, codec.scheme.byzantine)
    for (const { row, worker } of assigned) {
      this.#workers.set(row, worker)
      roster.sent(worker)
    }
    this.#pending = assigned.length
    gather(assigned, { hangMs, signal: this.#abort.signal }, (event) => this.#on(event))
  }

  /** A ticket's deadline has come: decode with what is here, or fail that ticket alone. */
  due(ticket: Ticket): void {
    if (this.#outcome) return
    if (this.#answers >= this.#group.scheme.quorum) this.#decode()
    else ticket.fail(this.#lacking())
  }

  /** A ticket was aborted. When no caller is left, the calls that still wait at workers are aborted too. */
  abandoned(): void {
    if (!this.#tickets.some((ticket) => ticket.open)) this.#abort.abort()
  }

  /** Fails what is open and forgets the rest. */
  close(error: ApproxiferError): void {
    this.#fail(error)
    this.#abort.abort()
  }

  #on(event: RowEvent): void {
    this.#pending--
    const { row, worker, ms, error } = event
    const outcome = !error ? (this.#outcome ? 'late' : 'onTime') : error.code === 'PROTOCOL' ? 'rejected' : 'failed'
    this.#outcomes.push({ row: row.index, worker: worker.name, outcome, suspected: false, ms, error })
    const ours = error?.code === 'ABORTED' || error?.code === 'CLOSED'
    this.#roster.settled(worker, ours ? undefined : outcome, ms)
    if (outcome === 'onTime') {
      this.#group.add(row, event.answer as Float32Array)
      this.#answers++
    }
    if (!this.#outcome) this.#decide()
    if (!this.#pending) this.#finish()
  }

  #decide(): void {
    const { quorum } = this.#group.scheme
    if (this.#answers + this.#pending < quorum) this.#fail(this.#lacking())
    else if (this.#answers >= quorum && (this.#rule === 'fastest' || !this.#pending)) this.#decode()
  }

  #decode(): void {
    this.#outcome = 'decoded'
    const start = performance.now()
    this.#times.waitMs = start - this.#sentAt
    try {
      for (const { row } of this.#group.locate()) {
        this.#suspects.add(row.index)
        this.#roster.suspected(this.#workers.get(row) as ModelWorker)
      }
      this.#survivors = this.#group.survivors
      const recovered = new Map(this.#group.recover().map(({ query, answer }) => [query, answer]))
      this.#times.decodeMs = performance.now() - start
      this.#tickets.forEach((ticket, query) => {
        const exact = this.#group.exact(query)
        ticket.answer((exact ?? recovered.get(query)) as Float32Array, exact ? 'exact' : 'recovered', this.report)
      })
    } catch (error) {
      const failure = asError(error, 'QUORUM')
      this.#outcome = failure.code
      this.#fail(failure)
    }
  }

  #fail(error: ApproxiferError): void {
    this.#outcome ||= error.code
    for (const ticket of this.#tickets) if (ticket.open) ticket.fail(error)
  }

  #lacking(): ApproxiferError {
    const { quorum, workers } = this.#group.scheme
    const lost = this.#outcomes.flatMap(({ error }) => (error ? [error.message] : []))
    const why = lost.length ? `; ${lost.join('; ')}` : ''
    const text = `results: expected >= ${quorum} of ${workers}, got ${this.#answers}, ${this.#pending} outstanding${why}`
    return new ApproxiferError('QUORUM', text)
  }

  #finish(): void {
    const { workers, quorum } = this.#group.scheme
    for (const row of this.#outcomes) row.suspected = this.#suspects.has(row.row)
    this.#complete({
      queries: this.#tickets.length,
      workers,
      quorum,
      core: this.#codec.core.kind,
      rule: this.#rule,
      outcome: this.#outcome,
      rows: this.#outcomes.sort((a, b) => a.row - b.row),
      survivors: this.#survivors,
      ...this.#times,
    })
  }
}
