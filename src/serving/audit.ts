/**
 * One query that several workers answered though one would do: nobody waits for it, but it tells who lies. It goes on asking until
 * enough agree to prove it.
 */

import type { ModelWorker } from '../workers/worker'
import { ruling } from './agreement'
import { type Asker, Call, type Pool } from './pool'
import type { Verification } from './verification'

/** Workers that an audit asks at most: where answers never agree, the model itself is not the same everywhere, or draws lots. */
const MOST = 5

export class Audit implements Asker {
  readonly #pool: Pool
  readonly #verification: Verification
  readonly #row: Call['row']
  readonly #calls: Call[]
  #heard: Call[]

  /** @param answered  calls for one query, with their answers */
  constructor(pool: Pool, verification: Verification, answered: readonly Call[]) {
    this.#pool = pool
    this.#verification = verification
    this.#row = answered[0].row
    this.#calls = [...answered]
    this.#heard = [...answered]
  }

  /** Asks one more worker, where it takes one. */
  proceed(): void {
    const { verification, answers } = this
    const { agreeing, lies } = ruling(answers, verification.liars, verification.equality(answers))
    if (agreeing.length > Math.max(1, verification.liars)) {
      for (const i of agreeing) verification.proven(this.#heard[i].worker as ModelWorker, answers[i])
      for (const i of lies) verification.lied(this.#heard[i].worker as ModelWorker)
      return
    }
    if (this.#calls.length >= Math.min(MOST, this.#pool.workers.length)) return
    const call = new Call(this, { ...this.#row }, 'extra')
    this.#calls.push(call)
    this.#pool.put(call)
  }

  get verification(): Verification {
    return this.#verification
  }

  get answers(): Float32Array[] {
    return this.#heard.map(({ answer }) => answer as Float32Array)
  }

  avoids(call: Call, worker: ModelWorker): boolean {
    return this.#calls.some((other) => other !== call && other.worker === worker)
  }

  sent(): void {}
  spare(): void {}

  heard(call: Call): void {
    const { answer, error, worker } = call
    const outcome = answer ? 'late' : error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
    this.#pool.count(worker as ModelWorker, outcome)
    if (answer) this.#heard.push(call)
    this.proceed()
  }
}
