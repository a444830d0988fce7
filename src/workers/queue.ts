/** The calls of one worker: one runs, the next is there already, a few wait, none is forgotten. Points 1 to 4 of the contract live here. */

import { aborted, onAbort } from '../abort'
import { ApproxiferError, asError } from '../errors'
import { checkAnswer, rowLength, type TensorSpec } from '../tensor'

class Call {
  settled = false
  /** Stops listening for an abort. */
  forget: (() => void) | undefined

  constructor(
    readonly row: Float32Array,
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

/** Calls that a worker has at a time: while it runs one, the next is on its way, which takes as long as a small model. */
const AHEAD = 2

export class CallQueue {
  onFree: (() => void) | undefined
  readonly #run: (row: Float32Array) => Promise<unknown>
  readonly #outputs: readonly TensorSpec[]
  readonly #maxPending: number
  readonly #waiting: Call[] = []
  /** Those that the worker has, in order. */
  #running: Call[] = []

  /**
   * @param run         asks the worker, which answers in the order of the calls; may reject, may never settle
   * @param outputs     what an answer is made of
   * @param maxPending  calls that may wait behind the one that runs
   */
  constructor(run: (row: Float32Array) => Promise<unknown>, outputs: readonly TensorSpec[], maxPending: number) {
    this.#run = run
    this.#outputs = outputs
    this.#maxPending = maxPending
  }

  get full(): boolean {
    return this.#running.length + this.#waiting.length > this.#maxPending
  }

  /** Whether anybody waits for an answer. */
  get wanted(): boolean {
    return this.#waiting.length > 0 || this.#running.some(({ settled }) => !settled)
  }

  push(row: Float32Array, signal?: AbortSignal): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(signal))
      if (this.full) return reject(new ApproxiferError('OVERLOADED', `${this.#maxPending + 1} calls are open already`))
      const call = new Call(row, resolve, reject)
      this.#waiting.push(call)
      this.#next() // before the signal is listened to: the worker is at work meanwhile
      if (!signal) return
      const abort = () => this.#abort(call, signal)
      call.forget = onAbort(signal, abort)
      if (signal.aborted) abort() // from inside of `run`
    })
  }

  /** Rejects every open call; an answer that still comes to one of them is dropped. */
  fail(error: ApproxiferError): void {
    const open = [...this.#running, ...this.#waiting.splice(0)]
    this.#running = []
    for (const call of open) if (!call.settled) call.reject(error)
  }

  #next(): void {
    const call = this.#running.length < AHEAD ? this.#waiting.shift() : undefined
    if (!call) return
    this.#running.push(call)
    this.#run(call.row).then(
      (answer) => this.#done(call, answer),
      (error) => this.#done(call, undefined, asError(error, 'WORKER')),
    )
  }

  #done(call: Call, answer: unknown, error?: ApproxiferError): void {
    const at = this.#running.indexOf(call)
    if (at < 0) return // the queue failed meanwhile
    this.#running.splice(at, 1)
    if (!call.settled) this.#settle(call, answer, error)
    this.#next()
    this.onFree?.()
  }

  #settle(call: Call, answer: unknown, error?: ApproxiferError): void {
    if (error) return call.reject(error)
    try {
      call.resolve(checkAnswer(answer, rowLength(this.#outputs), this.#outputs))
    } catch (error) {
      call.reject(asError(error, 'PROTOCOL'))
    }
  }

  /** A call that waits leaves the queue; one that the worker has keeps it busy until its answer comes. */
  #abort(call: Call, signal: AbortSignal): void {
    const at = this.#waiting.indexOf(call)
    if (at >= 0) this.#waiting.splice(at, 1)
    call.reject(aborted(signal))
    this.onFree?.()
  }
}
