/** Workers that take simulated time: hundreds of thousands of queries in seconds. For the demo, benches and tests. */

import type { Clock } from '../clock'
import type { Random } from '../random'
import type { ModelWorker } from '../workers/worker'

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
export const lognormal = (random: Random) => MEDIAN_MS * Math.exp(0.1 * random.gauss())

/** 2 % of calls take ten times as long. */
export function randomTrouble(random: Random): Law {
  return () => lognormal(random) * (random.next() < 0.02 ? 10 : 1)
}
