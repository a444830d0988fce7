/**
 * Queries that are recovered from each other with the systematic code: each is sent by itself, and when the group closes so are
 * parities of those without an answer. It decodes for a query that is late or lost, and offers it what it recovered.
 */

import { append, NONE } from '../arrays'
import type { CodedRow, Recovery } from '../codec/decode'
import { ApproxiferError, asError } from '../errors'
import { Payload } from '../payload'
import type { Attempt, Identity, Owner } from '../pool/attempt'
import { type Asked, answerOf, failureOf, isLive, newAsked, workerOf } from '../query/asked'
import type { Caller } from '../query/caller'
import { type Coding, provenOnly } from '../query/coding'
import { tooFew } from '../query/failures'
import { undecided, workersAnswer } from '../query/prediction'
import { Query } from '../query/query'
import { identityOf, type ModelWorker } from '../workers/worker'
import { FillingGroup } from './filling'
import { toMix } from './redundancy'
import { Standing } from './standing'

export class CodedGroup extends FillingGroup implements Coding, Owner {
  readonly isOnlyWay = false
  readonly #standing = new Standing()
  #parities: Asked[] = NONE
  /** Identities that failed on one of the rows. */
  #failed: Identity[] = NONE
  /** An error: nothing can be decoded. */
  #state: 'waiting' | 'decided' | ApproxiferError = 'waiting'
  #measured = undecided

  get wasAsked(): boolean {
    return this.#parities.some(({ attempt }) => attempt.worker)
  }

  get isDecodable(): boolean {
    return this.#state === 'waiting' && this.context.codec.scheme.stragglers > 0
  }

  get #isWanted(): boolean {
    return this.members.some(({ caller }) => caller.isOpen)
  }

  join(payload: Payload, caller: Caller, maxWaitMs: number): Query {
    return this.take(new Query(this.context, payload, caller, this, this.group.join(payload.vector)), maxWaitMs)
  }

  nextRow(query: Query): number {
    const { workers } = this.context.codec.scheme
    if (!query.asked.length) return this.members.indexOf(query)
    return workers + this.all.filter(({ row }) => row >= workers).length
  }

  /** While others are free, no second row goes to a worker that failed on one; nor, where a caller counts on S lost rows, to one at work on a row: one slow worker would lose two. */
  blocks(identity: Identity): boolean {
    const isPromised = this.members.some(({ caller }) => caller.isOpen && caller.choices.policy === 'recover')
    const live = isPromised ? this.all.filter(isLive) : NONE
    if (!this.#failed.includes(identity) && !live.some(({ attempt }) => attempt.identity === identity)) return false
    return this.context.pool.available([...this.#failed, ...live.flatMap(({ attempt }) => attempt.identity ?? [])]) > 0
  }

  failed(identity: Identity | undefined): void {
    if (identity !== undefined) this.#failed = append(this.#failed, identity)
  }

  answered(query: Query, answer: Payload, number: number): void {
    const own = this.group.row(number < this.context.codec.scheme.workers ? number : this.members.indexOf(query))
    if (!own || !this.#standing.answer(own.index)) return this.lost() // it was counted as one that may come
    this.group.add(own, answer.vector)
    this.#decodeForAny()
  }

  press(query: Query, now: number): void {
    if (this.isOpen || this.#state !== 'waiting') return
    if (query.isPressing || now >= query.caller.dueAt) this.#decide()
    if (!query.inquiry.isLost || query.inquiry.refusal || query.caller.choices.policy !== 'recover') return
    for (const { attempt } of this.#parities) if (attempt.phase === 'queued') this.context.pool.promote(attempt)
  }

  /** Whose answers it was decoded from: also those to second attempts, which stand for a query's first one. */
  given(): ModelWorker[] {
    const rows = this.#measured.survivors
    const of = (asked: Asked, row = asked.row) => (answerOf(asked) && rows.includes(row) ? workerOf(asked) : [])
    const own = this.members.map(({ asked }, i) => asked.flatMap((each) => of(each, rows.includes(i) ? i : each.row)))
    return [...own.flat(), ...this.#parities.flatMap((asked) => of(asked))]
  }

  isMadeOf(identity: Identity): boolean {
    return this.given().some((worker) => identityOf(worker) === identity)
  }

  /** Other queries of the group tell what their recoveries would have been worth, once all that was lost has come. */
  graded(): void {
    const recovered = this.members.filter(({ recovery }) => recovery?.answer)
    if (recovered.every(({ recovery }) => recovery?.isDecodedAndGraded)) this.#later(this.#rehearse())
  }

  failure(own: readonly Asked[]): ApproxiferError {
    const { quorum, workers } = this.context.codec.schemeFor(this.members.length)
    const others = this.all.filter((asked) => !own.includes(asked))
    return this.#state instanceof ApproxiferError ? this.#state : tooFew(own, others, { quorum, workers })
  }

  left(query: Query): void {
    if (this.isOpen) return query.inquiry.cancel()
    if (this.#isWanted) return // an answer that nobody waits for still tells of the others
    for (const member of this.members) member.inquiry.cancel()
    for (const { attempt } of this.#parities) if (attempt.phase !== 'settled') this.context.pool.cancel(attempt)
  }

  /** Parities that no worker is left for are given up by the pool. */
  reconsider(): void {
    if (this.isOpen && this.members.length && !this.context.pool.usable) this.close() // nobody is worth waiting for
  }

  lost(): void {
    if (this.isOpen || this.#state !== 'waiting' || !this.#isWanted) return
    if (this.#standing.isHopeless(this.group.scheme, this.members, this.#parities)) this.#lose()
  }

  closed(isAnswered: boolean): void {
    if (!this.#isWanted) this.#release()
    else if (!isAnswered) this.lost()
  }

  done(): void {
    this.#finish()
  }

  // What the pool tells of parities.

  settled(attempt: Attempt): void {
    const asked = this.#parities.find((each) => each.attempt === attempt)
    if (asked) this.#heard(asked)
    if (asked && !answerOf(asked)) this.lost()
    this.#finish()
  }

  #heard(asked: Asked): void {
    const { pool, sampled } = this.context
    asked.onTime = this.#state === 'waiting'
    pool.tell(asked)
    const answer = answerOf(asked)
    this.failed(failureOf(asked))
    if (!answer || !this.context.trust.isTrusted(workerOf(asked))) return
    sampled?.came(workerOf(asked), asked.attempt.payload, answer) // else who lies to these alone would never be found
    const row = this.group.row(asked.row) as CodedRow
    this.#standing.answer(asked.row)
    this.group.add(row, answer.vector)
    if (row.query !== undefined) this.#give(this.members[row.query], asked, answer)
    this.#decodeForAny()
  }

  // What becomes of it.

  protected override closing(): void {
    const { clock, pool } = this.context
    const start = clock.now()
    try {
      const rows = this.#redundancy()
      this.#standing.made(this.members.length + rows.length)
      for (const row of rows) this.#send(row)
    } catch (error) {
      this.#state = asError(error, 'WORKER') // queries have their own attempts all the same
    }
    const closedAt = clock.now()
    this.#measured = { ...undecided, encodeMs: closedAt - start, waitMs: closedAt }
    if (!pool.usable) for (const query of this.members) query.reconsider()
    for (const query of this.members) if (query.caller.isOpen) this.press(query, closedAt)
    this.#decodeForAny()
    this.closed(false)
    this.#finish()
  }

  #redundancy(): readonly CodedRow[] {
    const missing = this.group.missing().filter((query) => this.members[query].isRecoverable)
    return this.members.length ? this.group.close(toMix(this.members, missing, this.context)) : []
  }

  /** A parity of a single query goes to a worker that has not been asked for it. */
  #send({ query, index, data }: CodedRow): void {
    const { pool, signature } = this.context
    const payload = Payload.of(data, signature.inputs)
    const apart = query === undefined ? [this] : [this, this.members[query].inquiry]
    const attempt = pool.submit({ payload, owner: this, apart, priority: 'low' })
    this.#parities = append(this.#parities, newAsked(attempt, 'parity', index))
  }

  /** A parity of a single query was answered: that is the model's own answer to it. */
  #give(member: Query, asked: Asked, answer: Payload): void {
    const worker = workerOf(asked)
    const status = this.context.sampled?.worth(worker) ?? 'exact'
    const worth = status === 'exact' ? 1 : undefined
    member.take(answer, workersAnswer(member, asked, status, worth))
  }

  #decodeForAny(): void {
    if (this.isOpen || this.#state !== 'waiting' || !this.#standing.isEnough(this.group.scheme)) return
    if (this.members.some(({ isPressing }) => isPressing)) this.#decide()
  }

  /** Recovers what is missing, if enough has come. */
  #decide(): void {
    if (!this.#standing.isEnough(this.group.scheme)) return
    const { clock, trust } = this.context
    const start = clock.now()
    this.#state = 'decided'
    const missing = this.group.missing()
    const recoveries = this.#decoded(missing.some((query) => this.members[query].isRecoverable))
    const survivors = this.group.survivors
    const { encodeMs, waitMs: closedAt } = this.#measured
    this.#measured = { survivors, encodeMs, waitMs: start - closedAt, decodeMs: clock.now() - start }
    if (!this.given().every((worker) => trust.isTrusted(worker))) return this.#lose() // one was convicted since
    for (const query of missing) this.#offer(query, recoveries, missing.length)
  }

  #offer(query: number, all: readonly Recovery[], missing: number): void {
    const recoveries = all.filter((each) => each.query === query)
    const member = this.members[query]
    if (member.isRecoverable) member.offer({ recoveries, isMixed: this.group.mixes(query), missing })
  }

  #decoded(isWanted: boolean): Recovery[] {
    try {
      return isWanted ? this.group.recover() : []
    } catch (error) {
      this.#state = asError(error, 'QUORUM')
      return []
    }
  }

  /** It will never be decoded. */
  #lose(): void {
    this.#state = 'decided'
    for (const member of this.members) member.look()
  }

  /** Nobody waits any more. */
  #release(): void {
    if (this.isOpen) return
    const { clock, pool } = this.context
    if (this.#state === 'waiting') {
      this.#measured = { ...this.#measured, waitMs: clock.now() - this.#measured.waitMs }
      this.#state = 'decided'
    }
    for (const { attempt } of this.#parities) pool.release(attempt)
  }

  /** Once the last attempt has an outcome. */
  #finish(): void {
    if (this.isOpen || this.report.isComplete) return
    if (!this.members.every(({ isDone }) => isDone) || this.#parities.some(isLive)) return
    this.complete(this.#parities, this.#measured)
  }

  /** Learns from it, if there is time. */
  #later(lesson: Generator<void>): void {
    const bytes = this.members.reduce((sum, { payload }) => sum + payload.vector.byteLength, 0) // that it holds on to
    this.context.learning?.later(provenOnly(this.context, this, lesson), bytes)
  }

  *#rehearse(): Generator<void> {
    const experience = this.context.learning?.experience
    const lost = [...this.members.keys()].filter((query) => this.members[query].recovery?.answer)
    const answered = this.all.filter(answerOf)
    for (const others of this.group.rehearse(lost, this.#measured.survivors)) {
      for (const other of others) {
        const own = this.group.exact(other.query) as Float32Array
        const from = answered.find((asked) => answerOf(asked)?.vector === own)
        experience?.confidence.rehearse(other, own, from?.attempt.identity)
      }
      yield
    }
  }

  get all(): readonly Asked[] {
    return [...this.members.flatMap(({ asked }) => asked), ...this.#parities]
  }
}
