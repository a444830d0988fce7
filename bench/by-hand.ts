/** What a good engineer would write by hand on the same pool: hedged requests, at the running 95th percentile. */

import type { ModelWorker } from 'approxifer'
import { Budget } from '../src/serving/budget'
import type { Clock } from '../src/serving/clock'
import { Lateness } from '../src/serving/lateness'
import { type Asker, Call, Pool } from '../src/serving/pool'

/** One queue; and, with a budget, a second request for what is late. */
export class ByHand {
  readonly #clock: Clock
  readonly #pool: Pool
  readonly #lateness = new Lateness()
  readonly #budget: Budget

  constructor(clock: Clock, workers: readonly ModelWorker[], hedges: number) {
    this.#clock = clock
    this.#pool = new Pool(workers, { clock, hangMs: 30_000, signature: workers[0].signature })
    this.#budget = new Budget(hedges, 10)
  }

  ask(data: Float32Array): Promise<Float32Array> {
    const start = this.#clock.now()
    const row = { data, index: 0 }
    this.#budget.earn()
    return new Promise((resolve, reject) => {
      let done = false
      let second: Call | undefined
      const late = () => {
        if (done || !this.#budget.has) return
        this.#budget.take()
        second = new Call(asker, row, 'urgent')
        this.#pool.put(second)
      }
      const asker: Asker = {
        avoids: (call, worker) => call === second && worker === first.worker,
        sent: (call) => {
          const { lateMs } = this.#lateness
          if (call === first && lateMs !== undefined) this.#clock.after(start + lateMs - this.#clock.now(), late)
        },
        spare: () => {
          if (second) this.#pool.cancel(second)
        },
        heard: (call) => {
          if (call === first) this.#lateness.see(this.#clock.now() - start)
          done = true
          if (call.answer) resolve(call.answer)
          else reject(call.error)
        },
      }
      const first = new Call(asker, row, 'query')
      this.#pool.put(first)
    })
  }
}
