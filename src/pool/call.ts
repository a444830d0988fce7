/** A row on its way to an answer, and who wants it. */

import type { CodedRow } from '../codec/codec'
import type { ApproxiferError } from '../errors'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Batch } from './batch'

/** In this order: hedges and retries, queries, and what can be done without: copies and parities. */
export type Kind = 'urgent' | 'query' | 'extra'

/** Who wants rows answered. */
export interface Asker {
  /** Whether this worker must not take the call: it has another row of the group, or failed on the query. */
  avoids(call: Call, worker: ModelWorker): boolean
  /** A worker is at work on it. */
  sent(call: Call): void
  /** It waits again, and is nobody's fault: its worker went down with a batch, or was late with the call before it. */
  back?(call: Call): void
  /** It was answered: cancels what need not be asked any more, before its worker gets another row. */
  spare(call: Call): void
  /** It failed, and its worker has not got another row yet. */
  failed?(call: Call): void
  /**
   * It has an outcome; of every call that was put, once, unless it was cancelled while it waited. It has no worker where it was given up
   * while it waited, since none may take it.
   */
  heard(call: Call): void
}

/** One row on its way: it waits, runs on one worker, and is done. */
export class Call {
  state: 'waiting' | 'running' | 'done' | 'cancelled' = 'waiting'
  worker: ModelWorker | undefined
  /** What it runs in, while no outcome is known. */
  batch: Batch | undefined
  /** When a worker began with it, as far as can be told; NaN while it is behind another call. */
  sentAt = Number.NaN
  /** From then to the outcome. */
  ms = 0
  /** How many times as long as alone it is expected to take, since it shares its run with others. */
  factor = 1
  /** Whether that was measured, so that its time tells what one takes alone. */
  comparable = true
  /** A copy: the caller's alone. */
  answer: Float32Array | undefined
  error: ApproxiferError | undefined
  /** Whether the worker went down with it, or hung, while it had no other. */
  killed = false
  /** Whether its worker was taken away from it: neither is to blame. */
  removed = false
  /** Whether its worker hung and nobody restarts it. */
  abandoned = false
  /** Whether its worker may be asked again although it failed: nobody else is left. */
  forgiven = false
  /** It shares a run with no others: one that it shared failed. */
  alone = false
  /** When its caller's deadline is. */
  dueAt = Number.POSITIVE_INFINITY
  putAt = Number.NaN
  /** In its line. */
  place = 0
  #abort: AbortController | undefined
  #let = false

  constructor(
    readonly asker: Asker,
    readonly row: Pick<CodedRow, 'data' | 'query' | 'index'>,
    public kind: Kind,
  ) {}

  /** Fires when nobody wants the answer any more. Made for who looks: one for each call made a .1 ms model 8 % slower. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#let) this.#abort.abort()
    return this.#abort.signal
  }

  /** Nobody wants it any more. The worker is not to blame for what comes of it, but may go on. */
  letGo(): void {
    this.#let = true
    this.#abort?.abort()
  }

  get isLetGo(): boolean {
    return this.#let
  }

  /** Nobody wants it of this worker any more. */
  withdraw(): void {
    this.#abort?.abort()
    this.#abort = undefined // another worker has a signal of its own
  }

  /** Whether it may still be answered. */
  get isLive(): boolean {
    return this.state === 'waiting' || this.state === 'running'
  }

  /** The identity that must not get the same query again; undefined while it waits, and where its worker is not to blame. */
  get asked(): string | undefined {
    return this.worker && !this.removed && !this.forgiven ? identityOf(this.worker) : undefined
  }

  /** What its error counts as. */
  get failure(): 'failed' | 'rejected' {
    return this.error?.code === 'PROTOCOL' ? 'rejected' : 'failed'
  }
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
