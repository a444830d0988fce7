/**
 * Another worker is asked where the first is late, within a budget, and at once where it failed. The first answer wins. A query that would be
 * answered too late is refused before a worker is asked.
 */

import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import type { Attempt, Attempts, Priority } from '../pool/attempt'
import type { Forecast } from '../pool/forecast'
import type { Budget } from '../query/budget'
import type { Lateness } from '../query/lateness'
import type { Call, Caller, Drop, Failure, Layer, Outcome, Query, Service, Tried } from '../service'

/** Of one query, not of one call. */
export interface Most {
  /** Once only, p99.9 where 5 % are stragglers is about 100 ms; with up to three 34, for .5 % of machine time. */
  readonly hedges: number
  /** Workers that may fail on it, and that may go down with it, before it is given up: the fault is then its own. */
  readonly failures: number
  readonly downs: number
}

type HedgedPool = Pick<
  Attempts,
  'available' | 'free' | 'isOverloaded' | 'nobody' | 'size' | 'tooLate' | 'usable' | 'waiting'
> & {
  readonly forecast: Pick<Forecast, 'refusal'>
}

export interface HedgeOptions {
  readonly clock: Clock
  readonly lateness: Pick<Lateness, 'ages' | 'tell'>
  readonly budget: Pick<Budget, 'earn' | 'has' | 'take'>
  readonly pool: HedgedPool
  /** Hedges that went to a worker, and those that answered first: they are counted here. */
  readonly counts: { sent: number; won: number }
  readonly most?: Most
}

const MOST: Most = { hedges: 3, failures: 3, downs: 2 }

export function hedge(options: HedgeOptions): Layer {
  const state: State = { open: 0, unpaced: new Set() }
  return (next) => (query, caller) => new HedgedCall(options, state, next, query, caller)
}

/** What the calls of one layer share. */
interface State {
  /** Calls that are not done. */
  open: number
  /** Calls that wait while nobody knows yet what is late. */
  readonly unpaced: Set<HedgedCall>
}

/** One of the attempts. */
interface Sent {
  call: Call
  readonly isHedge: boolean
  /** undefined before a worker has begun with it. */
  attempt: Attempt | undefined
  isSettled: boolean
}

class HedgedCall implements Call {
  readonly #options: HedgeOptions
  readonly #state: State
  readonly #next: Service
  readonly #query: Query
  readonly #caller: Caller
  readonly #sent: Sent[] = []
  /** Attempts that are not done. */
  #running = 0
  #isOver = false
  #cancelTimer: (() => void) | undefined

  constructor(options: HedgeOptions, state: State, next: Service, query: Query, caller: Caller) {
    this.#options = options
    this.#state = state
    this.#next = next
    this.#query = query
    this.#caller = caller
    const { pool, budget, clock } = options
    const isFirst = !query.tried.attempts.length // else an earlier call for the query has earned, and was let in
    const refusal =
      isFirst && !query.admitted ? pool.forecast.refusal(query.dueAt - clock.now(), query.turn) : undefined
    if (refusal) this.#refuse(refusal)
    else {
      if (isFirst) budget.earn(state.open)
      state.open++
      this.#ask(query.priority)
    }
  }

  drop(why: Drop): void {
    this.#end()
    for (const { call } of this.#sent) call.drop(why)
  }

  expire(): void {
    this.#end({ kind: 'failure', error: this.#expired, blame: 'nobody' })
    for (const { call } of this.#sent) call.drop('over')
  }

  #refuse(error: ApproxiferError): void {
    queueMicrotask(() => {
      this.#end({ kind: 'failure', error, blame: 'load' })
      this.#caller.done?.()
    })
  }

  #end(outcome?: Outcome): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#state.unpaced.delete(this)
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (outcome) this.#caller.settled(outcome)
  }

  #ask(priority: Priority, isHedge = false): void {
    const { tried } = this.#query
    const sent: Sent = { call: UNKNOWN, isHedge, attempt: undefined, isSettled: false }
    this.#running++
    const query = priority === this.#query.priority ? this.#query : withPriority(this.#query, priority)
    this.#sent.push(sent)
    sent.call = this.#next(query, {
      began: (attempt) => {
        if (isHedge && !sent.attempt) this.#options.counts.sent++
        if (isHedge) tried.hedged = true
        sent.attempt = attempt
        this.#caller.began?.(attempt)
        this.#poll()
      },
      ended: (attempt) => {
        if (attempt === tried.attempts[0]) this.#tellLateness(attempt)
        this.#caller.ended?.(attempt)
      },
      settled: (outcome) => this.#settled(sent, outcome),
      done: () => {
        if (--this.#running) return
        this.#state.open--
        this.#caller.done?.()
      },
    })
  }

  #settled(sent: Sent, outcome: Outcome): void {
    sent.isSettled = true
    if (outcome.kind === 'answer') {
      if (sent.isHedge) this.#options.counts.won++
      this.#end(outcome)
      for (const other of this.#sent) if (other !== sent) other.call.drop('over')
    } else if (this.#sent.some(({ isSettled }) => !isSettled)) this.#poll()
    else this.#failed(outcome)
  }

  #failed(outcome: Failure): void {
    if (this.#isOver) return
    const { pool } = this.#options
    const { tried, choices } = this.#query
    const most = this.#options.most ?? MOST
    const mayRetry =
      (outcome.blame === 'worker' || outcome.blame === 'nobody') &&
      choices.policy !== 'recover' &&
      tried.failures < most.failures &&
      tried.downs < most.downs &&
      (tried.left(pool) > 0 || (pool.usable > 0 && tried.forgive()))
    const refusal = mayRetry ? pool.tooLate(this.#query) : undefined
    if (refusal) this.#end({ kind: 'failure', error: refusal, blame: 'load' })
    else if (mayRetry) this.#ask(pool.isOverloaded ? 'normal' : 'high')
    else if (outcome.blame === 'load') this.#end(outcome)
    else this.#end({ ...outcome, error: whyFailed(tried, pool, tried.downs >= most.downs) })
  }

  /** Asks another worker where the newest attempt has been at work for long enough; else sets the timer for when it will have been. @param planned  what the timer was set for: it may fire a millisecond early */
  #poll(planned = 0): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#isOver) return
    const { clock, lateness } = this.#options
    if (!lateness.ages) this.#state.unpaced.add(this)
    const lateAt = this.#lateAt
    const now = Math.max(planned, clock.now())
    if (now >= lateAt) this.#hedge()
    else if (lateAt < Number.POSITIVE_INFINITY)
      this.#cancelTimer = clock.after(lateAt - now, () => {
        this.#cancelTimer = undefined
        this.#poll(lateAt)
      })
  }

  /** When its newest attempt is late; Infinity while one is queued. While nobody knows what is late half of the time to the deadline is. */
  get #lateAt(): number {
    const { ages } = this.#options.lateness
    let lateAt = Number.NEGATIVE_INFINITY
    for (const { attempt, isSettled } of this.#sent) {
      if (isSettled) continue
      if (!attempt || Number.isNaN(attempt.startedAt)) return Number.POSITIVE_INFINITY
      const { startedAt, factor } = attempt
      const ms = factor * (ages?.hedgeMs ?? (this.#query.dueAt - startedAt) / 2)
      lateAt = Math.max(lateAt, startedAt + ms)
    }
    return lateAt
  }

  /** The hedge goes before those that wait, unless it keeps them from a worker for longer together than it saves. */
  #hedge(): void {
    const { budget, pool, lateness, most = MOST } = this.#options
    const { tried } = this.#query
    if (tried.hedges >= most.hedges || !budget.has || pool.isOverloaded || tried.left(pool) < 1) return
    budget.take()
    tried.hedges++
    this.#ask(pool.waiting <= (lateness.ages?.worth ?? 0) ? 'high' : 'normal', true)
  }

  /** Also long after another answer was given: times at which callers were served would censor themselves. */
  #tellLateness(attempt: Attempt): void {
    const { lateness } = this.#options
    lateness.tell(attempt)
    if (!lateness.ages || !this.#state.unpaced.size) return
    const waiting = [...this.#state.unpaced]
    this.#state.unpaced.clear()
    for (const call of waiting) call.#poll()
  }

  get #expired(): ApproxiferError {
    const { clock, pool } = this.#options
    const ms = Math.round(clock.now() - this.#query.since)
    const isAsked = this.#query.tried.attempts.some(({ worker }) => worker)
    const why = isAsked ? `no answer within ${ms} ms` : `waited ${ms} ms for workers, ${pool.free} of ${pool.size} free`
    return new ApproxiferError('DEADLINE', why)
  }
}

/** Of an attempt that is being asked for: nothing can be told of it yet. */
const UNKNOWN: Call = { drop() {}, expire() {} }

/** Each by its name: a spread of ten names takes 2 us. */
function withPriority(query: Query, priority: Priority): Query {
  const { payload, choices, turn, since, dueAt, admitted, apart, tried } = query
  return { payload, choices, turn, since, dueAt, priority, admitted, apart, tried }
}

function whyFailed({ attempts }: Tried, pool: HedgedPool, isDeadly: boolean): ApproxiferError {
  const errors = attempts.flatMap(({ outcome, worker }) => (worker && outcome?.kind === 'failed' ? outcome : []))
  const last = errors.at(-1)
  if (!pool.usable || !last) return new ApproxiferError('WORKER', pool.nobody)
  const workers = new Set(attempts.flatMap(({ worker }) => worker?.name ?? [])).size
  const all = workers === pool.size ? 'all ' : ''
  const tries = attempts.length > workers ? ` in ${attempts.length} tries` : ''
  const what = isDeadly
    ? `${workers} workers went down with the query, and no other is asked`
    : `${all}${workers} workers failed on the query${tries}`
  // Workers that were there answered it with an error, or it took several down: another server's would fare no better.
  const isFault = ({ lost, error }: (typeof errors)[number]) => !lost && error.code !== 'OVERLOADED'
  const ofQuery = isDeadly || (errors.length === attempts.length && errors.every(isFault))
  return new ApproxiferError('WORKER', `${what}: ${last.error.message}`, { ofQuery })
}
