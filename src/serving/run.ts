/** One group on its way: encoded, sent, gathered, decoded, and still watched until the last answer or `hangMs`. */

import type { Codec, CodedRow, Group } from '../codec/codec'
import { ApproxiferError, asError } from '../errors'
import type { Memory } from '../history/memory'
import type { ModelWorker } from '../workers/worker'
import { Call, type Outcome } from './gather'
import type { Roster } from './roster'

/** `fastest`: decode at the quorum. `deadline`: wait for all, at most until the deadline. */
export type Rule = 'fastest' | 'deadline'

export type Status = 'exact' | 'recovered'

export interface RunOptions {
  rule: Rule
  hangMs: number
  /** What lost answers may be recovered from besides the group's. */
  memory?: Memory
}

/** A query that waits for its answer. */
export interface Ticket {
  readonly row: Float32Array
  /** Still unanswered. */
  readonly open: boolean
  /** The query itself on its way to a worker, where the code allows that before the group is closed. */
  readonly call?: Call
  answer(answer: Float32Array, status: Status): void
  fail(error: ApproxiferError): void
}

/** What happened to one row of a group. */
export interface RowReport {
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
  readonly #memory: Memory | undefined
  readonly #tickets: readonly Ticket[]
  readonly #group: Group
  readonly #calls = new Map<CodedRow, Call>()
  /** Rows that no worker had room for yet. They are sent as workers get free, while the group is undecided. */
  #unsent: CodedRow[]
  readonly #taken = new Set<ModelWorker>()
  readonly #hangMs: number
  readonly #outcomes: RowReport[] = []
  readonly #suspects = new Set<number>()
  readonly #times = { encodeMs: 0, waitMs: 0, decodeMs: 0 }
  readonly #sentAt: number
  #pending = 0
  #answers = 0
  #outcome = ''
  #finished = false
  #survivors: number[] = []
  #complete: (report: GroupReport) => void = () => {}

  /** Encodes and sends what is not on its way yet. */
  constructor(codec: Codec, roster: Roster, tickets: readonly Ticket[], options: RunOptions) {
    const { rule, hangMs, memory } = options
    this.#codec = codec
    this.#memory = memory
    this.#hangMs = hangMs
    this.#roster = roster
    this.#tickets = tickets
    this.#rule = rule
    this.report = new Promise((resolve) => {
      this.#complete = resolve
    })
    const start = performance.now()
    this.#group = codec.open()
    for (const ticket of tickets) this.#group.join(ticket.row)
    const early = this.#group.ready
    early.forEach((row, i) => {
      const call = tickets[i].call
      if (call?.outcome) this.#record(row, call)
    })
    const rows = this.#group.close()
    this.#sentAt = performance.now()
    this.#times.encodeMs = this.#sentAt - start
    early.forEach((row, i) => {
      const call = tickets[i].call
      if (call) this.#taken.add(call.worker)
      if (call && !call.outcome) this.#watch(row, call)
    })
    this.#unsent = [...early.filter((_, i) => !tickets[i].call), ...rows]
    this.#send(roster.assign(this.#unsent, codec.scheme.byzantine, this.#taken))
    if (!this.#pending) queueMicrotask(() => this.#after())
  }

  /** Sends rows that wait for a worker; to be called when one may have got free. */
  fill(): void {
    while (!this.#outcome && this.#unsent.length) {
      const worker = this.#roster.fastest(this.#taken)
      if (!worker) return
      this.#send([{ row: this.#unsent[0], worker }])
    }
  }

  /** A ticket's deadline has come: decode with what is here, or fail that ticket alone. */
  due(ticket: Ticket): void {
    if (this.#outcome) return
    if (this.#answers >= this.#group.scheme.quorum) this.#decode()
    else {
      const own = this.#tickets.indexOf(ticket)
      const recall = this.#recall
      const recovered = recall && this.#group.recover(recall).find(({ query }) => query === own)
      if (recovered) ticket.answer(recovered.answer, 'recovered')
      else ticket.fail(this.#lacking())
      this.#giveUp('QUORUM')
    }
  }

  /** The memory, if answers can be recovered from it alone. */
  get #recall(): Memory | undefined {
    return this.#memory?.ready ? this.#memory : undefined
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
    this.#pending++
    this.#calls.set(row, call)
    void call.done.then(() => {
      this.#pending--
      this.#record(row, call)
      this.#after()
    })
  }

  /** Counts an outcome, and feeds the group while it is undecided. */
  #record(row: CodedRow, call: Call): void {
    this.#calls.set(row, call)
    const { answer, error, ms } = call.outcome as Outcome
    const { worker } = call
    const outcome = answer ? (this.#outcome ? 'late' : 'onTime') : error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
    this.#outcomes.push({ row: row.index, worker: worker.name, outcome, suspected: false, ms, error })
    const ours = error?.code === 'ABORTED' || error?.code === 'CLOSED'
    if (!ours) this.#roster.count(worker, outcome, ms)
    if (!answer) return
    if (!this.#outcome) {
      this.#group.add(row, answer)
      this.#answers++
    }
    if (!this.#honest || row.query === undefined) return
    if (!this.#outcome) this.#tickets[row.query].answer(answer, 'exact')
    this.#memory?.remember(row.data, answer) // a pass over the memory, after the caller has its answer
  }

  /** Whether nobody is expected to lie: an answer to a query itself then goes to its caller at once. */
  get #honest(): boolean {
    return this.#codec.scheme.byzantine === 0
  }

  #after(): void {
    if (!this.#outcome) this.#decide()
    if (this.#outcome && !this.#pending) this.#finish()
  }

  #decide(): void {
    const { quorum, workers } = this.#group.scheme
    const outstanding = this.#pending + this.#unsent.length
    const needed = Math.max(0, quorum - (workers - this.#calls.size - this.#unsent.length)) // parities nobody needs
    const enough = this.#answers >= needed && (this.#rule === 'fastest' || !outstanding)
    const complete = this.#honest && !this.#group.missing().length
    const hopeless = this.#answers + outstanding < needed
    if (enough || complete || (hopeless && this.#recall)) this.#decode()
    else if (hopeless) this.#fail(this.#lacking())
  }

  #decode(): void {
    this.#outcome = 'decoded'
    const start = performance.now()
    this.#times.waitMs = start - this.#sentAt
    try {
      for (const { row } of this.#group.locate()) {
        this.#suspects.add(row.index)
        this.#roster.suspected((this.#calls.get(row as CodedRow) as Call).worker)
      }
      this.#survivors = this.#group.survivors
      const answers = this.#group.answers(this.#recall)
      this.#times.decodeMs = performance.now() - start
      for (const { query, answer, exact } of answers) {
        if (answer.every(Number.isFinite)) this.#tickets[query].answer(answer, exact ? 'exact' : 'recovered')
        else this.#tickets[query].fail(new ApproxiferError('PROTOCOL', 'the recovered answer is not finite'))
      }
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
    const text = `results: expected >= ${quorum} of ${workers}, got ${this.#answers}, ${this.#pending + this.#unsent.length} outstanding${why}`
    return new ApproxiferError('QUORUM', text)
  }

  #finish(): void {
    const { workers, quorum } = this.#group.scheme
    if (this.#finished) return
    this.#finished = true
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
      survivors: this.#survivors,
      ...this.#times,
    })
  }
}
