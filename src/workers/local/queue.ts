/** The call queue of one thread: one batch runs, the next one has been sent, a few wait. Implements rules 1 to 4 of `ModelWorker`. */

import type { Abort } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import type { TensorList } from '../../base/tensor'
import { OpenCall } from '../open-call'
import { type Reply, unwrap } from './messages'

/**
 * Batches that are sent to a thread at a time. The second one is transferred while the first runs, since a transfer takes as long
 * as a small model.
 */
const AHEAD = 2

/** Runs queries as one batch in the thread; resolves to a reply for each, in their order. May reject; may never settle. */
type Send = (queries: readonly TensorList[]) => Promise<readonly Reply<TensorList>[]>

export class CallQueue {
  onFree: (() => void) | undefined
  #waiting: OpenCall[][] = []
  #running: OpenCall[][] = []

  /** @param maxPending  batches that may wait behind the running one */
  constructor(
    private readonly send: Send,
    private readonly maxPending: number,
  ) {}

  get full(): boolean {
    return this.#running.length + this.#waiting.length > this.maxPending
  }

  get wanted(): boolean {
    return this.#waiting.length > 0 || this.#running.some((batch) => batch.some(isOpen))
  }

  /** Adds queries that go through the model as one batch; each has its own outcome. */
  push(queries: readonly TensorList[], aborts: readonly (Abort | undefined)[] = []): Promise<TensorList>[] {
    const { full } = this
    const calls = queries.map((query, i) => new OpenCall(query, aborts[i], () => this.#aborted()))
    if (full) {
      const error = new ApproxiferError('OVERLOADED', `${this.maxPending + 1} calls are open already`)
      for (const call of calls) call.settle(error)
    }
    const batch = calls.filter(isOpen)
    if (batch.length) this.#waiting.push(batch)
    this.#next()
    return calls.map(({ answer }) => answer)
  }

  /** Rejects every open call; late answers to them are dropped. */
  fail(error: ApproxiferError): void {
    const open = [...this.#running, ...this.#waiting]
    this.#running = []
    this.#waiting = []
    for (const call of open.flat()) call.settle(error)
  }

  #next(): void {
    const batch = this.#running.length < AHEAD ? this.#waiting.shift() : undefined
    if (!batch) return
    this.#running.push(batch)
    this.send(batch.map(({ query }) => query)).then(
      (replies) => this.#done(batch, replies),
      (error) => this.#done(batch, asError(error, 'WORKER')),
    )
  }

  #done(batch: OpenCall[], replies: readonly Reply<TensorList>[] | ApproxiferError): void {
    const at = this.#running.indexOf(batch)
    if (at < 0) return // `fail` has emptied the queue meanwhile
    this.#running.splice(at, 1)
    batch.forEach((call, i) => {
      if (isOpen(call)) call.settle(replies instanceof ApproxiferError ? replies : outcomeOf(replies[i]))
    })
    this.#next()
    this.onFree?.()
  }

  /** Removes aborted calls that still wait. An aborted call that was sent keeps the thread busy until its answer comes. */
  #aborted(): void {
    this.#waiting = this.#waiting.map((batch) => batch.filter(isOpen)).filter(({ length }) => length)
    this.onFree?.()
  }
}

const isOpen = ({ settled }: OpenCall) => !settled

function outcomeOf(reply: Reply<TensorList>): TensorList | ApproxiferError {
  try {
    return unwrap(reply)
  } catch (error) {
    return asError(error, 'PROTOCOL')
  }
}
