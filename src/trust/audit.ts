/**
 * One row that several workers answer though one would do: it tells who lies. It goes on asking until enough agree to prove an
 * answer, a worker in quarantine as well. Mostly nobody waits for it.
 */

import type { Identity } from '../pool/attempt'
import { type Asker, Call, candidates, type RowPool } from '../query/call'
import type { ModelWorker } from '../workers/worker'
import { agree, isLie, ruling } from './agreement'
import type { Verification } from './verification'

/** Workers that an audit asks at least before it gives up: where answers never agree, the model is not the same everywhere, or draws lots. */
const MOST = 5

export class Audit implements Asker {
  readonly #pool: RowPool
  readonly #verification: Verification
  readonly #row: Call['row']
  readonly #calls: Call[]
  readonly #heard: Call[]
  /** To a worker in quarantine: what it answers is only compared. */
  #probation: Call | undefined
  #proven: Float32Array | undefined
  readonly #done: ((agreeing: readonly Call[]) => void) | undefined

  /**
   * @param answered  calls for one row, with their answers
   * @param done      told once, when it is proven or given up: whose answers were proven
   */
  constructor(
    pool: RowPool,
    verification: Verification,
    answered: readonly Call[],
    done?: (agreeing: readonly Call[]) => void,
  ) {
    this.#pool = pool
    this.#done = done
    this.#verification = verification
    this.#row = answered[0].row
    this.#calls = [...answered]
    this.#heard = [...answered]
    const call = new Call(this, { ...this.#row }, 'low')
    if (call.try(pool)) this.#probation = call
  }

  /** Asks one more worker, where it takes one and there is one. */
  proceed(): void {
    if (this.#proven) return
    const { liars, equality } = this.#verification
    const answers = this.#heard.map(({ answer }) => answer as Float32Array)
    const { agreeing, lies } = ruling(answers, liars, equality)
    if (agreeing.length > Math.max(1, liars)) {
      this.#proven = answers[agreeing[0]]
      for (const i of agreeing) this.#verification.proven(this.#heard[i].worker as ModelWorker, answers[i])
      for (const i of lies) this.#verification.lied(this.#heard[i].worker as ModelWorker)
      this.#compare()
      return this.#done?.(agreeing.map((i) => this.#heard[i]))
    }
    if (!this.#mayAsk(agreeing.length === answers.length)) return this.#done?.([])
    const call = new Call(this, { ...this.#row }, this.#done ? 'high' : 'low')
    this.#calls.push(call)
    call.put(this.#pool)
  }

  /** @param alike  nobody disagrees: where nobody waits for the proof either, it is not worth a row that must wait for a worker */
  #mayAsk(alike: boolean): boolean {
    const most = Math.max(MOST, 2 * this.#verification.liars + 2)
    if (this.#calls.length >= most || candidates(this.#pool, this.#calls) < 1) return false
    return !alike || this.#done !== undefined || this.#pool.hasSpare
  }

  blocks(identity: Identity): boolean {
    return this.#calls.some(({ asked }) => asked === identity)
  }

  sent(): void {}
  spare(): void {}

  heard(call: Call): void {
    const { answer, worker } = call
    if (answer) this.#pool.count(worker, 'late')
    if (call === this.#probation) return this.#compare()
    if (answer) this.#heard.push(call)
    this.proceed()
  }

  #compare(): void {
    const { answer, worker } = this.#probation ?? {}
    if (!answer || !this.#proven) return
    const { equality } = this.#verification
    if (agree(answer, this.#proven, equality)) this.#verification.proven(worker as ModelWorker, this.#proven)
    else if (isLie(answer, this.#proven, equality)) this.#verification.lied(worker as ModelWorker)
  }
}
