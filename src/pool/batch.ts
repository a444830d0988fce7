/** What a worker is at work on, or has next: one attempt, or several that go through its model in one run. */

import { expected } from '../check'
import type { Payload } from '../payload'
import type { TensorList } from '../tensor'
import type { ModelWorker } from '../workers/worker'
import type { WorkerSlot } from './member'
import type { PooledAttempt } from './pooled-attempt'

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
  again: PooledAttempt[] | undefined

  /**
   * @param attempts    at least one
   * @param factor      how many times as long as one row of typical size it is expected to take
   * @param comparable  whether that was measured
   * @param measured    whether it tells what batches gain: others were queued, and there was a choice
   */
  constructor(
    readonly attempts: PooledAttempt[],
    readonly factor = 1,
    readonly comparable = true,
    readonly measured = false,
  ) {}

  /** Whether it is something that cannot be done without. */
  get isNeeded(): boolean {
    return this.attempts[0].priority !== 'low'
  }

  /** Whether one of its attempts must not be with this one. */
  isApartFrom(attempt: PooledAttempt): boolean {
    return this.attempts.some((each) => each.isApartFrom(attempt))
  }

  has({ at, outcome }: PooledAttempt): boolean {
    return at === this && !outcome
  }

  get isOver(): boolean {
    return !this.attempts.some((attempt) => this.has(attempt))
  }

  /** Its attempts without an outcome. */
  get open(): PooledAttempt[] {
    return this.attempts.filter((attempt) => this.has(attempt))
  }
}

const queryOf = ({ payload }: PooledAttempt) => (payload as Payload).tensors

/** Queries as they can share a run, and of what is answered there what each would have got alone. */
export interface Together {
  readonly queries: readonly TensorList[]
  cut(answer: unknown, query: number): unknown
}

export type Join = (queries: readonly TensorList[]) => Together

/**
 * Sends it: an outcome an attempt. A worker that throws instead of rejecting rejects all the same.
 *
 * @param together  makes queries of one shape of several
 */
export function send(worker: ModelWorker, { attempts }: Batch, together?: Join): Promise<unknown>[] {
  const isTold = worker.interruptible !== false
  try {
    if (attempts.length === 1) {
      const [attempt] = attempts
      const query = queryOf(attempt)
      return [Promise.resolve(isTold ? worker.infer(query, new InferOptions(attempt)) : worker.infer(query))]
    }
    const options = isTold ? { signals: attempts.map(({ signal }) => signal) } : {}
    const alike = together?.(attempts.map(queryOf))
    const answers = worker.inferBatch?.(alike?.queries ?? attempts.map(queryOf), options)
    if (!Array.isArray(answers)) throw new TypeError(expected('inferBatch', 'a promise for each query', answers))
    return attempts.map((_, i) => {
      const answered = Promise.resolve(answers[i])
      return alike ? answered.then((answer) => alike.cut(answer, i)) : answered
    })
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
  readonly #attempt: PooledAttempt
  static readonly #signal = {
    enumerable: true,
    get(this: InferOptions) {
      return this.#attempt.signal
    },
  }

  constructor(attempt: PooledAttempt) {
    this.#attempt = attempt
    Object.defineProperty(this, 'signal', InferOptions.#signal)
  }
}
