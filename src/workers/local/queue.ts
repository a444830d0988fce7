/** The calls of one thread: one runs, the next is there already, a few wait, and each settles. Points 1 to 4 of the contract live here. */

import { ApproxiferError, asError } from '../../errors'
import { checkAnswer, rowLength, type TensorSpec } from '../../tensor'
import { OpenCall } from '../open-call'
import { type Reply, unwrap } from './rows'

/** Batches that a thread has at a time: while it runs one, the next is on its way, which takes as long as a small model. */
const AHEAD = 2

/** Sends the thread rows that go through the model together: a reply for each, in their order. May reject, may never settle. */
type Send = (rows: readonly Float32Array[]) => Promise<readonly Reply<unknown>[]>

export class CallQueue {
  onFree: (() => void) | undefined
  #waiting: OpenCall[][] = []
  #running: OpenCall[][] = []

  /** @param maxPending  batches, of one row or more, that may wait behind the one that runs */
  constructor(
    private readonly send: Send,
    private readonly outputs: readonly TensorSpec[],
    private readonly maxPending: number,
  ) {}

  get full(): boolean {
    return this.#running.length + this.#waiting.length > this.maxPending
  }

  get wanted(): boolean {
    return this.#waiting.length > 0 || this.#running.some((batch) => batch.some(isOpen))
  }

  /** Takes rows that go through the model together; each has an outcome of its own. */
  push(rows: readonly Float32Array[], signals: readonly (AbortSignal | undefined)[] = []): Promise<Float32Array>[] {
    const { full } = this
    const calls = rows.map((row, i) => new OpenCall(row, signals[i], () => this.#aborted()))
    if (full) {
      const error = new ApproxiferError('OVERLOADED', `${this.maxPending + 1} calls are open already`)
      for (const call of calls) call.settle(error)
    }
    const batch = calls.filter(isOpen)
    if (batch.length) this.#waiting.push(batch)
    this.#next()
    return calls.map(({ answer }) => answer)
  }

  /** Rejects every open call; an answer that still comes to one of them is dropped. */
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
    this.send(batch.map(({ row }) => row)).then(
      (replies) => this.#done(batch, replies),
      (error) => this.#done(batch, asError(error, 'WORKER')),
    )
  }

  #done(batch: OpenCall[], replies: readonly Reply<unknown>[] | ApproxiferError): void {
    const at = this.#running.indexOf(batch)
    if (at < 0) return // the queue failed meanwhile
    this.#running.splice(at, 1)
    batch.forEach((call, i) => {
      if (isOpen(call)) call.settle(replies instanceof ApproxiferError ? replies : this.#outcome(replies[i]))
    })
    this.#next()
    this.onFree?.()
  }

  #outcome(reply: Reply<unknown>): Float32Array | ApproxiferError {
    try {
      return checkAnswer(unwrap(reply), rowLength(this.outputs), this.outputs)
    } catch (error) {
      return asError(error, 'PROTOCOL')
    }
  }

  /** Calls that wait leave their batches; one that the thread has keeps it busy until its answer comes. */
  #aborted(): void {
    this.#waiting = this.#waiting.map((batch) => batch.filter(isOpen)).filter(({ length }) => length)
    this.onFree?.()
  }
}

const isOpen = ({ settled }: OpenCall) => !settled
