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
  /** Whether two answers are equal. */
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
  readonly #clock: Clock
  readonly #pool: RowSource
  readonly #lateness = new Lateness(PATIENCE)
  readonly #budget: Budget
  readonly #copies: number
  readonly #votes: number
  readonly #same: (a: Float32Array, b: Float32Array) => boolean

  constructor(clock: Clock, workers: readonly ModelWorker[], options: ByHandOptions) {
    const { hedges = 0, copies = 1, votes = 1, same = () => true, pool = Pool } = options
    this.#clock = clock
    this.#pool = new pool(workers, { clock, hangMs: 30_000, accept: acceptAnswers(workers[0].signature) })
    this.#budget = new Budget(hedges, 10)
    this.#copies = copies
    this.#votes = votes
    this.#same = same
  }

  ask(data: Float32Array): Promise<Float32Array> {
    const start = this.#clock.now()
    this.#budget.earn()
    return new Promise((resolve, reject) => {
      let done = false
      const attempts: Attempt<Float32Array, Float32Array>[] = []
      const answers: Float32Array[] = []
      const late = () => {
        if (done || !this.#budget.has) return
        this.#budget.take()
        ask('high')
      }
      const cancelWaiting = () => {
        for (const attempt of attempts) if (attempt.phase === 'queued') this.#pool.cancel(attempt)
      }
      const apart = [{ blocks: (identity: string) => attempts.some((other) => other.identity === identity) }]
      const isFirst = (attempt: unknown) => !attempts.length || attempt === attempts[0]
      const owner: Owner = {
        began: (attempt) => {
          const { lateMs } = this.#lateness
          if (isFirst(attempt) && lateMs !== undefined) this.#clock.after(start + lateMs - this.#clock.now(), late)
        },
        settled: (attempt) => {
          if (this.#votes === 1) cancelWaiting()
          if (isFirst(attempt)) this.#lateness.see(this.#clock.now() - start)
          if (!done) heard((attempt as Attempt<Float32Array, Float32Array>).outcome)
        },
      }
      const heard = (outcome: Outcome<Float32Array> | undefined) => {
        if (outcome?.kind === 'failed') return reject(outcome.error)
        if (outcome?.kind !== 'answered') return
        const { answer } = outcome
        answers.push(answer)
        done = answers.filter((other) => this.#same(other, answer)).length >= this.#votes
        if (done) {
          cancelWaiting()
          resolve(answer)
        } else if (answers.length === attempts.length) ask('high')
      }
      const ask = (priority: Priority) => {
        attempts.push(this.#pool.submit({ payload: data, owner, apart, priority }))
      }
      for (let copy = 0; copy < this.#copies; copy++) ask('normal')
    })
  }
}
