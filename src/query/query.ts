/** One query, from `predict` to its last attempt: late answers, which nobody waits for any more, still teach. */

import type { ApproxiferError } from '../errors'
import { InlineMemory } from '../memory/inline'
import { Payload } from '../payload'
import type { Attempt, Identity, Owner, Priority } from '../pool/attempt'
import type { GroupReport, Status } from '../prediction'
import { toNamed } from '../tensor'
import { identityOf } from '../workers/worker'
import { isLate, type Places, type Timed } from './agenda'
import { type Asked, answerOf, failureOf, Inquiry, isLive, type Purpose, workerOf } from './asked'
import type { Caller } from './caller'
import type { Coding } from './coding'
import type { Context } from './context'
import { factsOf, hedgePriority, retryPriority, teachesNobody } from './facts'
import { whyNot } from './failures'
import { lookUp } from './lookup'
import { next } from './policy'
import { type Given, predictionOf, queryReport, recoveredAnswer, workersAnswer } from './prediction'
import { type Decoding, QueryRecovery } from './recovery'
import type { Vote } from './vote'

export class Query implements Owner, Timed {
  readonly payload: Payload
  /** Another generation's where the model was replaced meanwhile: the query is asked again there. */
  caller: Caller
  readonly recovery: QueryRecovery | undefined
  readonly coding: Coding | undefined
  readonly vote: Vote | undefined
  readonly inquiry: Inquiry
  readonly #context: Context
  /** Told what happened to it, where its caller has an answer and no group tells. */
  #reported: ((report: GroupReport) => void) | undefined
  /** Among those under way; -1 once it is done. */
  place = 0
  #places: Places | undefined

  /** @param coding  the group that it has joined @param number  its own there */
  constructor(context: Context, payload: Payload, caller: Caller, coding?: Coding, number = 0) {
    this.#context = context
    this.payload = payload
    this.caller = caller
    this.coding = coding
    const { learning, Vote: Compared } = context
    this.recovery = learning || coding ? new QueryRecovery(number, learning?.experience) : undefined
    this.vote = Compared && new Compared(context, this.recovery)
    this.inquiry = new Inquiry(context, this)
  }

  /** Asks a worker, or as many as it takes. @param refusal  why none is to be asked: it gets what is remembered, or this */
  start(refusal?: ApproxiferError): void {
    const { acceptance, agenda } = this.#context
    this.#places = agenda.add(this)
    this.inquiry.refusal = refusal
    if (refusal) this.look()
    else if (!this.coding?.isOnlyWay) {
      const checks = this.vote?.begin() === true
      for (let i = 0; i < (checks ? 1 : acceptance.needed); i++) this.#ask(i ? 'proof' : 'first', 'normal')
      if (checks) this.#lookUp()
      if (this.vote && this.inquiry.available < 0) this.reconsider()
    }
  }

  /** Its caller has an answer or an error, and its last attempt an outcome. */
  get isDone(): boolean {
    return this.place < 0
  }

  get asked(): readonly Asked[] {
    return this.inquiry.asked
  }

  /** Whether its caller would take a recovery: under `retry` only an exact answer will do. */
  get isRecoverable(): boolean {
    return this.caller.isOpen && this.caller.choices.policy !== 'retry'
  }

  /** Whether a recovery may be of use now: it is late or lost, or nobody knows yet what is late. */
  get isPressing(): boolean {
    return this.caller.isOpen && (isLate(this.#places) || this.inquiry.isLost || !this.#context.lateness.ages)
  }

  /** Its time has come: it is late, or due, or asked for this. @param now  a timer may fire a millisecond early */
  look(now = 0): void {
    this.#advance(now)
    this.#finish()
  }

  /** Its group was decoded. */
  offer(decoding: Decoding): void {
    this.recovery?.decoded(decoding)
    this.look()
  }

  /** The caller wants no answer any more. */
  leave(error: ApproxiferError): void {
    if (this.caller.isOpen) this.#fail(error)
    if (this.coding) this.coding.left(this)
    else if (!this.vote) this.inquiry.cancel() // answers that are only compared still show who lies
    this.#finish()
  }

  /** The predictor, or the model, is no more. */
  end(error: ApproxiferError): void {
    if (this.caller.isOpen) this.#fail(error)
    this.inquiry.end()
    this.#finish()
  }

  /** There are fewer workers. @param ejected  the identity that is believed no more, if that is why */
  reconsider(ejected?: Identity): void {
    if (this.coding?.isOnlyWay) return this.coding.reconsider()
    const isTrimmed = this.inquiry.trim()
    const isTheirs = ({ attempt }: Asked) => attempt.worker !== undefined && identityOf(attempt.worker) === ejected
    if (this.vote && this.asked.some(isTheirs)) this.#judge()
    if ((!this.vote && this.inquiry.void(isTheirs)) || isTrimmed) this.#advance() // others are asked at once
    this.coding?.reconsider()
    this.#finish()
  }

  /** What an identity's answers taught is forgotten: so is what this query would get of it. */
  forget(identity: Identity): void {
    this.recovery?.forget(this.coding?.isMadeOf?.(identity) === true)
  }

  began(attempt: Attempt): void {
    const asked = this.inquiry.find(attempt)
    if (!asked) return this.inquiry.met(attempt) // it is told again when it is known here
    const { hedged, agenda, lateness } = this.#context
    if (asked.purpose === 'hedge' && !asked.isSent) hedged.sent++
    asked.isSent = true
    if (asked.purpose === 'trial' || !this.caller.isOpen) return
    if (this.#places) agenda.began(this.#places, attempt.startedAt, attempt.factor)
    if (!lateness.ages) this.#again((attempt.startedAt + this.caller.dueAt) / 2) // nobody knows what is late
    if (isLate(this.#places) || (asked.purpose === 'first' && this.vote?.suspects(workerOf(asked)))) this.#advance()
  }

  settled(attempt: Attempt): void {
    const { pool, trust, lateness } = this.#context
    const asked = this.inquiry.find(attempt) as Asked
    const answer = answerOf(asked)
    asked.onTime = this.caller.isOpen && asked.purpose !== 'trial'
    pool.tell(asked)
    if (asked === this.asked[0] && !asked.isVoid) lateness.tell(attempt)
    this.coding?.failed?.(failureOf(asked))
    if (this.vote && failureOf(asked)) trust.silent(workerOf(asked))
    if (!answer && this.caller.isOpen) this.inquiry.lost(asked)
    if (answer && this.vote) this.#judge()
    else if (answer) this.#own(asked, answer)
    else this.#advance()
    if (!answer) this.coding?.lost?.()
    this.#finish()
  }

  /** The model's own answer, in time or late. */
  #own(asked: Asked, answer: Payload): void {
    const { learning, trust, sampled } = this.#context
    const answered = this.asked.length > 1 ? this.asked.filter(answerOf) : this.asked
    const status = sampled?.worth(workerOf(asked)) ?? 'exact'
    const worth = status === 'exact' ? 1 : undefined
    const place = this.caller.isOpen ? this.#answer(asked, status, worth) : undefined
    this.coding?.answered?.(this, answer, asked.row) // it is not one to decode for any more
    if (status === 'exact' && this.recovery?.grade(answer, identityOf(workerOf(asked)))) this.coding?.graded?.()
    trust.compare(
      this.payload,
      answered.map(({ attempt }) => attempt),
    )
    if (answered.length === 1 && status === 'audited')
      sampled?.came(workerOf(asked), this.payload, answer, place, learning && new InlineMemory(learning))
    // An unproven answer teaches nothing: until its worker is convicted, a lie would have a part in every recovery.
    if (answered.length === 1 && status === 'exact')
      learning?.remember(this.payload.vector, answer.vector, identityOf(workerOf(asked)))
    if (this.asked.length > 1) this.inquiry.drop()
  }

  /** Workers' answers are compared. */
  #judge(): void {
    this.vote?.judge(this.payload, this.asked, this.caller.isOpen, ({ asked, status, confidence }) => {
      if (this.caller.isOpen) this.#answer(asked, status, confidence)
    })
    this.#advance()
  }

  /** Does what the policy says, until that is to wait. */
  #advance(atLeast = 0): void {
    if (!this.caller.isOpen) return this.#settleDispute()
    this.coding?.press(this, Math.max(atLeast, this.#context.clock.now()))
    while (this.caller.isOpen) {
      const now = Math.max(atLeast, this.#context.clock.now())
      const facts = factsOf(this, this.#context, now)
      const { action, again = Number.POSITIVE_INFINITY } = next(facts, now)
      if (action === 'wait') return this.#again(again)
      if (action === 'recover') this.#recover(facts.live > 0 && now < this.caller.dueAt)
      else if (action === 'look up') this.#lookUp(now)
      else if (action === 'hedge') this.#ask('hedge', hedgePriority(this.#context))
      else if (action === 'retry') this.#retry(facts.lacking)
      else this.#giveUp(now >= this.caller.dueAt)
    }
  }

  #again(at: number): void {
    if (this.#places && at < Number.POSITIVE_INFINITY) this.#context.agenda.again(this.#places, at)
  }

  /** No caller waits any more. The dispute goes on all the same, to find the liar. */
  #settleDispute(): void {
    const { ending } = this.caller
    if (!this.vote?.isDisputed || ending === 'CLOSED' || ending === 'WORKER') return
    const lacking = this.vote.lacking(this.asked, () => false)
    for (let i = Math.min(lacking, this.inquiry.available); i > 0; i--) this.#ask('proof', 'low')
  }

  #lookUp(now = this.#context.clock.now()): void {
    lookUp(this, this.#context, now, () => {
      if (this.vote) this.#judge()
      else this.#advance()
      this.#finish()
    })
  }

  /** Other workers or, where nobody else is left, those that failed on it: once. */
  #retry(lacking: number): void {
    const { inquiry, vote } = this
    if (inquiry.available < lacking) inquiry.forgive()
    const count = Math.max(1, Math.min(lacking, inquiry.available))
    for (let i = 0; i < count; i++) this.#ask(vote ? 'proof' : 'retry', retryPriority(this, this.#context))
  }

  #ask(purpose: Purpose, priority: Priority): void {
    if (purpose === 'hedge') this.#context.hedges.take()
    const asked = this.inquiry.ask(purpose, priority, this.coding?.nextRow(this) ?? this.asked.length)
    if (asked?.attempt.phase === 'running') this.began(asked.attempt) // it was before it was known here
    // Where it is to be proven anyway, an ejected worker can show whether it answers well again.
    if (this.vote && this.asked.length > 1) this.inquiry.try(this.asked.length, this.#context.trust.trials)
  }

  #recover(isLate: boolean): void {
    const { recovery } = this
    const answer = recovery?.answer
    if (!recovery || !answer) return
    if (isLate) this.#context.recoveries.take()
    recovery.give(this.#context.ledger)
    const workers = (recovery.isFromCode && this.coding?.given()) || []
    const own = Payload.of(answer, this.#context.signature.outputs)
    this.#settle(own, recoveredAnswer(this, this.#context.clock.now(), workers))
  }

  #answer(asked: Asked, status: Status, confidence: number | undefined): number | undefined {
    if (asked.purpose === 'hedge') this.#context.hedged.won++
    return this.#settle(answerOf(asked) as Payload, workersAnswer(this, asked, status, confidence))
  }

  /** A worker's answer to a row of its group that equals the query. */
  take(answer: Payload, given: Given): void {
    if (this.caller.isOpen) this.#settle(answer, given)
    this.#finish()
  }

  #settle({ tensors }: Payload, given: Given): number | undefined {
    const {
      signature,
      ended,
      given: recallable,
      model: { fingerprint },
    } = this.#context
    const entry = given.status === 'exact' ? undefined : recallable?.give(given.workers, this.caller.turn.tenant)
    const output = toNamed(tensors, signature.outputs)
    const group =
      this.coding?.report.promise ??
      new Promise<GroupReport>((resolve) => {
        this.#reported = resolve
      })
    this.caller.answer(predictionOf(output, given, { fingerprint, id: entry?.id, group }), ended)
    this.#closed()
    return entry?.place
  }

  #giveUp(isDue: boolean): void {
    const own = isDue && this.caller.choices.atDeadline === 'give' && this.vote?.believed(this.asked)[0]
    if (own && !this.recovery?.isContradictedBy(answerOf(own) as Payload))
      this.#answer(own, 'unverified', undefined) // else it is none to give
    else this.#fail(whyNot(this, this.#context, isDue))
    if (isDue && teachesNobody(this, this.#context)) this.inquiry.drop()
  }

  #fail(error: ApproxiferError): void {
    this.caller.fail(error, this.#context.ended)
    this.#closed()
  }

  /** Attempts that no worker has are taken back. */
  #closed(): void {
    if (this.#places) this.#context.agenda.remove(this.#places)
    this.#places = undefined
    this.inquiry.release()
    this.coding?.closed(this.inquiry.isAnswered)
  }

  #finish(): void {
    if (this.place < 0 || this.caller.isOpen || this.recovery?.lookup(0) === 'pending' || this.asked.some(isLive))
      return
    this.#context.done(this)
    if (this.coding) this.coding.done()
    else this.#reported?.(queryReport(this, this.#context))
  }
}
