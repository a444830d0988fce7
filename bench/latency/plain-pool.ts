/** The plainest rival: one queue in front of the machines. */

import type { ModelWorker } from 'approxifer'
import { tensorsOf, vectorOf } from '../../src/base/payload'

/** Asks for one query's answer; rejects where it is lost. */
export type Way = (query: Float32Array) => Promise<Float32Array>

/** One queue in front of the machines: whoever is free takes the next query. */
class Pool {
  readonly #workers: readonly ModelWorker[]
  readonly #waiting: ((worker: ModelWorker) => void)[] = []
  #next = 0

  constructor(workers: readonly ModelWorker[]) {
    this.#workers = workers
    for (const worker of workers) worker.onFree = () => this.#serve()
  }

  async ask(query: Float32Array): Promise<Float32Array> {
    const worker = await new Promise<ModelWorker>((resolve) => {
      this.#waiting.push(resolve)
      this.#serve()
    })
    return vectorOf(await worker.infer(tensorsOf(query, worker.signature.inputs)))
  }

  /** In turn, so that idle machines share the work alike. */
  #serve(): void {
    const { length } = this.#workers
    for (let tried = 0; tried < length && this.#waiting.length; tried++) {
      const worker = this.#workers[this.#next++ % length]
      if (!worker.free) continue
      const serve = this.#waiting.shift()
      serve?.(worker)
      return queueMicrotask(() => this.#serve()) // when this one is no longer free
    }
  }
}

export function uncoded(workers: readonly ModelWorker[]): Way {
  const pool = new Pool(workers)
  return (query) => pool.ask(query)
}
