/** Attempts as the pool has them, and what a worker is at work on, or has next: one attempt, or several that go through its model in one run. */

import { CallOptions, Cancellation } from '../base/abort'
import { NONE } from '../base/arrays'
import { expected } from '../base/check'
import type { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { TensorList } from '../base/tensor'
import type { ModelWorker } from '../workers/worker'
import {
  type Attempt,
  type AttemptOutcome,
  type Identity,
  NORMAL,
  type Priority,
  type Submission,
  type Turn,
} from './attempt'
import type { WorkerSlot } from './member'

let made = 0

export const CANCELLED: AttemptOutcome = Object.freeze({ kind: 'cancelled' })

/** A failure that is no worker's fault. */
export function nobodysFault(error: ApproxiferError): AttemptOutcome {
  return { kind: 'failed', error, blame: 'nobody', lost: undefined }
}

/** One that is queued, then in a batch, and in the end has an outcome. */
export class PooledAttempt implements Attempt {
  readonly dueAt: number
  readonly turn: Turn
  /** Less than that of all that came later. */
  readonly order = made++
  priority: Priority
  isAlone = false
  /** In the queue, while it is there. */
  place: number | undefined
  /** The one that has or had it; undefined while it is queued, and from when its worker lost it. */
  batch: Batch | undefined
  seenBy: readonly Identity[] = NONE
  /** Nobody waits for it. */
  isReleased = false
  onTime = false
  /** These are written by `settle` alone. */
  ranMs = 0
  outcome: AttemptOutcome | undefined
  #cancellation: Cancellation | undefined

  constructor(
    readonly row: Submission,
    readonly queuedAt: number,
  ) {
    this.dueAt = row.dueAt ?? Number.POSITIVE_INFINITY
    this.turn = row.turn ?? NORMAL
    this.priority = row.priority
  }

  get payload(): unknown {
    return this.row.payload
  }

  get size(): number {
    return (this.row.payload as Payload).size
  }

  get shapeKey(): string {
    return (this.row.payload as Payload).shapeKey
  }

  get phase(): 'queued' | 'running' | 'settled' {
    if (this.outcome) return 'settled'
    return this.place === undefined ? 'running' : 'queued'
  }

  get worker(): ModelWorker | undefined {
    return this.batch?.slot.member.worker
  }

  get identity(): Identity | undefined {
    return this.batch?.slot.member.identity
  }

  get startedAt(): number {
    const { batch, outcome } = this
    return batch && (batch.phase !== 'ahead' || outcome) ? batch.startedAt : Number.NaN
  }

  get factor(): number {
    return this.batch?.factor ?? 1
  }

  get comparable(): boolean {
    return this.batch?.comparable ?? true
  }

  settle(outcome: AttemptOutcome, now: number): void {
    const since = outcome.kind !== 'cancelled' && this.batch ? this.batch.startedAt : this.startedAt
    this.ranMs = now - since || 0 // 0 in the queue, or cancelled behind another one
    this.outcome = outcome
  }

  /** Whether a worker may take it, behind what it has in a slot. */
  mayGoTo(identity: Identity, busy?: WorkerSlot): boolean {
    for (const apart of this.row.apart) if (apart.blocks(identity)) return false
    return !busy?.batch?.isApartFrom(this)
  }

  /** Whether it must not be in one batch with another, nor behind it. */
  isApartFrom({ row }: PooledAttempt): boolean {
    for (const apart of this.row.apart) if (row.apart.includes(apart)) return true
    return false
  }

  /** Of what one worker was told. Made when it is asked for: one for each attempt made a .1 ms model 8 % slower. */
  get cancellation(): Cancellation {
    this.#cancellation ??= new Cancellation()
    return this.#cancellation
  }

  /** Its worker is told that nobody wants it. */
  abort(): void {
    this.cancellation.abort()
  }

  /** Nobody wants it of this worker any more; another one has a cancellation of its own. */
  withdraw(): void {
    this.#cancellation?.abort()
    this.#cancellation = undefined
  }
}

export class Batch {
  /** Of the worker that has it, from when it is sent. */
  slot!: WorkerSlot
  /** `ahead`: its worker has it behind another. `silent`: it hung, nobody restarts its worker, and its attempts were settled. */
  phase: 'ahead' | 'running' | 'silent' = 'running'
  /** When the worker began with it, as far as can be told; while it is ahead, when it was sent. */
  startedAt = Number.NaN
  /** The best outcome so far; `cancelled`: none but of attempts that nobody wanted; `refused`: its worker did not begin with it. */
  best: 'cancelled' | 'refused' | 'failed' | 'answered' = 'cancelled'
  /** Whether the worker went down with it, or hung. */
  isDown = false
  /** Whether several attempts were lost together: that is one failure. */
  isLost = false
  /** Attempts that its worker lost, or was too busy for: they are queued again when all have left it. */
  again: PooledAttempt[] = NONE
  /** Whether it is something that cannot be done without. */
  readonly isNeeded: boolean

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
  ) {
    this.isNeeded = attempts[0].priority !== 'low'
  }

  /** Whether one of its attempts must not be with this one. */
  isApartFrom(attempt: PooledAttempt): boolean {
    return this.attempts.some((each) => each.isApartFrom(attempt))
  }

  has({ batch, outcome }: PooledAttempt): boolean {
    return batch === this && !outcome
  }

  get isOver(): boolean {
    return !this.attempts.some((attempt) => this.has(attempt))
  }

  /** Its attempts without an outcome. */
  get open(): PooledAttempt[] {
    return this.attempts.filter((attempt) => this.has(attempt))
  }
}

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
  const isInterruptible = worker.interruptible !== false
  try {
    if (attempts.length === 1) {
      const [attempt] = attempts
      const { tensors: query } = attempt.row.payload as Payload
      return [Promise.resolve(isInterruptible ? worker.infer(query, new CallOptions(attempt)) : worker.infer(query))]
    }
    const options = isInterruptible ? { signals: attempts.map(({ cancellation }) => cancellation.signal) } : {}
    const queries = attempts.map(({ row }) => (row.payload as Payload).tensors)
    const alike = together?.(queries)
    const answers = worker.inferBatch?.(alike?.queries ?? queries, options)
    if (!Array.isArray(answers)) throw new TypeError(expected('inferBatch', 'a promise for each query', answers))
    return attempts.map((_, i) => {
      const answered = Promise.resolve(answers[i])
      return alike ? answered.then((answer) => alike.cut(answer, i)) : answered
    })
  } catch (error) {
    return attempts.map(() => Promise.reject(error))
  }
}
