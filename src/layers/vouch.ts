/**
 * Anybody may join. A query goes to one stranger at most: an answer that is given is credited to one, and two strangers could tell each other
 * what became of the query. A stranger's answer is given with his credibility, unless it is drawn for a check, which no stranger can foretell: a
 * trusted worker is asked then, its answer is given, and measures the stranger's.
 *
 * Beneath `hedge`, around single attempts: `hedge` takes an answer that is not given for an attempt that failed through nobody's fault, so that
 * other attempts for the query go on.
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
  readonly trust: Pick<
    OpenReputation,
    | 'among'
    | 'answered'
    | 'began'
    | 'checks'
    | 'credibility'
    | 'doubts'
    | 'given'
    | 'has'
    | 'keep'
    | 'measure'
    | 'missed'
    | 'owe'
    | 'worth'
  >
  readonly pool: Pick<Attempts, 'available'>
}

export function vouch(options: VouchOptions): Layer {
  return (next) => (query, caller) => {
    const { reach } = query.tried
    const vouched = reach instanceof VouchedQuery ? reach : new VouchedQuery(options, query)
    return new VouchedCall(options.trust, next, query, vouched, caller)
  }
}

/** What all calls for one query share. */
class VouchedQuery implements Apart {
  readonly #options: VouchOptions
  readonly #payload: Payload
  readonly #tried: Tried
  /** Calls that are not done. */
  #open = 0
  /** The stranger's answer that was drawn for a check. */
  #checked: Attempt | undefined
  /** A trusted worker's answer. */
  #right: Payload | undefined
  /** Attempts that ended before it came: it tells what the strangers' are worth. */
  #unmeasured: readonly Attempt[] = NONE

  constructor(options: VouchOptions, { payload, tried }: Query) {
    this.#options = options
    this.#payload = payload
    this.#tried = tried
    tried.reach = this
  }

  /** A stranger, where another one was sent the query, though he refused it. */
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

  /** Whether another attempt for it is at work, or nobody is left to be asked. */
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

  /** An attempt has an outcome, and its worker is not doubted. */
  heard(attempt: Attempt): void {
    const { trust } = this.#options
    const { worker, onTime } = attempt
    if (!worker) return
    const answer = answerOf(attempt)
    if (answer && trust.worth(worker) === 'exact') this.#confirm(worker, answer)
    // Behind a trusted worker's answer a stranger could else fail at no cost; one that was told to stop has to.
    else if (!this.#right) this.#unmeasured = append(this.#unmeasured as Attempt[], attempt)
    else if (answer || !worker.interruptible) this.#measure(attempt, this.#right)
    const isGiven = answer && onTime && attempt !== this.#checked
    if (isGiven && !this.#right) trust.given(worker)
  }

  done(): void {
    if (--this.#open || this.#right || !this.#checked) return
    this.#options.trust.owe(this.#checked.identity as Identity)
  }

  /** The first answer of a trusted worker measures those of strangers; it makes a quiz of the query where no stranger was sent it. */
  #confirm(worker: ModelWorker, answer: Payload): void {
    const { trust } = this.#options
    if (this.#right) return
    this.#right = answer
    trust.answered(worker)
    for (const attempt of this.#unmeasured) this.#measure(attempt, answer)
    this.#unmeasured = NONE
    const isSeen = this.#tried.attempts.some(({ seenBy }) => seenBy.length)
    if (!isSeen) trust.keep({ payload: this.#payload.kept(), answer: answer.copy() }) // who has the answer may write to it
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
  /** Its answers tell nothing. */
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
    const isAgain = attempt.seenBy.length > 1 // the stranger that refused it
    if (!isAgain) this.#trust.began(attempt.worker as ModelWorker)
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    const trust = this.#trust
    trust.missed(attempt)
    this.#caller.ended?.(attempt)
    const isAnswer = answerOf(attempt) !== undefined
    const isGiven = isAnswer && this.#isOpen // in a moment
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
