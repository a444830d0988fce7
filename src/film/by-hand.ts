/** What a good engineer would write by hand on the same pool: hedged requests at the running 95th percentile with a retry, or copies. */

import type { Clock } from '../base/clock'
import { acceptAnswers, Payload } from '../base/payload'
import { SlidingQuantile } from '../base/stats'
import type { Signature } from '../base/tensor'
import { Budget } from '../layers/query-share'
import { type Attempt, type AttemptOutcome, type Owner, Pool, type PoolOptions, type Priority } from '../pool/pool'
import type { ModelWorker } from '../workers/worker'

export interface ByHandOptions {
  /** Share of the queries that may be asked a second time when they are late. Default 0. */
  hedges?: number
  /** Share of first answers that are not late. Default .95, what the literature takes. */
  percentile?: number
  /** How often every query is asked from the start. Default 1. */
  copies?: number
  /** Equal answers that it takes. Where all copies came and too few are equal another worker is asked. Default 1. */
  votes?: number
  same?: (a: Float32Array, b: Float32Array) => boolean
  /** Who deals rows to workers. Default: the predictor's own pool. */
  pool?: new (
    workers: readonly ModelWorker[],
    options: PoolOptions<Payload>,
  ) => RowSource
}

type RowSource = Pick<Pool<Payload, Payload>, 'submit' | 'cancel'>

/** A query that failed is asked once more, elsewhere. */
const RETRIES = 1

/** Times that are kept, and those that tell; with few, three medians are late. */
const [WINDOW, ENOUGH, FEW, FEW_MEDIANS] = [500, 50, 10, 3]

/** One queue; with a budget a second request for what is late; with copies the first answer, or the first that has enough votes. */
export class ByHand {
  readonly pool: RowSource
  readonly signature: Signature
  readonly #times = new SlidingQuantile(WINDOW)
  readonly #percentile: number
  readonly budget: Budget
  readonly copies: number
  readonly votes: number
  readonly same: (a: Float32Array, b: Float32Array) => boolean

  constructor(
    readonly clock: Clock,
    workers: readonly ModelWorker[],
    { hedges = 0, percentile = 0.95, copies = 1, votes = 1, same = () => true, pool = Pool }: ByHandOptions,
  ) {
    this.#percentile = percentile
    this.signature = workers[0].signature
    this.pool = new pool(workers, { clock, hangMs: 30_000, accept: acceptAnswers(this.signature, true) })
    this.budget = new Budget(hedges, 10)
    this.copies = copies
    this.votes = votes
    this.same = same
  }

  ask(data: Float32Array): Promise<Float32Array> {
    this.budget.earn()
    const payload = Payload.of(data, this.signature.inputs)
    return new Promise((resolve, reject) => new HandQuery(this, payload, resolve, reject))
  }

  /** How long a query took. */
  see(ms: number): void {
    this.#times.add(ms)
  }

  /** How long one waits until it is late; undefined before enough were seen. */
  get lateMs(): number | undefined {
    const { count } = this.#times
    if (count < FEW) return undefined
    return count < ENOUGH ? FEW_MEDIANS * this.#times.quantile(0.5) : this.#times.quantile(this.#percentile)
  }
}

class HandQuery implements Owner {
  readonly #start: number
  readonly #attempts: Attempt<Payload, Payload>[] = []
  readonly #answers: Float32Array[] = []
  #failures = 0
  #isDone = false

  constructor(
    readonly to: ByHand,
    readonly payload: Payload,
    readonly resolve: (answer: Float32Array) => void,
    readonly reject: (error: unknown) => void,
  ) {
    this.#start = to.clock.now()
    for (let copy = 0; copy < to.copies; copy++) this.#ask('normal')
  }

  blocks(identity: string): boolean {
    return this.#attempts.some((other) => other.identity === identity)
  }

  began(attempt: unknown): void {
    const { clock, lateMs, budget } = this.to
    if (!this.#isFirst(attempt) || lateMs === undefined) return
    const late = () => {
      if (this.#isDone || !budget.has) return
      budget.take()
      this.#ask('high')
    }
    clock.after(this.#start + lateMs - clock.now(), late)
  }

  settled(attempt: unknown): void {
    if (this.#isFirst(attempt)) this.to.see(this.to.clock.now() - this.#start)
    if (!this.#isDone) this.#heard((attempt as Attempt<Payload, Payload>).outcome)
  }

  #isFirst(attempt: unknown): boolean {
    return !this.#attempts.length || attempt === this.#attempts[0]
  }

  #heard(outcome: AttemptOutcome<Payload> | undefined): void {
    if (outcome?.kind === 'failed') return this.#failed(outcome.error)
    if (outcome?.kind !== 'answered') return
    const answer = outcome.answer.vector
    this.#answers.push(answer)
    this.#isDone = this.#answers.filter((other) => this.to.same(other, answer)).length >= this.to.votes
    if (this.#isDone) {
      this.#cancelQueued()
      this.resolve(answer)
    } else if (this.#isOver) this.#ask('high')
  }

  /** No attempt is under way that may still answer. */
  get #isOver(): boolean {
    return this.#failures + this.#answers.length === this.#attempts.length
  }

  #failed(error: unknown): void {
    if (++this.#failures <= RETRIES) this.#ask('high')
    else if (this.#isOver) this.reject(error)
  }

  #ask(priority: Priority): void {
    const { payload } = this
    this.#attempts.push(this.to.pool.submit({ payload, owner: this, apart: [this], priority }))
  }

  #cancelQueued(): void {
    for (const attempt of this.#attempts) if (attempt.phase === 'queued') this.to.pool.cancel(attempt)
  }
}
