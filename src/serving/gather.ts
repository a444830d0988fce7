/** A row on its way: sent to a worker, watched until it is answered, fails, or hangs. Goes on after the quorum. */

import { ApproxiferError, asError } from '../errors'
import { checkAnswer, rowLength } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import type { Roster } from './roster'

/** What became of a call; every call has exactly one outcome. */
export type Outcome = {
  /** From sending to here, waiting in the worker's queue included. */
  ms: number
} & ({ answer: Float32Array; error?: undefined } | { answer?: undefined; error: ApproxiferError })

export class Call {
  readonly worker: ModelWorker
  /** Resolves with the outcome, never before the constructor returns; never rejects. */
  readonly done: Promise<Outcome>
  /** The outcome, once it is there. */
  outcome: Outcome | undefined
  readonly #abort = new AbortController()

  /**
   * Sends at once.
   *
   * @param data    the row; must not change until the call is done
   * @param hangMs  a call that takes so long fails, and its worker is restarted
   */
  constructor(worker: ModelWorker, data: Float32Array, hangMs: number, roster: Roster) {
    this.worker = worker
    const start = performance.now()
    const length = rowLength(worker.signature.outputs)
    roster.sent(worker, this)
    this.done = new Promise((resolve) => {
      const settle = (outcome: { answer: Float32Array } | { error: ApproxiferError }) => {
        if (this.outcome) return
        clearTimeout(timer)
        this.outcome = { ms: performance.now() - start, ...outcome } as Outcome
        roster.finished(worker, this)
        resolve(this.outcome)
      }
      const timer = setTimeout(() => {
        settle({ error: new ApproxiferError('WORKER', `${worker.name} hung for ${hangMs} ms`) })
        worker.restart(`hung for ${hangMs} ms`)
      }, hangMs)
      infer(worker, data, this.#abort.signal)
        .then((answer) => settle({ answer: checkAnswer(answer, length) }))
        .catch((error) => settle({ error: asError(error, 'WORKER') }))
    })
  }

  /** Takes it back: it fails with ABORTED unless it is done. */
  abort(): void {
    this.#abort.abort()
  }
}

/** A worker that throws instead of rejecting rejects all the same. */
async function infer(worker: ModelWorker, data: Float32Array, signal: AbortSignal): Promise<Float32Array> {
  return worker.infer(data, { signal })
}
