/** What a good engineer would write by hand on the same pool: hedged requests, at the running 95th percentile; or copies. */

import type { ModelWorker } from 'approxifer'
import { type Random, seeded } from '../src/random'
import { Budget } from '../src/serving/budget'
import type { Clock } from '../src/serving/clock'
import { Lateness } from '../src/serving/lateness'
import { type Asker, Call, Pool, type PoolOptions } from '../src/serving/pool'

export interface ByHandOptions {
  /** Share of the queries that may be asked a second time when they are late. Default 0. */
  hedges?: number
  /** How often every query is asked from the start; no more than one waits when the first is answered. Default 1. */
  copies?: number
  /** Who deals rows to workers. Default: the predictor's own pool. */
  pool?: new (
    workers: readonly ModelWorker[],
    options: PoolOptions,
  ) => Pick<Pool, 'put' | 'cancel'>
}

/** Share of first answers that are not late: what the literature takes. */
const PATIENCE = 0.95

/** One queue; and, with a budget, a second request for what is late. */
export class ByHand {
  readonly #clock: Clock
  readonly #pool: Pick<Pool, 'put' | 'cancel'>
  readonly #lateness = new Lateness(PATIENCE)
  readonly #budget: Budget
  readonly #copies: number

  constructor(clock: Clock, workers: readonly ModelWorker[], options: ByHandOptions) {
    const { hedges = 0, copies = 1, pool = Pool } = options
    this.#clock = clock
    this.#pool = new pool(workers, { clock, hangMs: 30_000, signature: workers[0].signature })
    this.#budget = new Budget(hedges, 10)
    this.#copies = copies
  }

  ask(data: Float32Array): Promise<Float32Array> {
    const start = this.#clock.now()
    const row = { data, index: 0 }
    this.#budget.earn()
    return new Promise((resolve, reject) => {
      let done = false
      const calls: Call[] = []
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
        spare: () => {
          for (const call of calls) if (call.state === 'waiting') this.#pool.cancel(call)
        },
        heard: (call) => {
          if (call === calls[0]) this.#lateness.see(this.#clock.now() - start)
          done = true
          if (call.answer) resolve(call.answer)
          else reject(call.error)
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
}

/** Rows to any idle worker, whatever is known of how fast it is. */
export class Blind {
  readonly #workers: readonly ModelWorker[]
  readonly #random: Random = seeded(1)
  readonly #lines: { urgent: Call[]; query: Call[]; extra: Call[] } = { urgent: [], query: [], extra: [] }
  readonly #clock: Clock

  constructor(workers: readonly ModelWorker[], { clock }: PoolOptions) {
    this.#workers = workers
    this.#clock = clock
    for (const worker of workers) worker.onFree = () => this.#dispatch()
  }

  put(call: Call): void {
    this.#lines[call.kind].push(call)
    this.#dispatch()
  }

  cancel(call: Call): void {
    if (call.state === 'waiting') call.state = 'cancelled'
  }

  #dispatch(): void {
    const idle = this.#workers.filter(({ free }) => free)
    for (const i of this.#random.choose(idle.length, idle.length)) {
      for (const line of Object.values(this.#lines)) {
        while (line[0]?.state === 'cancelled') line.shift()
        const at = line.findIndex((call) => call.state === 'waiting' && !call.asker.avoids(call, idle[i]))
        if (at < 0) continue
        const [call] = line.splice(at, 1)
        this.#send(call, idle[i])
        break
      }
    }
  }

  #send(call: Call, worker: ModelWorker): void {
    call.state = 'running'
    call.worker = worker
    call.sentAt = this.#clock.now()
    worker.infer(call.row.data).then((answer) => {
      call.state = 'done'
      call.ms = this.#clock.now() - call.sentAt
      call.answer = answer
      call.asker.spare(call)
      call.asker.heard(call)
    })
    call.asker.sent(call)
  }
}
