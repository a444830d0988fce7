/**
 * The paper's scheme, as published (Soleymani et al., "ApproxIFER", AAAI 2022): queries wait until their group is full, all coded rows
 * are sent to as many workers, and the answers are decoded at the quorum, with the E that the locator suspects most dropped. No query
 * is sent by itself, so that nothing is asked again, hedged or learned.
 */

import { NONE } from '../arrays'
import type { CodedRow, Recovery } from '../codec/decode'
import { type ApproxiferError, asError } from '../errors'
import { Payload } from '../payload'
import type { Attempt, Identity, Owner } from '../pool/attempt'
import {
  type Asked,
  answerOf,
  blockedBy,
  failureOf,
  isLive,
  isQueued,
  newAsked,
  refusalOf,
  workerOf,
} from '../query/asked'
import type { Caller } from '../query/caller'
import type { Coding } from '../query/coding'
import { tooFew } from '../query/failures'
import { undecided } from '../query/prediction'
import { Query } from '../query/query'
import type { Random } from '../random'
import type { ModelWorker } from '../workers/worker'
import { FillingGroup } from './filling'
import type { CodingContext } from './redundancy'

export class PaperGroup extends FillingGroup implements Coding, Owner {
  readonly isOnlyWay = true
  readonly #random: Random
  #rows: Asked[] = NONE
  #isDecided = false
  #measured = undecided
  #failure: ApproxiferError | undefined

  /** @param random  deals rows to workers where some may lie: a place biases a locator's score */
  constructor(context: CodingContext, random: Random) {
    super(context)
    this.#random = random
  }

  get wasAsked(): boolean {
    return this.#rows.some(({ attempt }) => attempt.worker)
  }

  get isDecodable(): boolean {
    return !this.#isDecided
  }

  join(payload: Payload, caller: Caller, maxWaitMs: number): Query {
    return this.take(new Query(this.context, payload, caller, this, this.members.length), maxWaitMs)
  }

  nextRow(): number {
    return this.#rows.length
  }

  /** Where some may lie every row needs a worker of its own; else one that is none that failed on another, while there is one. */
  blocks(identity: Identity): boolean {
    if (this.context.codec.scheme.byzantine) return this.#rows.some((asked) => blockedBy(asked) === identity)
    const failed = this.#rows.flatMap((asked) => failureOf(asked) ?? [])
    return failed.includes(identity) && this.context.pool.available(failed) > 0
  }

  press(query: Query, now: number): void {
    const isDue = now >= query.caller.dueAt
    if (isDue && !this.isOpen) this.#decide()
  }

  given(): ModelWorker[] {
    const { survivors } = this.#measured
    return this.#rows.filter(({ row }) => survivors.includes(row)).map(workerOf)
  }

  failure(): ApproxiferError {
    const refused = this.#rows.map(refusalOf).find((error) => error)
    return this.#failure ?? refused ?? tooFew([], this.#rows, this.context.codec.schemeFor(this.members.length))
  }

  left(): void {
    this.tidy() // there is room for others
    if (this.members.some(({ caller }) => caller.isOpen)) return
    for (const { attempt } of this.#rows) if (attempt.phase !== 'settled') this.context.pool.cancel(attempt)
  }

  /** There are fewer workers: rows that none is left for are given up, if what is left cannot be decoded. */
  reconsider(): void {
    const { pool } = this.context
    const queued = this.#rows.filter(isQueued)
    const excess = queued.length - pool.available(this.#rows.flatMap((asked) => blockedBy(asked) ?? []))
    if (excess <= 0 || this.#hopeful() - excess >= this.group.scheme.quorum) return
    for (const { attempt } of queued.slice(-excess)) pool.cancel(attempt)
    this.#proceed()
  }

  closed(): void {
    this.#proceed()
  }

  done(): void {
    this.#proceed()
  }

  settled(attempt: Attempt): void {
    const asked = this.#rows.find((each) => each.attempt === attempt)
    if (asked) {
      asked.onTime = !this.#isDecided
      this.context.pool.tell(asked)
      const answer = answerOf(asked)
      if (answer) this.group.add(this.group.row(asked.row) as CodedRow, answer.vector)
    }
    this.#proceed()
  }

  // What becomes of it.

  protected override closing(): void {
    const { clock, pool, codec, signature } = this.context
    const start = clock.now()
    try {
      const rows = this.#encoded()
      const dealt = codec.scheme.byzantine ? this.#random.choose(rows.length, rows.length).map((i) => rows[i]) : rows
      const measured = { ...undecided, encodeMs: clock.now() - start, waitMs: clock.now() }
      this.#measured = measured
      const callers = this.members.map(({ caller }) => caller)
      const dueAt = Math.max(...callers.map((caller) => caller.dueAt))
      const turn = callers[0]?.turn
      for (const { data, index } of dealt) {
        const payload = Payload.of(data, signature.inputs)
        const attempt = pool.submit({ payload, owner: this, apart: [this], priority: 'normal', dueAt, turn })
        this.#rows = [...this.#rows, newAsked(attempt, 'parity', index)]
      }
    } catch (error) {
      this.#fail(asError(error, 'WORKER'))
    }
    if (this.#rows.length) this.reconsider()
    this.#proceed()
  }

  #encoded(): readonly CodedRow[] {
    const { members } = this
    if (!members.some(({ caller }) => caller.isOpen)) return []
    for (const { recovery, payload } of members) {
      const number = this.group.join(payload.vector)
      if (recovery) recovery.number = number
    }
    return this.group.close()
  }

  /** Rows that were answered, or may be. */
  #hopeful(): number {
    return this.#rows.filter((asked) => answerOf(asked) || isLive(asked)).length
  }

  #proceed(): void {
    if (this.isOpen || this.report.isComplete) return
    const { members } = this
    if (!members.some(({ caller }) => caller.isOpen)) this.#release()
    else if (!this.#isDecided) this.#decide()
    if (members.every(({ isDone }) => isDone) && !this.#rows.some(isLive)) this.complete(this.#rows, this.#measured)
  }

  #decide(): void {
    if (this.#isDecided || !this.#rows.length) return
    const { quorum } = this.group.scheme
    if (this.#rows.filter(answerOf).length >= quorum) this.#decode()
    else if (this.#hopeful() < quorum) this.#fail(this.failure())
  }

  #decode(): void {
    const { clock } = this.context
    const start = clock.now()
    this.#isDecided = true
    const missing = () => this.group.missing().length
    let recoveries: Recovery[] = []
    try {
      this.#locate()
      recoveries = this.group.recover()
    } catch (error) {
      return this.#fail(asError(error, 'QUORUM'))
    }
    const { encodeMs, waitMs: closedAt } = this.#measured
    const { survivors } = this.group
    this.#measured = { survivors, encodeMs, waitMs: start - closedAt, decodeMs: clock.now() - start }
    this.members.forEach((member, query) => {
      const own = this.group.exact(query)
      if (own) this.#give(member, own)
      else
        member.offer({
          recoveries: recoveries.filter((each) => each.query === query),
          isMixed: true,
          missing: missing(),
        })
    })
    this.#release()
  }

  /** The answers that the locator suspects most are dropped, as many as may lie, whether anybody does. */
  #locate(): void {
    for (const { row } of this.group.locate()) {
      const asked = this.#rows.find((each) => each.row === row.index) as Asked
      asked.verdict = 'lie'
      this.context.pool.suspect(workerOf(asked))
    }
  }

  /** A row that equals the query was answered. Where some may lie one worker's word proves nothing. */
  #give(member: Query, own: Float32Array): void {
    const { codec, clock } = this.context
    const isProven = !codec.scheme.byzantine
    const asked = this.#rows.find((each) => answerOf(each)?.vector === own) as Asked
    const { startedAt, ranMs } = asked.attempt
    member.take(answerOf(asked) as Payload, {
      status: isProven ? 'exact' : 'unverified',
      confidence: isProven ? 1 : undefined,
      queuedMs: startedAt - member.caller.since,
      ranMs: ranMs || clock.now() - startedAt,
      hedged: false,
      workers: [workerOf(asked)],
    })
  }

  #fail(error: ApproxiferError): void {
    this.#failure = error
    this.#isDecided = true
    for (const member of [...this.members]) member.look()
  }

  /** Nobody waits for rows that no worker has. */
  #release(): void {
    this.#isDecided = true
    for (const { attempt } of this.#rows) if (attempt.phase !== 'settled') this.context.pool.release(attempt)
  }
}
