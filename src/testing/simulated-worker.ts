/** Workers in simulated time: hundreds of thousands of queries in seconds. For the demo, benches and tests. */

import { type Abort, aborted, abortOf, onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { tensorsOf, vectorOf } from '../base/payload'
import type { Random } from '../base/random'
import type { TensorList } from '../base/tensor'
import type { ModelWorker } from '../workers/worker'

/** Milliseconds that worker `index` takes for an answer that it begins at `now`. */
export type ServiceTime = (index: number, now: number) => number

/** State that all workers of a simulation share. Calls cannot be interrupted unless `interruptible` is set. */
export interface Simulation extends Pick<ModelWorker, 'signature' | 'hints' | 'slots' | 'interruptible' | 'scales'> {
  readonly clock: Clock
  /** @param size  number of values in the query, in a batch those of the longest */
  serviceMs(index: number, now: number, size: number): number
  /** The answer to a query as a vector, owned by the caller; or a promise, while which the clock has to be held. */
  answer(vector: Float32Array): Float32Array | Promise<Float32Array>
  /** Most rows in a batch, and how many times as long a batch takes as a row. Default: no batches. */
  readonly batches?: { most: number; factor(rows: number): number }
}

/** An aborted call keeps its slot to the end. If the simulation is `interruptible`, an abort ends it at once, unless it is a batch. */
export class SimulatedWorker implements ModelWorker {
  onFree: (() => void) | undefined
  readonly name: string
  /** Default: none, and the worker is not asked for them: it may only know answers to the simulation's queries. */
  readonly scales: readonly number[]
  /** Busy time so far, summed over slots, and number of answers. */
  workedMs = 0
  calls = 0
  readonly #index: number
  readonly #simulation: Simulation
  #open = 0

  constructor(index: number, simulation: Simulation) {
    this.name = `worker ${index}`
    this.scales = simulation.scales ?? []
    this.#index = index
    this.#simulation = simulation
  }

  get signature() {
    return this.#simulation.signature
  }

  get hints() {
    return this.#simulation.hints
  }

  get slots(): number {
    return this.#simulation.slots ?? 1
  }

  get interruptible(): boolean {
    return this.#simulation.interruptible ?? false
  }

  get free(): boolean {
    return this.#open < this.slots
  }

  get maxBatch(): number {
    return this.#simulation.batches?.most ?? 1
  }

  infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    const done = this.#work([query], this.interruptible ? abortOf(options) : undefined)
    return done.then(() => this.#answerTo(query))
  }

  inferBatch(queries: readonly TensorList[]): Promise<TensorList>[] {
    const done = this.#work(queries)
    return queries.map((query) => done.then(() => this.#answerTo(query)))
  }

  #answerTo(query: TensorList): TensorList | Promise<TensorList> {
    const { outputs } = this.signature
    const answer = this.answer(vectorOf(query))
    return answer instanceof Promise ? answer.then((own) => tensorsOf(own, outputs)) : tensorsOf(answer, outputs)
  }

  /** Its answer as a vector: the simulation's, unless a subclass lies. */
  answer(vector: Float32Array): Float32Array | Promise<Float32Array> {
    return this.#simulation.answer(vector)
  }

  #work(queries: readonly TensorList[], abort?: Abort): Promise<void> {
    if (this.#open >= this.slots) return Promise.reject(new Error(`${this.name} is at work`))
    const { clock, serviceMs, batches } = this.#simulation
    const rows = queries.length
    let size = 0
    for (const query of queries) size = Math.max(size, vectorOf(query).length)
    const ms = serviceMs(this.#index, clock.now(), size) * (rows > 1 && batches ? batches.factor(rows) : 1)
    this.#open++
    this.workedMs += ms
    this.calls += rows
    return new Promise((resolve, reject) => {
      if (abort) this.#workUntil(clock.now() + ms, abort, resolve, reject)
      else clock.after(ms, () => this.#end(resolve))
    })
  }

  /** A call that an abort ends early. */
  #workUntil(until: number, abort: Abort, resolve: () => void, reject: (error: Error) => void): void {
    const { clock } = this.#simulation
    const forget = onAbort(abort, () => {
      cancel()
      this.workedMs -= until - clock.now()
      this.#end(() => reject(aborted(abort)))
    })
    const cancel = clock.after(until - clock.now(), () => {
      forget()
      this.#end(resolve)
    })
  }

  #end(settle: () => void): void {
    this.#open--
    settle()
    this.onFree?.()
  }

  restart(_why?: string): void {}
  async close(): Promise<void> {}
}

export const MEDIAN_MS = 10
export const lognormal = (random: Random) => MEDIAN_MS * Math.exp(0.1 * random.gauss())

/** 2 % of calls take ten times as long. */
export function randomTrouble(random: Random): ServiceTime {
  return () => lognormal(random) * (random.next() < 0.02 ? 10 : 1)
}
