/** Workers that take time as a law says, on a clock whose time is made: hundreds of thousands of queries in seconds. */

import type { Random } from '../src/random'
import type { Clock } from '../src/serving/clock'
import type { ModelWorker } from '../src/workers/worker'

/** Milliseconds that an answer takes on worker `index`, were it begun now. */
export type Law = (index: number, now: number) => number

export interface Shop {
  clock: Clock
  law: Law
  /** The answer to a row, or a promise for whose time the clock is held. */
  answer(row: Float32Array): Float32Array | Promise<Float32Array>
  signature: ModelWorker['signature']
  /** Rows in a run at most, and how much longer that takes than one row. Default: one row a run. */
  batches?: { most: number; factor(rows: number): number }
}

/** One call at a time, which nothing cuts short: a call that was aborted keeps its worker busy to the end. */
export class SimulatedWorker implements ModelWorker {
  onFree: (() => void) | undefined
  readonly name: string
  readonly signature: ModelWorker['signature']
  /** Time at work so far, and answers given. */
  workedMs = 0
  calls = 0
  readonly #shop: Shop
  readonly #index: number
  /** What ends the call that it is at work on. */
  #end: (() => void) | undefined
  readonly #done: () => void
  /** Of a row that is alone. */
  #row: Float32Array | undefined
  #resolve: ((answer: Float32Array | Promise<Float32Array>) => void) | undefined
  readonly #answer = () => {
    const [row, resolve] = [this.#row as Float32Array, this.#resolve]
    this.#row = this.#resolve = undefined
    try {
      resolve?.(this.#shop.answer(row))
    } catch (error) {
      resolve?.(Promise.reject(error))
    }
  }

  constructor(index: number, shop: Shop) {
    this.name = `worker ${index}`
    this.signature = shop.signature
    this.#index = index
    this.#shop = shop
    this.#done = () => {
      const end = this.#end
      this.#end = undefined
      end?.()
      this.onFree?.()
    }
  }

  get free(): boolean {
    return !this.#end
  }

  get busy(): boolean {
    return this.#end !== undefined
  }

  get maxBatch(): number {
    return this.#shop.batches?.most ?? 1
  }

  infer(row: Float32Array): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (this.#end) reject(new Error(`${this.name} is at work`))
      else {
        this.#row = row
        this.#resolve = resolve
        this.#work(1, this.#answer)
      }
    })
  }

  inferBatch(rows: readonly Float32Array[]): Promise<Float32Array>[] {
    if (this.#end) return rows.map(() => Promise.reject(new Error(`${this.name} is at work`)))
    const done = new Promise<void>((resolve) => this.#work(rows.length, resolve))
    return rows.map((row) => done.then(() => this.#shop.answer(row)))
  }

  #work(rows: number, end: () => void): void {
    const { clock, law, batches } = this.#shop
    const ms = law(this.#index, clock.now()) * (rows > 1 && batches ? batches.factor(rows) : 1)
    this.#end = end
    this.workedMs += ms
    this.calls += rows
    clock.after(ms, this.#done)
  }

  restart(_why?: string): void {}
  async close(): Promise<void> {}
}

export const MEDIAN_MS = 10
const lognormal = (random: Random) => MEDIAN_MS * Math.exp(0.1 * random.gauss())

/** 2 % of calls take ten times as long. */
export function randomTrouble(random: Random): Law {
  return () => lognormal(random) * (random.next() < 0.02 ? 10 : 1)
}

/** At any time two workers are five times slower; others every five seconds. */
export function wanderingTrouble(random: Random, workers: number): Law {
  let [since, slow] = [Number.NEGATIVE_INFINITY, [0, 0]]
  return (index, now) => {
    if (now - since >= 5000) {
      since = now
      slow = random.choose(workers, 2)
    }
    return lognormal(random) * (slow.includes(index) ? 5 : 1)
  }
}

/** One in five answers takes two and a half times as long, whoever gives it; and 2 % of calls ten times. */
export function bimodal(random: Random): Law {
  return () => lognormal(random) * (random.next() < 0.2 ? 2.5 : 1) * (random.next() < 0.02 ? 10 : 1)
}

/** Every second each worker rests for 50 ms, each at a moment of its own; what it is at work on takes so much longer. */
export function pauses(random: Random, workers: number): Law {
  const [every, rest] = [1000, 50]
  const phases = Array.from({ length: workers }, () => every * random.next())
  return (index, now) => {
    const ms = lognormal(random)
    const since = (now + phases[index]) % every // the rest begins at 0
    if (since < rest) return rest - since + ms
    return since + ms > every ? ms + rest : ms
  }
}

/** As `randomTrouble`, and from the third second on all are three times as slow for ten seconds. */
export function slowPool(random: Random): Law {
  const law = randomTrouble(random)
  const [from, to] = [3000, 13_000]
  return (index, now) => law(index, now) * (now >= from && now < to ? 3 : 1)
}
