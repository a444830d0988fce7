/** What a good engineer would write by hand on the same pool: hedged requests at the running 95th percentile, or copies. */

import type { Clock } from '../../clock'
import { type Asker, Call, Pool, type PoolOptions } from '../../pool/pool'
import { Budget } from '../../query/budget'
import { Lateness } from '../../query/lateness'
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
  /** What sends rows to workers. Default: the predictor's own pool. */
  pool?: new (
    workers: readonly ModelWorker[],
    options: PoolOptions,
  ) => Pick<Pool, 'put' | 'cancel'>
}

/** Share of first answers that are not late: the percentile of the literature. */
const HEDGE_PERCENTILE = 0.95

/** One queue; with a budget a second request for what is late; with copies the first answer, or the first that has enough votes. */
export class ByHand {
  readonly #clock: Clock
  readonly #pool: Pick<Pool, 'put' | 'cancel'>
  readonly #lateness = new Lateness(HEDGE_PERCENTILE)
  readonly #budget: Budget
  readonly #copies: number
  readonly #votes: number
  readonly #same: (a: Float32Array, b: Float32Array) => boolean

  constructor(clock: Clock, workers: readonly ModelWorker[], options: ByHandOptions) {
    const { hedges = 0, copies = 1, votes = 1, same = () => true, pool = Pool } = options
    this.#clock = clock
    this.#pool = new pool(workers, { clock, hangMs: 30_000, signature: workers[0].signature })
    this.#budget = new Budget(hedges, 10)
    this.#copies = copies
    this.#votes = votes
    this.#same = same
  }

  ask(data: Float32Array): Promise<Float32Array> {
    const start = this.#clock.now()
    const row = { data, index: 0 }
    this.#budget.earn()
    return new Promise((resolve, reject) => {
      let done = false
      const calls: Call[] = []
      const answers: Float32Array[] = []
      const late = () => {
        if (done || !this.#budget.has) return
        this.#budget.take()
        put('urgent')
      }
      const asker: Asker = {
        avoids: (call, worker) => calls.some((other) => other !== call && other.worker === worker),
        sent: (call) => {
          const { lateMs } = this.#lateness
          if (call === calls[0] && lateMs !== undefined) this.#clock.after(start + lateMs - this.#clock.now(), late)
        },
        spare: () => this.#votes === 1 && this.#cancelWaiting(calls),
        heard: (call) => {
          if (call === calls[0]) this.#lateness.see(this.#clock.now() - start)
          if (done) return
          const { answer, error } = call
          if (!answer) return reject(error)
          answers.push(answer)
          done = answers.filter((other) => this.#same(other, answer)).length >= this.#votes
          if (done) this.#cancelWaiting(calls)
          if (done) resolve(answer)
          else if (answers.length === calls.length) put('urgent')
        },
      }
      const put = (kind: Call['kind']) => {
        const call = new Call(asker, row, kind)
        calls.push(call)
        this.#pool.put(call)
      }
      for (let copy = 0; copy < this.#copies; copy++) put('query')
    })
  }

  #cancelWaiting(calls: readonly Call[]): void {
    for (const call of calls) if (call.state === 'waiting') this.#pool.cancel(call)
  }
}
