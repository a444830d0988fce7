/** An attempt as the pool has it: one that is queued, then in a batch, and in the end has an outcome. */

import type { Payload } from '../payload'
import { identityOf, type ModelWorker } from '../workers/worker'
import {
  type Attempt,
  type FailedOutcome,
  type Identity,
  NORMAL,
  type Outcome,
  type Priority,
  type Submission,
  type Turn,
} from './attempt'
import type { Batch } from './batch'

export class PooledAttempt implements Attempt {
  priority: Priority
  isAlone: boolean
  /** Its place in the queue, or the batch that has or had it; undefined while its worker lost it and it is not queued again yet. */
  at: number | Batch | undefined
  /** Nobody waits for it. */
  isReleased = false
  #result: (Outcome & { readonly ranMs: number }) | undefined
  #abort: AbortController | undefined

  constructor(
    readonly row: Submission,
    readonly queuedAt: number,
  ) {
    this.priority = row.priority
    this.isAlone = row.alone ?? false
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

  get dueAt(): number {
    return this.row.dueAt ?? Number.POSITIVE_INFINITY
  }

  get turn(): Turn {
    return this.row.turn ?? NORMAL
  }

  get phase(): 'queued' | 'running' | 'settled' {
    if (this.#result) return 'settled'
    return typeof this.at === 'number' ? 'queued' : 'running'
  }

  get #batch(): Batch | undefined {
    return typeof this.at === 'object' ? this.at : undefined
  }

  get worker(): ModelWorker | undefined {
    return this.#batch?.slot?.member.worker
  }

  get identity(): Identity | undefined {
    const { worker } = this
    return worker && identityOf(worker)
  }

  get startedAt(): number {
    const batch = this.#batch
    return batch && (batch.phase !== 'ahead' || this.#result) ? batch.startedAt : Number.NaN
  }

  get ranMs(): number {
    return this.#result?.ranMs ?? 0
  }

  get factor(): number {
    return this.#batch?.factor ?? 1
  }

  get comparable(): boolean {
    return this.#batch?.comparable ?? true
  }

  get outcome(): Outcome | undefined {
    return this.#result
  }

  /** It is settled. @param now  the time, for this and the two below */
  answer(answer: unknown, now: number): void {
    this.#result = { kind: 'answered', answer, ranMs: this.#msUntil(now) }
  }

  fail({ error, blame, lost }: Omit<FailedOutcome, 'kind'>, now: number): void {
    this.#result = { kind: 'failed', error, blame, lost, ranMs: this.#msUntil(now) }
  }

  cancel(now: number): void {
    this.#result = { kind: 'cancelled', ranMs: now - this.startedAt || 0 } // 0 behind another one
  }

  #msUntil(now: number): number {
    return typeof this.at === 'object' ? now - this.at.startedAt : 0
  }

  /** Whether it must keep away from a worker of this identity. */
  isKeptFrom(identity: Identity): boolean {
    for (const apart of this.row.apart) if (apart.blocks(identity)) return true
    return false
  }

  /** Whether it must not be in one batch with another, nor behind it. */
  isApartFrom({ row }: PooledAttempt): boolean {
    for (const apart of this.row.apart) if (row.apart.includes(apart)) return true
    return false
  }

  /** Fires when nobody wants its answer of this worker. Made when it is asked for: one for each attempt made a .1 ms model 8 % slower. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    return this.#abort.signal
  }

  /** Its worker is told that nobody wants it. */
  abort(): void {
    this.#abort ??= new AbortController()
    this.#abort.abort()
  }

  /** Nobody wants it of this worker any more; another one has a signal of its own. */
  withdraw(): void {
    this.#abort?.abort()
    this.#abort = undefined
  }
}
