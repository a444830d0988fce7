/**
 * For an open fleet, which any worker may join. A query goes to at most one untrusted worker: if it went to two, these could tell each
 * other what became of it, and a given answer is credited to a single worker. The answer is given with the worker's credibility, unless it
 * is drawn for a spot check. Then a trusted worker is asked too, its answer is given, and the untrusted worker's answer is compared with
 * it. No worker can predict the draw.
 *
 * The layer stands beneath `hedge`, around single attempts: for `hedge`, an answer that is not given is an attempt that failed through
 * nobody's fault, so that other attempts for the query go on.
 */

import { append, NONE } from '../base/arrays'
import { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Apart, Attempt, Attempts, Identity, Priority } from '../pool/attempt'
import type { Caller, Drop, Failure, Layer, Outcome, Query, Service, Tried } from '../service'
import { answerOf, changed, OutgoingCall } from '../service'
import type { OpenReputation } from '../trust/open-reputation'
import type { ModelWorker } from '../workers/worker'

export interface VouchOptions {
  readonly trust: OpenReputation
  readonly pool: Pick<Attempts, 'available'>
}

export function vouch(options: VouchOptions): Layer {
  return (next) => (query, caller) => {
    const { reach } = query.tried
    const vouched = reach instanceof VouchedQuery ? reach : new VouchedQuery(options, query)
    return new VouchedCall(options.trust, next, query, vouched, caller)
  }
}

/** State that all calls for a query share. */
class VouchedQuery implements Apart {
  readonly #options: VouchOptions
  readonly #payload: Payload
  readonly #tried: Tried
  #open = 0
  /** The untrusted worker's answer that was drawn for a spot check. */
  #checked: Attempt | undefined
  /** The first answer of a trusted worker. */
  #right: Payload | undefined
  /** Attempts that ended before the trusted worker's answer, which they will be compared with. */
  #unmeasured: readonly Attempt[] = NONE

  constructor(options: VouchOptions, { payload, tried }: Query) {
    this.#options = options
    this.#payload = payload
    this.#tried = tried
    tried.reach = this
  }

  /** Blocks an untrusted worker if the query was sent to another one, even if that one refused it. */
  blocks(identity: Identity): boolean {
    if (!this.#options.trust.has(identity)) return false
    for (const { seenBy } of this.#tried.attempts) for (const seer of seenBy) if (seer !== identity) return true
    return false
  }

  available(blocked: Iterable<Identity>): number {
    const { trust, pool } = this.#options
    const seers = this.#tried.attempts.flatMap(({ seenBy }) => seenBy)
    return seers.length ? trust.among(seers, [...blocked]) : pool.available(blocked)
  }

  /** Whether another attempt for the query runs, or no worker is left to be asked. */
  get isAsked(): boolean {
    return this.#tried.isLive || this.#tried.left(this.#options.pool) < 1
  }

  began(): void {
    this.#open++
  }

  check(attempt: Attempt): void {
    this.#checked = attempt
    this.heard(attempt)
  }

  /** An attempt has ended, and its worker is not doubted. */
  heard(attempt: Attempt): void {
    const { trust } = this.#options
    const { worker, onTime } = attempt
    if (!worker) return
    const answer = answerOf(attempt)
    if (answer && trust.worth(worker) === 'exact') this.#confirm(worker, answer)
    // Without this an untrusted worker could fail at no cost once a trusted worker has answered. A worker that was told to stop has to
    // fail.
    else if (!this.#right) this.#unmeasured = append(this.#unmeasured as Attempt[], attempt)
    else if (answer || !worker.interruptible) this.#measure(attempt, this.#right)
    const isGiven = answer && onTime && attempt !== this.#checked
    if (isGiven && !this.#right) trust.given(worker)
  }

  done(): void {
    if (--this.#open || this.#right || !this.#checked) return
    this.#options.trust.owe(this.#checked.identity as Identity)
  }

  /**
   * The first answer of a trusted worker is compared with those of untrusted workers. If no untrusted worker was sent the query, it becomes
   * a quiz for later.
   */
  #confirm(worker: ModelWorker, answer: Payload): void {
    const { trust } = this.#options
    if (this.#right) return
    this.#right = answer
    trust.answered(worker)
    for (const attempt of this.#unmeasured) this.#measure(attempt, answer)
    this.#unmeasured = NONE
    const isSeen = this.#tried.attempts.some(({ seenBy }) => seenBy.length)
    if (!isSeen) trust.keep({ payload: this.#payload.kept(), answer: answer.copy() }) // copied: the caller may write to its answer
  }

  #measure(attempt: Attempt, right: Payload): void {
    this.#options.trust.measure(attempt, right, attempt === this.#checked)
  }
}

class VouchedCall extends OutgoingCall {
  readonly #trust: VouchOptions['trust']
  readonly #next: Service
  readonly #query: Query
  readonly #vouched: VouchedQuery
  readonly #caller: Caller
  /** Attempts that are not done. */
  #running = 0
  #isOpen = true
  /** The model was replaced: answers prove nothing any more. */
  #isVoid = false

  constructor(trust: VouchOptions['trust'], next: Service, query: Query, vouched: VouchedQuery, caller: Caller) {
    super()
    this.#trust = trust
    this.#next = next
    this.#query = query
    this.#vouched = vouched
    this.#caller = caller
    vouched.began()
    this.#ask(query.priority, query.why)
  }

  override drop(why: Drop): void {
    this.#isOpen = false
    if (why === 'void') this.#isVoid = true
    super.drop(why)
  }

  began(attempt: Attempt): void {
    const isAgain = attempt.seenBy.length > 1 // the same worker begins again, after it refused the attempt
    if (!isAgain) this.#trust.began(attempt.worker as ModelWorker)
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    const trust = this.#trust
    trust.missed(attempt)
    this.#caller.ended?.(attempt)
    const isAnswer = answerOf(attempt) !== undefined
    const isGiven = isAnswer && this.#isOpen // `settled` follows
    const isNone = isAnswer && trust.doubts(attempt.worker as ModelWorker)
    if (!isGiven && !isNone && !this.#isVoid) this.#vouched.heard(attempt)
  }

  settled(outcome: Outcome): void {
    if (!this.#isOpen) return
    if (outcome.kind === 'failure') return this.#end(outcome)
    const trust = this.#trust
    const [attempt] = outcome.by as readonly Attempt[]
    const worker = attempt.worker as ModelWorker
    if (trust.doubts(worker)) return this.#end(notGiven('its worker is not believed'))
    if (trust.checks(worker)) {
      this.#vouched.check(attempt)
      return this.#vouched.isAsked ? this.#end(notGiven('it is checked')) : this.#ask('high', 'check')
    }
    const status = trust.worth(worker)
    this.#end(
      status === 'exact'
        ? outcome
        : { kind: 'answer', answer: outcome.answer, status, confidence: trust.credibility(worker), by: outcome.by },
    )
    this.#vouched.heard(attempt)
  }

  done(): void {
    if (--this.#running) return
    this.#vouched.done()
    this.#caller.done?.()
  }

  #ask(priority: Priority, why: Query['why']): void {
    this.#running++
    this.send(this.#next, changed(this.#query, { priority, why, apart: [...this.#query.apart, this.#vouched] }))
  }

  #end(outcome: Outcome): void {
    this.#isOpen = false
    this.#caller.settled(outcome)
  }
}

function notGiven(why: string): Failure {
  return { kind: 'failure', error: new ApproxiferError('WORKER', `the answer is not given: ${why}`), blame: 'nobody' }
}
