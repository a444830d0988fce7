/** What a worker is at work on, or has next: a row, or several of different groups that go through its model in one run. */

import { expected } from '../check'
import type { ModelWorker } from '../workers/worker'
import type { Asker, Call } from './call'

export class Job {
  /** When the worker began with it, as far as can be told; and when it got it, where that was before it could. */
  begunAt = Number.NaN
  sentAt: number | undefined
  /** Rows without an outcome. */
  open: number
  /** Whether any row was answered; whether every row ended since nobody wanted it. */
  answered = false
  ended = true
  /** Whether the worker went down with it, or hung. */
  killed = false
  /** The one before it seems to be late; that is given a little time to be heard. */
  doubted = false
  /** Rows that are sent again, each alone. */
  again: Call[] | undefined

  /**
   * @param calls       at least one
   * @param factor      how many times as long as one row it is expected to take
   * @param comparable  whether that was measured
   * @param measured    whether it tells what batches gain: others waited, and there was a choice
   */
  constructor(
    readonly calls: readonly Call[],
    readonly factor = 1,
    readonly comparable = true,
    readonly measured = false,
  ) {
    this.open = calls.length
    for (const call of calls) {
      call.factor = factor
      call.comparable = comparable
    }
  }

  /** When the worker began with it or, where it never did, got it. */
  get startedAt(): number {
    return Number.isNaN(this.begunAt) ? (this.sentAt as number) : this.begunAt
  }

  /** Whether it is something that cannot be done without. */
  get isNeeded(): boolean {
    return this.calls[0].kind !== 'extra'
  }

  /** Whether it has a row of this group. */
  isOf(asker: Asker): boolean {
    return this.calls.some((call) => call.asker === asker)
  }

  /** Its rows without an outcome. */
  get left(): Call[] {
    return this.calls.filter(({ job }) => job === this)
  }
}

/** Runs it: an outcome a row. A worker that throws instead of rejecting rejects all the same. */
export function run(worker: ModelWorker, { calls }: Job): Promise<unknown>[] {
  const isTold = worker.interruptible !== false
  try {
    if (calls.length === 1) {
      const [call] = calls
      const { data } = call.row
      return [Promise.resolve(isTold ? worker.infer(data, new InferOptions(call)) : worker.infer(data))]
    }
    const rows = calls.map(({ row }) => row.data)
    const options = isTold ? { signals: calls.map(({ signal }) => signal) } : {}
    const answers = worker.inferBatch?.(rows, options)
    if (!Array.isArray(answers)) throw new TypeError(expected('inferBatch', 'a promise for each row', answers))
    return calls.map((_, i) => Promise.resolve(answers[i]))
  } catch (error) {
    return calls.map(() => Promise.reject(error))
  }
}

/**
 * What a worker is told of a call. All share one getter, as an own property so that `{ ...options }` has the signal, too: a
 * getter each, as in a literal, gives each object a hidden class of its own, which cost 5 us a query.
 */
class InferOptions {
  declare readonly signal: AbortSignal
  readonly #call: Call
  static readonly #signal = {
    enumerable: true,
    get(this: InferOptions) {
      return this.#call.signal
    },
  }

  constructor(call: Call) {
    this.#call = call
    Object.defineProperty(this, 'signal', InferOptions.#signal)
  }
}
