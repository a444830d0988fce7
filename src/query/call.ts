/** A row on its way to an answer: an attempt, and who wants it, until runs are queries. */

import type { CodedRow } from '../codec/codec'
import { ApproxiferError } from '../errors'
import type { Apart, Attempt, Identity, Owner, Priority, Submission } from '../pool/attempt'
import type { Pool } from '../pool/pool'
import type { ModelWorker } from '../workers/worker'

/** Rows in, answers out. */
export type RowPool = Pool<Float32Array, Float32Array>

/** Who wants rows answered. */
export interface Asker extends Apart {
  /** Whether a worker of this identity must not take the call. */
  avoids?(call: Call, identity: Identity): boolean
  /** A worker is at work on it. */
  sent(call: Call): void
  /** It was answered: cancels what need not be asked any more, before its worker gets another row. */
  spare(call: Call): void
  /** It failed, and its worker has not got another row yet. */
  failed?(call: Call): void
  /** It has an outcome; of every call that was put, once, unless it was cancelled while it waited. */
  heard(call: Call): void
}

export class Call implements Owner, Apart {
  attempt: Attempt<Float32Array, Float32Array> | undefined
  /** Whether its worker may be asked again although it failed: nobody else is left. */
  forgiven = false
  dueAt = Number.POSITIVE_INFINITY
  /** What became of it. */
  answer: Float32Array | undefined
  error: ApproxiferError | undefined
  /** Whether it has no answer since nobody wanted one. */
  isEnded = false

  constructor(
    readonly asker: Asker,
    readonly row: Pick<CodedRow, 'data' | 'query' | 'index'>,
    readonly priority: Priority,
  ) {}

  put(pool: RowPool): void {
    this.attempt = pool.submit(this.#submission)
  }

  /** Gives it to an ejected worker, if there is one for it. */
  try(pool: RowPool): boolean {
    this.attempt = pool.trial(this.#submission)
    return this.attempt !== undefined
  }

  get #submission(): Submission<Float32Array> {
    const { asker, dueAt, priority } = this
    return { payload: this.row.data, owner: this, apart: asker.avoids ? [asker, this] : [asker], priority, dueAt }
  }

  /** A row that waits for a worker where there is none for it fails. */
  giveUp(pool: RowPool): void {
    if (this.state !== 'waiting' || !this.attempt) return
    this.error = new ApproxiferError('WORKER', pool.nobody)
    pool.cancel(this.attempt)
    this.asker.heard(this)
  }

  blocks(identity: Identity): boolean {
    return this.asker.avoids?.(this, identity) === true
  }

  began(attempt: Attempt): void {
    this.attempt = attempt as Attempt<Float32Array, Float32Array>
    this.asker.sent(this)
  }

  settled(): void {
    const outcome = this.attempt?.outcome
    this.isEnded = outcome?.kind === 'cancelled'
    if (outcome?.kind === 'answered') this.answer = outcome.answer
    else if (outcome?.kind === 'failed') this.error = outcome.error
    else this.error = new ApproxiferError('ABORTED', 'nobody waits for it any more')
    if (this.answer) this.asker.spare(this)
    else this.asker.failed?.(this)
    this.asker.heard(this)
  }

  get state(): 'waiting' | 'running' | 'done' | 'cancelled' {
    if (this.answer || this.error) return 'done'
    const phase = this.attempt?.phase ?? 'queued'
    return phase === 'queued' ? 'waiting' : phase === 'running' ? 'running' : 'cancelled'
  }

  /** Whether it may still be answered. */
  get isLive(): boolean {
    return !this.answer && !this.error && this.attempt?.phase !== 'settled'
  }

  get kind(): Priority {
    return this.attempt?.priority ?? this.priority
  }

  get worker(): ModelWorker | undefined {
    return this.attempt?.worker
  }

  /** NaN before a worker began with it. */
  get sentAt(): number {
    return this.attempt?.startedAt ?? Number.NaN
  }

  get ms(): number {
    return this.attempt?.ranMs ?? 0
  }

  get factor(): number {
    return this.attempt?.factor ?? 1
  }

  get comparable(): boolean {
    return this.attempt?.comparable ?? true
  }

  get alone(): boolean {
    return this.attempt?.isAlone === true
  }

  get #failed() {
    const outcome = this.attempt?.outcome
    return outcome?.kind === 'failed' ? outcome : undefined
  }

  /** Whether the worker went down with it, or hung, while it had no other. */
  get killed(): boolean {
    return this.#failed?.lost !== undefined
  }

  /** Whether its worker hung and nobody restarts it. */
  get abandoned(): boolean {
    return this.#failed?.lost === 'silent'
  }

  /** Whether its worker was taken away from it: neither is to blame. */
  get removed(): boolean {
    return this.#failed?.blame === 'nobody'
  }

  /** The identity that must not get the same query again; undefined while it waits, and where its worker is not to blame. */
  get asked(): Identity | undefined {
    return this.forgiven || this.removed ? undefined : this.attempt?.identity
  }

  /** What its error counts as. */
  get failure(): 'failed' | 'rejected' {
    return this.error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
  }
}

/** Those that wait are taken out; those that run go on, for nobody. */
export function withdraw(pool: RowPool, calls: readonly Call[]): void {
  for (const { attempt } of calls) if (attempt && attempt.phase !== 'settled') pool.release(attempt)
}

/** How many machines may yet take a row that must not go where these calls went, or will go. Below 0: not all that wait will get one. */
export function candidates(pool: RowPool, calls: readonly Call[]): number {
  const waiting = calls.filter(({ state }) => state === 'waiting').length
  return pool.available(calls.flatMap(({ asked }) => asked ?? [])) - waiting
}

/** Whether workers that failed on a query may be asked for it again, where nobody else is left: once. */
export function mayForgive(calls: readonly Call[]): boolean {
  return calls.some(isForgivable) && !calls.some(({ forgiven }) => forgiven)
}

/** Lets them be asked again. */
export function forgive(calls: readonly Call[]): void {
  for (const call of calls) call.forgiven = isForgivable(call)
}

/** It may be over: not an answer that is none, nor silence of a worker that nobody restarts. */
function isForgivable({ error, abandoned }: Call): boolean {
  return (error?.code === 'WORKER' || error?.code === 'OVERLOADED') && !abandoned
}
