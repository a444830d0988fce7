/**
 * The paper's scheme as published (Soleymani et al., "ApproxIFER", AAAI 2022). Queries wait until their group is full; all coded queries
 * are sent, each to a worker of its own; the answers are decoded at the quorum, without the E answers that the locator suspects most.
 *
 * No query is sent uncoded, so nothing is hedged, retried or learned. The layer replaces `recover`, `parity` and `hedge`.
 */

import type { Clock } from '../base/clock'
import { ApproxiferError, asError } from '../base/errors'
import { Payload } from '../base/payload'
import type { Random } from '../base/random'
import { allFinite, type Signature } from '../base/tensor'
import type { Codec } from '../codec/codec'
import type { CodedRow, Recovery } from '../codec/decode'
import type { Group } from '../codec/group'
import type { Apart, Attempt, Attempts, Identity } from '../pool/attempt'
import type { Call, Caller, Drop, Failure, Layer, Outcome, Query, Service } from '../service'
import { answerOf, OutgoingCall, SettledCall, Tried } from '../service'

export interface PaperOptions {
  readonly clock: Clock
  readonly codec: Pick<Codec, 'core' | 'open' | 'scheme' | 'schemeFor'>
  readonly signature: Signature
  readonly pool: Pick<Attempts, 'available' | 'free' | 'nobody' | 'size' | 'suspect' | 'usable'>
  /** Assigns coded queries to workers at random if workers may lie, since a locator's score depends on the place in the code. */
  readonly random: Pick<Random, 'choose'>
  /** How long a query waits for others, at most half of the time to its deadline. */
  readonly maxWaitMs: number
}

export function paper(options: PaperOptions): Layer {
  return (next) => {
    let filling: PaperGroup | undefined
    return (query, caller) => {
      if (query.refusal) return new SettledCall(caller, { kind: 'failure', error: query.refusal, blame: 'load' })
      if (!filling?.isOpen) filling = new PaperGroup(options, next)
      return filling.join(query, caller)
    }
  }
}

/** An error message quotes at most this many workers' errors. */
const MOST_REASONS = 3

class PaperGroup implements Apart {
  isOpen = true
  readonly #options: PaperOptions
  readonly #next: Service
  readonly #group: Group
  #members: PaperCall[] = []
  #rows: CodedQuery[] = []
  #closesAt = Number.POSITIVE_INFINITY
  #unplan: (() => void) | undefined
  #isDecided = false
  #isFinished = false
  #encodeMs = 0
  #closedAt = 0

  constructor(options: PaperOptions, next: Service) {
    this.#options = options
    this.#next = next
    this.#group = options.codec.open()
  }

  join(query: Query, caller: Caller): Call {
    const { clock, codec, pool, maxWaitMs } = this.#options
    const member = new PaperCall(this, query, caller)
    this.#members.push(member)
    const now = clock.now()
    const waitMs = Math.min(maxWaitMs, (query.dueAt - now) / 2)
    if (this.#members.length === codec.scheme.queries || !pool.usable || waitMs < 0) this.#close()
    else if (now + waitMs < this.#closesAt) {
      this.#closesAt = now + waitMs
      this.#unplan?.()
      this.#unplan = clock.after(waitMs, () => this.#close())
    }
    return member
  }

  /**
   * If workers may lie, each row needs a worker of its own. Otherwise a row avoids workers that failed on another row, as long as any other
   * worker is available.
   */
  blocks(identity: Identity): boolean {
    const { codec, pool } = this.#options
    if (codec.scheme.byzantine) return this.#rows.some(({ tried }) => tried.blocks(identity))
    const failed = this.#rows.flatMap(({ tried }) => (tried.failures && tried.attempts[0].identity) || [])
    return failed.includes(identity) && pool.available(failed) > 0
  }

  #close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#unplan?.()
    if (!this.#members.length) return // all callers have left
    const { clock, codec, random, signature } = this.#options
    const start = clock.now()
    try {
      for (const { query } of this.#members) this.#group.join(query.payload.vector)
      const rows = this.#group.close()
      const dealt = codec.scheme.byzantine ? random.choose(rows.length, rows.length).map((i) => rows[i]) : rows
      this.#closedAt = clock.now()
      this.#encodeMs = this.#closedAt - start
      const dueAt = Math.max(...this.#members.map(({ query }) => query.dueAt))
      for (const row of dealt) this.#send(row, Payload.of(row.data, signature.inputs), dueAt)
    } catch (error) {
      this.#failSoon({ kind: 'failure', error: asError(error, 'WORKER'), blame: 'worker' })
    }
    if (this.#isHopeless) this.#failSoon()
  }

  #send(row: CodedRow, payload: Payload, dueAt: number): void {
    const [{ query }] = this.#members
    const { choices, turn } = query
    const since = this.#options.clock.now()
    const tried = new Tried(query.tried.trace?.coded('coded', this.#numbers), query.tried.traceparent)
    const own = {
      payload,
      choices,
      said: {},
      turn,
      since,
      dueAt,
      priority: 'normal',
      why: 'coded',
      refusal: false,
    } as const
    const sent = new CodedQuery(this, row, tried)
    this.#rows.push(sent)
    sent.send(this.#next, { ...own, apart: [this], tried })
  }

  answered(row: CodedQuery, answer: Payload): void {
    this.#group.add(row.coded, answer.vector)
    this.#decide()
  }

  failed(): void {
    if (this.#isHopeless) this.#fail()
  }

  /** Once the last row has its outcome, the payloads are free. */
  finish(): void {
    if (this.#isFinished || !this.#isDecided || !this.#rows.every(({ isDone }) => isDone)) return
    this.#isFinished = true
    for (const member of this.#members) member.caller.done?.()
  }

  /** @param why  what becomes of the rows if the last caller leaves */
  left(member: PaperCall, why: Drop): void {
    if (this.isOpen) {
      // Another query may take its place.
      this.#members = this.#members.filter((each) => each !== member)
      if (!this.#members.length) this.#close()
      member.caller.done?.()
    } else if (!this.#members.some(({ isOpen }) => isOpen)) this.#release(why)
  }

  /** The deadline comes before the quorum. */
  expire(member: PaperCall): void {
    const { clock, pool } = this.#options
    const isAsked = this.#rows.some(({ tried }) => tried.attempts[0].worker)
    const waited = `waited ${Math.round(clock.now() - member.query.since)} ms for workers, ${pool.free} of ${pool.size} free`
    const error = isAsked ? this.#tooFew : new ApproxiferError('DEADLINE', waited)
    member.settle({ kind: 'failure', error, blame: 'nobody' })
    if (this.isOpen) this.left(member, 'teach')
    else if (!this.#members.some(({ isOpen }) => isOpen)) this.#release('teach')
  }

  /** Whether the quorum cannot be reached any more: rows have failed, or no worker is left for them. */
  get #isHopeless(): boolean {
    if (this.#isDecided || this.isOpen) return false
    const { pool } = this.#options
    const attempts = this.#rows.map(({ tried }) => tried.attempts[0])
    const queued = attempts.filter(({ phase }) => phase === 'queued').length
    const blocked = this.#rows.flatMap(({ tried: { attempts } }) => attempts[0].identity ?? [])
    const excess = Math.max(0, queued - pool.available(blocked))
    const hopeful = attempts.filter((attempt) => attempt.phase !== 'settled' || answerOf(attempt)).length
    return hopeful - excess < this.#group.scheme.quorum
  }

  #decide(): void {
    const { quorum } = this.#group.scheme
    if (this.#isDecided || this.#rows.filter(({ tried }) => answerOf(tried.attempts[0])).length < quorum) return
    const { clock } = this.#options
    const start = clock.now()
    this.#isDecided = true
    let recoveries: Recovery[] = []
    try {
      this.#locate()
      recoveries = this.#group.recover()
    } catch (error) {
      return this.#fail({ kind: 'failure', error: asError(error, 'QUORUM'), blame: 'worker' })
    }
    const { survivors } = this.#group
    const [waitMs, decodeMs] = [start - this.#closedAt, clock.now() - start]
    const [{ query }] = this.#members
    query.tried.trace?.decoded(this.#numbers, survivors.length, this.#encodeMs, waitMs, decodeMs)
    const decodedFrom = new Set(survivors)
    const by = this.#rows.flatMap(({ coded, tried }) => (decodedFrom.has(coded.index) ? tried.attempts : []))
    const found = new Map(recoveries.map((recovery) => [recovery.query, recovery]))
    for (const [query, member] of this.#members.entries()) {
      const recovery = found.get(query)
      member.settle(recovery ? this.#recovered(member, recovery, by) : this.#own(query))
    }
    this.#release('teach')
  }

  /** Numbers of the queries that are traced. */
  get #numbers(): number[] {
    return this.#members.flatMap(({ query }) => query.tried.trace?.query ?? [])
  }

  /** Discards the E most suspected answers, whether or not a worker lies, and reports their workers. */
  #locate(): void {
    for (const { row } of this.#group.locate()) {
      const suspect = this.#rows.find(({ coded }) => coded.index === row.index) as CodedQuery
      const { worker } = suspect.tried.attempts[0]
      if (!worker) continue
      suspect.tried.trace?.suspected(worker.name)
      this.#options.pool.suspect(worker)
    }
  }

  #recovered({ query }: PaperCall, { answer, source }: Recovery, by: readonly Attempt[]): Outcome {
    if (!allFinite(answer)) {
      const error = new ApproxiferError('PROTOCOL', 'the recovered answer is not finite')
      return { kind: 'failure', error, blame: 'worker' }
    }
    query.tried.trace?.recovered(source, 'scheme', undefined)
    const recovery = { source, why: 'scheme' } as const
    return {
      ...{ kind: 'answer', status: 'recovered', confidence: undefined, by, recovery },
      answer: Payload.of(answer, this.#options.signature.outputs),
    }
  }

  /** The answer of a row that equals the query. If workers may lie, a single worker's answer proves nothing. */
  #own(query: number): Outcome {
    const own = this.#group.exact(query)
    const isProven = !this.#options.codec.scheme.byzantine
    const [attempt] = this.#rows.map(({ tried }) => tried.attempts[0]).filter((each) => answerOf(each)?.vector === own)
    return {
      ...{ kind: 'answer', status: isProven ? 'exact' : 'unverified', confidence: isProven ? 1 : undefined },
      answer: answerOf(attempt) as Payload,
      by: [attempt],
    }
  }

  /** Fails in a microtask, when the callers have their calls. */
  #failSoon(failure?: Failure): void {
    void Promise.resolve().then(() => this.#fail(failure))
  }

  #fail(failure: Failure = this.#failure): void {
    this.#isDecided = true
    for (const member of this.#members) member.settle(failure)
    this.#release('teach')
  }

  get #failure(): Failure {
    const { pool } = this.#options
    const refused = this.#rows.find(({ refusal }) => refusal)?.refusal
    if (!pool.usable) return { kind: 'failure', error: new ApproxiferError('WORKER', pool.nobody), blame: 'nobody' }
    return refused ?? { kind: 'failure', error: this.#tooFew, blame: 'worker' }
  }

  /** Names failed workers without their messages: these may reveal another caller's query. */
  get #tooFew(): ApproxiferError {
    const { quorum, workers } = this.#group.scheme
    const attempts = this.#rows.map(({ tried }) => tried.attempts[0])
    const answers = attempts.filter(answerOf).length
    const outstanding = attempts.filter(({ phase }) => phase !== 'settled').length
    const text = `results: expected >= ${quorum} of ${workers}, got ${answers}, ${outstanding} outstanding`
    const failed = attempts.flatMap(({ outcome, worker }) =>
      outcome?.kind === 'failed' ? `${worker?.name}: ${outcome.error.code}` : [],
    )
    const more = failed.length - MOST_REASONS
    const parts = [text, ...failed.slice(0, MOST_REASONS), ...(more > 0 ? [`and ${more} others`] : [])]
    return new ApproxiferError('QUORUM', parts.join('; '))
  }

  /** No caller waits any more. */
  #release(why: Drop): void {
    this.#isDecided = true
    for (const row of this.#rows) row.drop(why)
    this.finish()
  }
}

class PaperCall implements Call {
  readonly #group: PaperGroup
  readonly query: Query
  readonly caller: Caller
  isOpen = true

  constructor(group: PaperGroup, query: Query, caller: Caller) {
    this.#group = group
    this.query = query
    this.caller = caller
  }

  settle(outcome: Outcome): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.caller.settled(outcome)
  }

  drop(why: Drop): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#group.left(this, why)
  }

  expire(): void {
    if (this.isOpen) this.#group.expire(this)
  }
}

class CodedQuery extends OutgoingCall {
  readonly #group: PaperGroup
  readonly coded: CodedRow
  readonly tried: Tried
  isDone = false
  /** Set if the pool refused it because its answer would be too late. */
  refusal: Failure | undefined

  constructor(group: PaperGroup, coded: CodedRow, tried: Tried) {
    super()
    this.#group = group
    this.coded = coded
    this.tried = tried
  }

  settled(outcome: Outcome): void {
    if (outcome.kind === 'answer') return this.#group.answered(this, outcome.answer)
    if (outcome.blame === 'load') this.refusal = outcome
    this.#group.failed()
  }

  done(): void {
    this.isDone = true
    this.#group.finish()
  }
}
