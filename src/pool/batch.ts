/** What the pool keeps of an attempt, and batches: the attempts of one call of a worker, which is running or will be its next. */

import { CallOptions, Cancellation } from '../base/abort'
import { NONE } from '../base/arrays'
import { expected } from '../base/check'
import type { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { TensorList } from '../base/tensor'
import type { ModelWorker } from '../workers/worker'
import type { Attempt, AttemptOutcome, Identity, Priority, Submission, Turn } from './attempt'
import { NORMAL } from './attempt'
import type { WorkerSlot } from './member'

let made = 0

export const CANCELLED: AttemptOutcome = Object.freeze({ kind: 'cancelled' })

/** A failure that is no worker's fault. */
export function nobodysFault(error: ApproxiferError): AttemptOutcome {
  return { kind: 'failed', error, blame: 'nobody', lost: undefined }
}

/** An attempt: queued first, then in a batch, at last settled. */
export class PooledAttempt implements Attempt {
  readonly dueAt: number
  readonly turn: Turn
  /** Increases with each attempt made. */
  readonly order = made++
  priority: Priority
  isAlone = false
  /** Its index in the queue, while it is queued. */
  place: number | undefined
  /** The batch that has or had it; undefined while it is queued, and after its worker lost it. */
  batch: Batch | undefined
  seenBy: readonly Identity[] = NONE
  /** Whether no caller waits for it. */
  isReleased = false
  onTime = false
  /** Set by `settle` only. */
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
    return this.batch ? this.batch.comparable && !this.batch.stood : true
  }

  settle(outcome: AttemptOutcome, now: number): void {
    const since = outcome.kind !== 'cancelled' && this.batch ? this.batch.startedAt : this.startedAt
    this.ranMs = now - since || 0 // 0 if it was queued, or cancelled behind another attempt
    this.outcome = outcome
  }

  /** Whether a worker may take it, behind the batch in that slot. */
  mayGoTo(identity: Identity, busy?: WorkerSlot): boolean {
    for (const apart of this.row.apart) if (apart.blocks(identity)) return false
    return !busy?.batch?.isApartFrom(this)
  }

  /** Whether it must not share a batch with another attempt, nor go behind it. */
  isApartFrom({ row }: PooledAttempt): boolean {
    for (const apart of this.row.apart) if (row.apart.includes(apart)) return true
    return false
  }

  /** The cancellation at its current worker. Made on demand: one for each attempt made a model of .1 ms 8 % slower. */
  get cancellation(): Cancellation {
    this.#cancellation ??= new Cancellation()
    return this.#cancellation
  }

  /** Tells its worker that nobody wants it. */
  abort(): void {
    this.cancellation.abort()
  }

  /** Its current worker is done with it; another one will have a cancellation of its own. */
  withdraw(): void {
    this.#cancellation?.abort()
    this.#cancellation = undefined
  }
}

export class Batch {
  /** The slot of the worker that has it; set when it is sent. */
  slot!: WorkerSlot
  /** `ahead`: it waits at its worker behind another batch. `silent`: the worker hung and cannot be restarted; the attempts were settled. */
  phase: 'ahead' | 'running' | 'silent' = 'running'
  /** When the worker began, as far as that is known; while it is ahead, when it was sent. */
  startedAt = Number.NaN
  /** The best outcome so far; `cancelled`: only of unwanted attempts; `refused`: the worker did not begin. */
  best: 'cancelled' | 'refused' | 'failed' | 'answered' = 'cancelled'
  /** Whether this process stood still meanwhile, so that its time shows nothing of the worker. */
  stood = false
  /** Whether the worker crashed or hung with it. */
  isDown = false
  /** Whether several attempts were lost together, which counts as one failure. */
  isLost = false
  /** Attempts that the worker lost, or was too busy for: they are queued again once all have left it. */
  again: PooledAttempt[] = NONE
  /** Whether it has queries, hedges or retries. */
  readonly isNeeded: boolean

  /**
   * @param attempts    at least one
   * @param factor      expected time relative to one attempt of typical size
   * @param comparable  whether that factor was measured
   * @param measured    whether its time shows what batching gains: others were queued, and there was a choice
   */
  constructor(
    readonly attempts: PooledAttempt[],
    readonly factor = 1,
    readonly comparable = true,
    readonly measured = false,
  ) {
    this.isNeeded = attempts[0].priority !== 'low'
  }

  /** Whether one of its attempts must not share a batch with this one. */
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

/** Combines queries so that they can share a run, and cuts the answers back to what each would have got alone. */
export interface Together {
  readonly queries: readonly TensorList[]
  cut(answer: unknown, query: number): unknown
}

export type Join = (queries: readonly TensorList[]) => Together

/**
 * Sends a batch to a worker, which returns one outcome for each attempt. A worker that throws counts as one that rejects.
 *
 * @param together  gives several queries one shape
 */
export function send(worker: ModelWorker, { attempts }: Batch, together?: Join): Promise<unknown>[] {
  const isInterruptible = worker.interruptible !== false
  try {
    if (attempts.length === 1) {
      const [attempt] = attempts
      const { payload, traceparent } = attempt.row
      const { tensors: query } = payload as Payload
      const options = isInterruptible ? new CallOptions(attempt, traceparent) : traceparent && { traceparent }
      return [Promise.resolve(options ? worker.infer(query, options) : worker.infer(query))]
    }
    const traceparent = attempts.find(({ row }) => row.traceparent !== undefined)?.row.traceparent
    const signals = isInterruptible ? attempts.map(({ cancellation }) => cancellation.signal) : undefined
    const options = { ...(signals && { signals }), ...(traceparent !== undefined && { traceparent }) }
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
