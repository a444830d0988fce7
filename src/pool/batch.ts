/** What a worker is at work on, or has next: one attempt, or several of different groups that go through its model in one run. */

import { expected } from '../errors'
import type { ModelWorker } from '../workers/worker'
import type { Call } from './call'
import type { WorkerSlot } from './member'

export class Batch {
  /** Of the worker that has it. */
  slot: WorkerSlot | undefined
  /** `ahead`: its worker has it behind another. `silent`: it hung, nobody restarts its worker, and its attempts were settled. */
  phase: 'ahead' | 'running' | 'silent' = 'running'
  /** When the worker began with it, as far as can be told; while it is ahead, when it was sent. */
  startedAt = Number.NaN
  /** The best outcome so far; `cancelled`: none but of attempts that nobody wanted. */
  best: 'cancelled' | 'failed' | 'answered' = 'cancelled'
  /** Whether the worker went down with it, or hung. */
  isDown = false
  /** Attempts that are queued again, each alone. */
  again: Call[] | undefined

  /**
   * @param attempts    at least one
   * @param factor      how many times as long as one row it is expected to take
   * @param comparable  whether that was measured
   * @param measured    whether it tells what batches gain: others were queued, and there was a choice
   */
  constructor(
    readonly attempts: readonly Call[],
    readonly factor = 1,
    readonly comparable = true,
    readonly measured = false,
  ) {
    for (const attempt of attempts) {
      attempt.factor = factor
      attempt.comparable = comparable
    }
  }

  /** Whether it is something that cannot be done without. */
  get isNeeded(): boolean {
    return this.attempts[0].kind !== 'extra'
  }

  /** Whether an attempt of the same group is in it. */
  isOf({ asker }: Call): boolean {
    return this.attempts.some((each) => each.asker === asker)
  }

  get isOver(): boolean {
    return this.attempts.every(({ batch }) => batch !== this)
  }

  /** Its attempts without an outcome. */
  get open(): Call[] {
    return this.attempts.filter(({ batch }) => batch === this)
  }
}

/** Sends it: an outcome an attempt. A worker that throws instead of rejecting rejects all the same. */
export function send(worker: ModelWorker, { attempts }: Batch): Promise<unknown>[] {
  const isTold = worker.interruptible !== false
  try {
    if (attempts.length === 1) {
      const [attempt] = attempts
      const { data } = attempt.row
      return [Promise.resolve(isTold ? worker.infer(data, new InferOptions(attempt)) : worker.infer(data))]
    }
    const rows = attempts.map(({ row }) => row.data)
    const options = isTold ? { signals: attempts.map(({ signal }) => signal) } : {}
    const answers = worker.inferBatch?.(rows, options)
    if (!Array.isArray(answers)) throw new TypeError(expected('inferBatch', 'a promise for each row', answers))
    return attempts.map((_, i) => Promise.resolve(answers[i]))
  } catch (error) {
    return attempts.map(() => Promise.reject(error))
  }
}

/**
 * What a worker is told of an attempt. All share one getter, as an own property so that `{ ...options }` has the signal, too: a
 * getter each, as in a literal, gives each object a hidden class of its own, which cost 5 us a query.
 */
class InferOptions {
  declare readonly signal: AbortSignal
  readonly #attempt: Call
  static readonly #signal = {
    enumerable: true,
    get(this: InferOptions) {
      return this.#attempt.signal
    },
  }

  constructor(attempt: Call) {
    this.#attempt = attempt
    Object.defineProperty(this, 'signal', InferOptions.#signal)
  }
}
