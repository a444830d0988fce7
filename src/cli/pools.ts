/** The demo's rivals: the same machines without a code, as a good engineer would use them. */

import type { ModelWorker } from '../workers/worker'

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
    return worker.infer(query)
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

/**
 * Every query to several machines; an answer that more than `liars` of them share counts.
 *
 * @param same  whether two answers are the same
 */
export function replicated(
  workers: readonly ModelWorker[],
  copies: number,
  liars: number,
  same: (a: Float32Array, b: Float32Array) => boolean,
): Way {
  const pool = new Pool(workers)
  return (query) =>
    new Promise((resolve, reject) => {
      const answers: Float32Array[] = []
      let open = copies
      const settle = () => {
        if (!--open) reject(new Error('no majority'))
      }
      const heard = (answer: Float32Array) => {
        answers.push(answer)
        if (answers.filter((other) => same(other, answer)).length > liars) resolve(answer)
      }
      for (let copy = 0; copy < copies; copy++) pool.ask(query).then(heard).catch(() => {}).finally(settle) // biome-ignore format: one line
    })
}
