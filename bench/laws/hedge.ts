/** The rivals of bench laws: one queue in front of the workers, and the same with hedged requests. */

import type { Clock } from '../../src/base/clock'
import { tensorsOf, vectorOf } from '../../src/base/payload'
import { seeded } from '../../src/base/random'
import { SlidingQuantile } from '../../src/base/stats'
import { Budget } from '../../src/layers/query-share'
import type { System } from '../shared/arrivals'
import type { SimulatedWorker } from '../shared/simulated'

/** Times of first requests that the percentile is taken of. */
const WINDOW = 1000
/** With fewer times than `few` nothing is late, with fewer than `enough` what takes three medians is: as in the predictor. */
const START = { few: 10, enough: 50, medians: 3 }
/** Second requests: a share of the queries, and a burst, as in the predictor. */
const BUDGET = { share: 0.2, burst: 10 }

interface Query {
  row: Float32Array
  isAnswered: boolean
  answered(answer: Float32Array): void
}

interface Request {
  query: Query
  isHedge: boolean
}

/** First come, first served, by any idle worker. With a percentile, what takes longer from sending on is sent a second time. */
export class Queue implements System {
  readonly #clock: Clock
  readonly #percentile: number | undefined
  readonly #idle: SimulatedWorker[]
  readonly #waiting: Request[] = []
  readonly #times = new SlidingQuantile(WINDOW)
  readonly #budget = new Budget(BUDGET.share, BUDGET.burst)
  readonly #random = seeded(1)
  #open = 0

  constructor(clock: Clock, workers: readonly SimulatedWorker[], percentile?: number) {
    this.#clock = clock
    this.#percentile = percentile
    this.#idle = [...workers]
  }

  ask(row: Float32Array): Promise<Float32Array> {
    this.#open++
    this.#budget.earn(this.#open)
    return new Promise((resolve) => {
      const answered = (answer: Float32Array) => {
        this.#open--
        resolve(answer)
      }
      this.#waiting.push({ query: { row, isAnswered: false, answered }, isHedge: false })
      this.#send()
    })
  }

  /** A query that is not answered keeps its worker busy, so that no idle one has it already. */
  #send(): void {
    while (this.#idle.length && this.#waiting.length) {
      const { query, isHedge } = this.#waiting.shift() as Request
      if (query.isAnswered) continue
      const [worker] = this.#idle.splice(this.#random.below(this.#idle.length), 1)
      this.#ask(query, isHedge, worker)
    }
  }

  async #ask(query: Query, isHedge: boolean, worker: SimulatedWorker): Promise<void> {
    const sentAt = this.#clock.now()
    const { lateMs } = this
    if (!isHedge && lateMs !== undefined) this.#clock.after(lateMs, () => this.#late(query))
    const answer = vectorOf(await worker.infer(tensorsOf(query.row, worker.signature.inputs)))
    if (!isHedge) this.#times.add(this.#clock.now() - sentAt)
    if (!query.isAnswered) {
      query.isAnswered = true
      query.answered(answer)
    }
    this.#idle.push(worker)
    this.#send()
  }

  #late(query: Query): void {
    if (query.isAnswered || !this.#budget.has) return
    this.#budget.take()
    this.#waiting.push({ query, isHedge: true })
    this.#send()
  }

  get lateMs(): number | undefined {
    const { count } = this.#times
    if (!this.#percentile || count < START.few) return undefined
    return count < START.enough ? START.medians * this.#times.quantile(0.5) : this.#times.quantile(this.#percentile)
  }
}
