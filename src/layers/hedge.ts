/**
 * Asks another worker if the first is late, within a budget, and at once if it failed. The first answer wins. No worker is asked for a
 * query that would be answered too late; a layer above may still answer that query.
 */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Attempt, Attempts, Priority } from '../pool/attempt'
import {
  type Call,
  type Caller,
  changed,
  type Drop,
  type Failure,
  type Layer,
  type Outcome,
  OutgoingCall,
  type Query,
  type Service,
  SettledCall,
  type Tried,
} from '../service'
import type { Lateness } from './lateness'
import type { Budget } from './query-share'
import { type Timeable, Timers } from './timers'

/**
 * Limits of a query, over all of its calls. Hedges: with 5 % stragglers, one hedge gives a p99.9 of about 100 ms, up to three give 34, for
 * .5 % more machine time. `failures` and `downs`: after this many workers have failed on a query, or gone down with it, the query is blamed
 * itself.
 */
const MOST = { hedges: 3, failures: 3, downs: 2 }

type HedgedPool = Pick<
  Attempts,
  'available' | 'free' | 'isOverloaded' | 'nobody' | 'size' | 'tooLate' | 'usable' | 'waiting'
>

export interface HedgeOptions {
  readonly clock: Clock
  readonly lateness: Pick<Lateness, 'ages' | 'tell'>
  readonly budget: Pick<Budget, 'earn' | 'has' | 'take'>
  readonly pool: HedgedPool
  /** Statistics: hedges that a worker began, and hedges that answered first. */
  readonly counts: { sent: number; won: number }
  /** Whether answers after the deadline go on to teach a memory. */
  readonly teaches?: boolean
  /**
   * Whether each call is one of several whose answers are compared (a vote). A slower worker then goes on, and retries ignore the policy
   * and the number of failures.
   */
  readonly compares?: boolean
  /** Limits of a query, over all of its calls: workers that may go down with it, and that may fail on it. Default 2 and 3. */
  readonly mostDowns?: number
  readonly mostFailures?: number
}

export function hedge(options: HedgeOptions): Layer {
  return (next) => {
    const layer = { compares: false, ...options, next, timers: new Timers(options.clock), open: 0 }
    return (query, caller) =>
      query.refusal
        ? new SettledCall(caller, { kind: 'failure', error: query.refusal, blame: 'load' })
        : new HedgedCall(layer, query, caller)
  }
}

/** State that the layer's calls share. */
interface HedgeLayer extends HedgeOptions {
  readonly next: Service
  readonly timers: Timers
  readonly compares: boolean
  /** Queries under way. A query's later calls do not count again. */
  open: number
}

class HedgedCall implements Call, Timeable {
  readonly layer: HedgeLayer
  readonly query: Query
  readonly caller: Caller
  readonly #sent: HedgedAttempt[] = []
  /** Attempts that are not done. */
  #running = 0
  /** Whether this is the query's first call, which earns a share of the hedging budget. */
  readonly #isFirst: boolean
  #isOver = false
  /** The model was replaced: answers prove nothing any more. */
  isVoid = false
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(layer: HedgeLayer, query: Query, caller: Caller) {
    this.layer = layer
    this.query = query
    this.caller = caller
    const { budget } = layer
    this.#isFirst = !query.tried.attempts.length
    if (this.#isFirst) budget.earn(layer.open++)
    this.#ask(query.priority)
  }

  drop(why: Drop): void {
    this.#end()
    if (why === 'void') this.isVoid = true
    for (const attempt of this.#sent) attempt.drop(why)
  }

  expire(): void {
    this.#end({ kind: 'failure', error: this.#expired, blame: 'nobody' })
    const { teaches, compares, pool } = this.layer
    const why = compares || (teaches && !pool.isOverloaded) ? 'teach' : 'over'
    for (const attempt of this.#sent) attempt.drop(why)
  }

  #end(outcome?: Outcome): void {
    if (this.#isOver) return
    this.#isOver = true
    this.layer.timers.remove(this)
    if (outcome) this.caller.settled(outcome)
  }

  #ask(priority: Priority, why = this.query.why): void {
    const isSame = priority === this.query.priority && why === this.query.why
    const query = isSame ? this.query : changed(this.query, { priority, why })
    const attempt = new HedgedAttempt(this, why === 'hedge')
    this.#running++
    this.#sent.push(attempt)
    attempt.send(this.layer.next, query)
  }

  settled(attempt: HedgedAttempt, outcome: Outcome): void {
    if (outcome.kind === 'answer') {
      if (attempt.isHedge) this.layer.counts.won++
      this.#end(outcome)
      const why = this.layer.compares ? 'teach' : 'over'
      for (const other of this.#sent) if (other !== attempt) other.drop(why)
      return
    }
    if (this.#isDeadly) for (const other of this.#sent) if (!other.attempt) other.drop('over')
    if (this.#sent.some(({ isSettled }) => !isSettled)) this.due(this.layer.clock.now())
    else this.#failed(outcome)
  }

  /** Whether the query has brought down so many workers that no other gets it. */
  get #isDeadly(): boolean {
    const { mostDowns = MOST.downs } = this.layer
    return this.query.tried.downs >= mostDowns
  }

  done(): void {
    if (--this.#running) return
    if (this.#isFirst) this.layer.open--
    this.caller.done?.()
  }

  #failed(outcome: Failure): void {
    const { pool, compares, mostFailures = MOST.failures } = this.layer
    const { tried, choices, priority } = this.query
    if (this.#isOver) return
    if (!tried.isLive) tried.onNeed?.()
    if (this.#isOver) return
    if (tried.waits(() => this.#goOn(outcome))) {
      this.#running++ // not done: another worker may yet be asked
      return
    }
    const mayRetry =
      (outcome.blame === 'worker' || outcome.blame === 'nobody') &&
      (compares || (choices.policy !== 'recover' && tried.failures < mostFailures)) &&
      !this.#isDeadly &&
      (tried.left(pool) > 0 || (pool.usable > 0 && tried.forgive()))
    const refusal = mayRetry ? pool.tooLate(this.query) : undefined
    if (refusal) this.#end({ kind: 'failure', error: refusal, blame: 'load' })
    else if (mayRetry) {
      tried.trace?.hedged('failed')
      this.#ask(priority === 'low' ? 'low' : pool.isOverloaded ? 'normal' : 'high', 'retry')
    } else if (outcome.blame === 'load') this.#end(outcome)
    else this.#end({ ...outcome, error: whyFailed(tried, pool, this.#isDeadly) })
  }

  #goOn(outcome: Failure): void {
    this.#failed(outcome)
    this.done()
  }

  /** Hedges if the newest attempt is late by now; else sets the timer. */
  due(now: number): void {
    if (this.#isOver) return
    if (now >= this.#lateAt) this.#hedge(now)
    else this.plan()
  }

  /** Sets the timer for when the newest attempt will be late. */
  plan(): void {
    if (!this.#isOver) this.#lookAt(this.#lateAt)
  }

  #lookAt(at: number): void {
    const { lateness, timers } = this.layer
    if (at < Number.POSITIVE_INFINITY) timers.set(this, at)
    else timers.remove(this)
    if (!lateness.ages) timers.wait(this)
  }

  /**
   * When the newest attempt is late; Infinity while an attempt is queued. Until service times are known, an attempt is late half-way from
   * its start to the deadline.
   */
  get #lateAt(): number {
    const { ages } = this.layer.lateness
    let lateAt = Number.NEGATIVE_INFINITY
    for (const { attempt, isSettled } of this.#sent) {
      if (isSettled) continue
      // An attempt that has ended without an end of its call means that a layer beneath waits for another worker.
      const isAtWork = attempt && !attempt.outcome && !Number.isNaN(attempt.startedAt)
      if (!isAtWork) return Number.POSITIVE_INFINITY
      const { startedAt, factor } = attempt
      const ms = factor * (ages?.hedgeMs ?? (this.query.dueAt - startedAt) / 2)
      lateAt = Math.max(lateAt, startedAt + ms)
    }
    return lateAt
  }

  /**
   * A hedge goes ahead of queued queries, unless the wait of these queries together exceeds what the hedge saves. Where none is allowed, the
   * query looks again when it is twice as old: by then later queries may have earned one, or the load be gone.
   */
  #hedge(now: number): void {
    const { budget, pool, lateness } = this.layer
    const { tried, priority, since } = this.query
    if (priority === 'low' || this.#isDeadly) return // no caller waits, or each worker that gets the query goes down
    if (tried.hedges >= MOST.hedges || !budget.has || pool.isOverloaded || tried.left(pool) < 1)
      return this.#lookAt(now + Math.max(1, now - since))
    tried.onNeed?.()
    if (this.#isOver || tried.waits(() => this.due(this.layer.clock.now()))) return
    budget.take()
    tried.hedges++
    tried.trace?.hedged('late')
    this.#ask(pool.waiting <= (lateness.ages?.worth ?? 0) ? 'high' : 'normal', 'hedge')
  }

  get #expired(): ApproxiferError {
    const { clock, pool } = this.layer
    const ms = Math.round(clock.now() - this.query.since)
    const isAsked = this.query.tried.attempts.some(({ worker }) => worker)
    const why = isAsked ? `no answer within ${ms} ms` : `waited ${ms} ms for workers, ${pool.free} of ${pool.size} free`
    return new ApproxiferError('DEADLINE', why)
  }
}

class HedgedAttempt extends OutgoingCall {
  readonly #hedged: HedgedCall
  readonly isHedge: boolean
  /** undefined until a worker has begun it. */
  attempt: Attempt | undefined
  /** Whether it has answered, failed or was dropped. */
  isSettled = false

  constructor(hedged: HedgedCall, isHedge: boolean) {
    super()
    this.#hedged = hedged
    this.isHedge = isHedge
  }

  override drop(why: Drop): void {
    this.isSettled = true
    super.drop(why)
  }

  began(attempt: Attempt): void {
    const { layer, query, caller } = this.#hedged
    if (this.isHedge && !this.attempt) layer.counts.sent++
    if (this.isHedge) query.tried.hedged = true
    this.attempt = attempt
    caller.began?.(attempt)
    this.#hedged.plan()
  }

  ended(attempt: Attempt): void {
    const { layer, query, caller, isVoid } = this.#hedged
    if (attempt === query.tried.attempts[0] && !isVoid) tellLateness(layer, attempt)
    caller.ended?.(attempt)
  }

  settled(outcome: Outcome): void {
    this.isSettled = true
    this.#hedged.settled(this, outcome)
  }

  done(): void {
    this.#hedged.done()
  }
}

/** Late attempts are measured too: answer times of callers alone would leave out every straggler that was hedged. */
function tellLateness({ lateness, timers }: HedgeLayer, attempt: Attempt): void {
  lateness.tell(attempt)
  if (lateness.ages) timers.wake()
}

function whyFailed(tried: Tried, pool: HedgedPool, isDeadly: boolean): ApproxiferError {
  const { attempts } = tried
  const errors = attempts.flatMap(({ outcome, worker }) => (worker && outcome?.kind === 'failed' ? outcome : []))
  const last = errors.at(-1)
  if (!pool.usable || !last) return new ApproxiferError('WORKER', pool.nobody)
  const workers = new Set(attempts.flatMap(({ worker }) => worker?.name ?? [])).size
  const all = workers === pool.size ? 'all ' : ''
  const tries = attempts.length > workers ? ` in ${attempts.length} tries` : ''
  const what = isDeadly
    ? `${workers} workers went down with the query, and no other is asked`
    : `${all}${workers} workers failed on the query${tries}`
  return new ApproxiferError('WORKER', `${what}: ${last.error.message}`, { ofQuery: isDeadly || tried.isFaulty })
}
