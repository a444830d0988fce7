/** A row on its way: sent to a worker, watched until it is answered, fails, or hangs. Goes on after the quorum. */

import { Abort, aborted } from '../abort'
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
  /** Whether it was taken back: what it rejects with then says nothing of the worker. */
  aborted = false
  readonly #abort = new Abort()
  #settle: (outcome: { answer: Float32Array } | { error: ApproxiferError }) => void = () => {}

  /**
   * Sends at once.
   *
   * @param data    the row; must not change until the call is done
   * @param hangMs  a worker that has a call and gives no answer to any for so long is restarted, and the call fails
   */
  constructor(worker: ModelWorker, data: Float32Array, hangMs: number, roster: Roster) {
    this.worker = worker
    const { clock } = roster
    const start = clock.now()
    const { outputs } = worker.signature
    const length = rowLength(outputs)
    roster.sent(worker, this)
    let unwatch = () => {}
    // A call behind others waits for them; only silence is a hang.
    const watch = () => {
      if (this.outcome && !worker.busy) return
      const left = Math.max(start, worker.answeredAt ?? roster.answeredAt(worker)) + hangMs - clock.now()
      if (left > 0) {
        // Nobody waits for the call any more: the watch must not keep the process alive.
        unwatch = clock.after(Math.ceil(left), watch, this.outcome !== undefined)
        return
      }
      this.#settle({ error: new ApproxiferError('WORKER', `${worker.name} hung for ${hangMs} ms`) })
      restart(worker, `hung for ${hangMs} ms`)
    }
    this.done = new Promise((resolve) => {
      this.#settle = (outcome) => {
        if (this.outcome) return
        unwatch()
        this.outcome = { ms: clock.now() - start, ...outcome } as Outcome
        // An aborted call may leave a worker that hangs: it is still watched.
        if ('error' in outcome && outcome.error.code === 'ABORTED' && worker.busy) watch()
        roster.finished(worker, this)
        resolve(this.outcome)
      }
    })
    infer(worker, data, this.#abort)
      .then((answer) => this.#settle({ answer: checkAnswer(answer, length, outputs) }))
      .catch((error) => this.#settle({ error: asError(error, 'WORKER') }))
    if (!this.outcome) unwatch = clock.after(hangMs, watch) // the worker is at work meanwhile
  }

  /** Takes it back: it fails with ABORTED unless it is done. */
  abort(): void {
    this.aborted ||= !this.outcome
    this.#abort.abort()
    this.#settle({ error: aborted(this.#abort) })
  }
}

/** A restart that fails is the worker's affair: it stays as it is. */
function restart(worker: ModelWorker, why: string): void {
  try {
    worker.restart(why)
  } catch {}
}

/** A worker that throws instead of rejecting rejects all the same. */
async function infer(worker: ModelWorker, data: Float32Array, abort: Abort): Promise<Float32Array> {
  return worker.infer(data, abort)
}
