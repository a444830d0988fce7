/** The calls of one worker: one runs, the next is there already, a few wait, none is forgotten. Points 1 to 4 of the contract live here. */

import { aborted, onAbort } from '../../abort'
import { ApproxiferError, asError } from '../../errors'
import { checkAnswer, rowLength, type TensorSpec } from '../../tensor'
import { type Reply, unwrap } from './rows'

/** One row's. */
class Call {
  settled = false
  /** Stops listening for an abort. */
  forget: (() => void) | undefined

  constructor(
    readonly row: Float32Array,
    readonly signal: AbortSignal | undefined,
    readonly give: (answer: Float32Array) => void,
    readonly fail: (error: ApproxiferError) => void,
  ) {}

  resolve(answer: Float32Array): void {
    this.#settle()
    this.give(answer)
  }

  reject(error: ApproxiferError): void {
    this.#settle()
    this.fail(error)
  }

  #settle(): void {
    this.settled = true
    this.forget?.()
  }
}

/** Calls that go through the model together. */
type Batch = Call[]

/** Batches that a worker has at a time: while it runs one, the next is on its way, which takes as long as a small model. */
const AHEAD = 2

/** Asks the worker for all rows at once: a reply for each, in their order. */
type Run = (rows: readonly Float32Array[]) => Promise<readonly Reply<unknown>[]>

export class CallQueue {
  onFree: (() => void) | undefined
  readonly #run: Run
  readonly #outputs: readonly TensorSpec[]
  readonly #maxPending: number
  readonly #waiting: Batch[] = []
  /** Those that the worker has, in order. */
  #running: Batch[] = []

  /**
   * @param run         asks the worker, which answers in the order of the batches; may reject, may never settle
   * @param outputs     what an answer is made of
   * @param maxPending  batches, of one row or more, that may wait behind the one that runs
   */
  constructor(run: Run, outputs: readonly TensorSpec[], maxPending: number) {
    this.#run = run
    this.#outputs = outputs
    this.#maxPending = maxPending
  }

  get full(): boolean {
    return this.#running.length + this.#waiting.length > this.#maxPending
  }

  /** Whether anybody waits for an answer. */
  get wanted(): boolean {
    return this.#waiting.length > 0 || this.#running.some((batch) => batch.some(({ settled }) => !settled))
  }

  /**
   * Takes rows that go through the model together; each has an outcome of its own.
   *
   * @param signals  of each row, where it may be aborted
   */
  push(rows: readonly Float32Array[], signals: readonly (AbortSignal | undefined)[] = []): Promise<Float32Array>[] {
    const { full } = this
    const batch: Batch = []
    const answers = rows.map((row, i) => {
      return new Promise<Float32Array>((resolve, reject) => {
        const signal = signals[i]
        if (signal?.aborted) return reject(aborted(signal))
        if (full) return reject(new ApproxiferError('OVERLOADED', `${this.#maxPending + 1} calls are open already`))
        batch.push(new Call(row, signal, resolve, reject))
      })
    })
    if (!batch.length) return answers
    this.#waiting.push(batch)
    this.#next() // before the signals are listened to: the worker is at work meanwhile
    for (const call of [...batch]) this.#listen(call, batch)
    return answers
  }

  /** Rejects every open call; an answer that still comes to one of them is dropped. */
  fail(error: ApproxiferError): void {
    const open = [...this.#running, ...this.#waiting.splice(0)]
    this.#running = []
    for (const call of open.flat()) if (!call.settled) call.reject(error)
  }

  #next(): void {
    const batch = this.#running.length < AHEAD ? this.#waiting.shift() : undefined
    if (!batch) return
    this.#running.push(batch)
    this.#run(batch.map(({ row }) => row)).then(
      (replies) => this.#done(batch, replies),
      (error) => this.#done(batch, asError(error, 'WORKER')),
    )
  }

  #done(batch: Batch, replies: readonly Reply<unknown>[] | ApproxiferError): void {
    const at = this.#running.indexOf(batch)
    if (at < 0) return // the queue failed meanwhile
    this.#running.splice(at, 1)
    batch.forEach((call, i) => {
      if (call.settled) return
      if (replies instanceof ApproxiferError) call.reject(replies)
      else this.#settle(call, replies[i])
    })
    this.#next()
    this.onFree?.()
  }

  #settle(call: Call, reply: Reply<unknown>): void {
    try {
      call.resolve(checkAnswer(unwrap(reply), rowLength(this.#outputs), this.#outputs))
    } catch (error) {
      call.reject(asError(error, 'PROTOCOL'))
    }
  }

  #listen(call: Call, batch: Batch): void {
    const { signal } = call
    if (!signal) return
    const abort = () => this.#abort(call, batch, signal)
    call.forget = onAbort(signal, abort)
    if (signal.aborted) abort() // from inside of `run`
  }

  /** A call that waits leaves its batch; one that the worker has keeps it busy until its answer comes. */
  #abort(call: Call, batch: Batch, signal: AbortSignal): void {
    const at = this.#waiting.indexOf(batch)
    if (at >= 0) batch.splice(batch.indexOf(call), 1)
    if (at >= 0 && !batch.length) this.#waiting.splice(at, 1)
    call.reject(aborted(signal))
    this.onFree?.()
  }
}
