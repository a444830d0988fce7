/** What a good engineer would write by hand on the same pool: hedged requests at the running 95th percentile, or copies. */

import type { Clock } from '../../clock'
import { type Attempt, type Outcome, type Owner, Pool, type PoolOptions, type Priority } from '../../pool/pool'
import { Budget } from '../../query/budget'
import { Lateness } from '../../query/lateness'
import { acceptAnswers } from '../../tensor'
import type { ModelWorker } from '../../workers/worker'

export interface ByHandOptions {
  /** Share of the queries that may be asked a second time when they are late. Default 0. */
  hedges?: number
  /** How often every query is asked from the start. Default 1. */
  copies?: number
  /** Equal answers that it takes. Where all copies came and too few are equal another worker is asked. Default 1. */
  votes?: number
  same?: (a: Float32Array, b: Float32Array) => boolean
  /** Who deals rows to workers. Default: the predictor's own pool. */
  pool?: new (
    workers: readonly ModelWorker[],
    options: PoolOptions<Float32Array>,
  ) => RowSource
}

type RowSource = Pick<Pool<Float32Array, Float32Array>, 'submit' | 'cancel'>

/** Share of first answers that are not late: what the literature takes. */
const PATIENCE = 0.95

/** One queue; with a budget a second request for what is late; with copies the first answer, or the first that has enough votes. */
export class ByHand {
  readonly pool: RowSource
  readonly lateness = new Lateness(PATIENCE)
  readonly budget: Budget
  readonly copies: number
  readonly votes: number
  readonly same: (a: Float32Array, b: Float32Array) => boolean

  constructor(
    readonly clock: Clock,
    workers: readonly ModelWorker[],
    { hedges = 0, copies = 1, votes = 1, same = () => true, pool = Pool }: ByHandOptions,
  ) {
    this.pool = new pool(workers, { clock, hangMs: 30_000, accept: acceptAnswers(workers[0].signature) })
    this.budget = new Budget(hedges, 10)
    this.copies = copies
    this.votes = votes
    this.same = same
  }

  ask(data: Float32Array): Promise<Float32Array> {
    this.budget.earn()
    return new Promise((resolve, reject) => new HandQuery(this, data, resolve, reject))
  }
}

class HandQuery implements Owner {
  readonly #start: number
  readonly #attempts: Attempt<Float32Array, Float32Array>[] = []
  readonly #answers: Float32Array[] = []
  #isDone = false

  constructor(
    readonly to: ByHand,
    readonly data: Float32Array,
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
    const { clock, lateness, budget } = this.to
    if (!this.#isFirst(attempt) || lateness.lateMs === undefined) return
    const late = () => {
      if (this.#isDone || !budget.has) return
      budget.take()
      this.#ask('high')
    }
    clock.after(this.#start + lateness.lateMs - clock.now(), late)
  }

  settled(attempt: unknown): void {
    const { votes, lateness, clock } = this.to
    if (votes === 1) this.#cancelQueued()
    if (this.#isFirst(attempt)) lateness.see(clock.now() - this.#start)
    if (!this.#isDone) this.#heard((attempt as Attempt<Float32Array, Float32Array>).outcome)
  }

  #isFirst(attempt: unknown): boolean {
    return !this.#attempts.length || attempt === this.#attempts[0]
  }

  #heard(outcome: Outcome<Float32Array> | undefined): void {
    if (outcome?.kind === 'failed') return this.reject(outcome.error)
    if (outcome?.kind !== 'answered') return
    const { answer } = outcome
    this.#answers.push(answer)
    this.#isDone = this.#answers.filter((other) => this.to.same(other, answer)).length >= this.to.votes
    if (this.#isDone) {
      this.#cancelQueued()
      this.resolve(answer)
    } else if (this.#answers.length === this.#attempts.length) this.#ask('high')
  }

  #ask(priority: Priority): void {
    this.#attempts.push(this.to.pool.submit({ payload: this.data, owner: this, apart: [this], priority }))
  }

  #cancelQueued(): void {
    for (const attempt of this.#attempts) if (attempt.phase === 'queued') this.to.pool.cancel(attempt)
  }
}
