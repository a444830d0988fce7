/**
 * Queries and answers in plain messages, beside comlink, which does the rest: its envelope for a call costs as much as a small
 * model does (LeNet on two threads: 8,100 answers a second in envelopes, 14,900 without). Answers come in the order of the
 * messages; one that brings several queries lets the model run once for all. A query's tensors lie one after the other, as a row.
 * Nothing is transferred: to send a copy takes less time than to make one and detach it, at every size. Large rows are copied into memory that both threads share, where the
 * runtime has it, and that is used again and again: 150,528 values take both threads 80 us, a message with a copy 110 to 190.
 */

import type { Endpoint } from 'comlink'
import { joined } from '../../arrays'
import { expected } from '../../check'
import { ApproxiferError, asError, type Code } from '../../errors'
import { tensorsOf } from '../../payload'
import { rowLength, type TensorList, type TensorSpec } from '../../tensor'

/** An error loses its code on the way between threads, so it crosses as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

/** The thread's reply to one message: the answers to its rows one after the other, or a reply for each row. */
type Answered = Reply<Float32Array> | Reply<Float32Array>[]

export function plain(error: unknown, fallback: Code): { code: Code; message: string } {
  const { code, message } = asError(error, fallback)
  return { code, message }
}

/** @throws ApproxiferError what the reply says; PROTOCOL where it is none */
export function unwrap<T>(reply: Reply<T>): T {
  if (isAnswer(reply)) return reply.value
  const { code = 'PROTOCOL', message = 'the worker sent no reply' } = reply ?? {}
  throw new ApproxiferError(code, message)
}

function isAnswer<T>(reply: Reply<T>): reply is { value: T } {
  return typeof reply === 'object' && reply !== null && 'value' in reply
}

/** In the thread: answers the rows of messages, one message after the other; those of one lie one behind the other. */
export function answerRows(
  parent: Endpoint,
  infer: (rows: Float32Array, count: number) => Promise<Float32Array>,
): void {
  const tried = async (rows: Float32Array, count: number): Promise<Reply<Float32Array>> => {
    try {
      return { value: await infer(rows, count) }
    } catch (error) {
      return plain(error, 'WORKER')
    }
  }
  const answer = async (rows: Float32Array, count: number) => {
    const reply = await tried(rows, count)
    if (count === 1 || 'value' in reply) return parent.postMessage({ reply })
    const replies: Reply<Float32Array>[] = [] // what is wrong with one row must not cost the others their answers
    for (const row of parts(rows, count)) replies.push(await tried(row, 1))
    parent.postMessage({ reply: replies })
  }
  let last = Promise.resolve()
  parent.addEventListener('message', (event) => {
    const { rows, count } = (event as MessageEvent).data ?? {}
    if (rows instanceof Float32Array) last = last.then(() => answer(rows, count)) // else comlink's
  })
}

/** Values from which on shared memory gains anything. */
const LARGE = 2 ** 13

/** At the other end: asks the thread. */
export class RowCaller {
  readonly #thread: Endpoint
  readonly #share: (bytes: number) => SharedArrayBuffer | undefined
  /** Messages without a reply, in order, and the shared memory that their rows are in. */
  readonly #waiting: { resolve: (answered: Answered) => void; lent: Float32Array | undefined }[] = []
  /** Shared memory that no message under way is in. */
  readonly #unused: Float32Array[] = []

  readonly #outputs: readonly TensorSpec[]

  /** @param share  makes memory that both threads share; undefined where the runtime has none, or the thread cannot read it */
  constructor(
    thread: Endpoint,
    outputs: readonly TensorSpec[],
    share: (bytes: number) => SharedArrayBuffer | undefined,
  ) {
    this.#thread = thread
    this.#outputs = outputs
    this.#share = share
    thread.addEventListener('message', (event) => {
      const { data } = event as MessageEvent
      if (data === null || typeof data !== 'object' || !('reply' in data)) return
      const { resolve, lent } = this.#waiting.shift() ?? {}
      if (lent) this.#unused.push(lent)
      resolve?.(data.reply)
    })
  }

  /** Asks for all queries in one run of the model. @returns a reply for each, in their order */
  async ask(queries: readonly TensorList[]): Promise<readonly Reply<TensorList>[]> {
    const count = queries.length
    const all = queries.flatMap((query) => query.map(({ data }) => data))
    const values = all.reduce((sum, data) => sum + data.length, 0)
    const lent = values < LARGE ? undefined : this.#borrow(values)
    const sent = all.length === 1 && !lent ? whole(all[0]) : joined(all, Float32Array, lent?.subarray(0, values))
    this.#thread.postMessage({ rows: sent, count })
    const answered = await new Promise<Answered>((resolve) => this.#waiting.push({ resolve, lent }))
    if (Array.isArray(answered)) return answered.map((reply) => this.#read(reply))
    if (count === 1 || !isAnswer(answered)) return queries.map(() => this.#read(answered))
    return parts(answered.value, count).map((value) => this.#read({ value }))
  }

  /** A script of the user's own may have sent anything. */
  #read(reply: Reply<unknown>): Reply<TensorList> {
    if (!isAnswer(reply)) return reply as Reply<never>
    const { value } = reply
    const length = rowLength(this.#outputs)
    if (value instanceof Float32Array && value.length === length) return { value: tensorsOf(value, this.#outputs) }
    const got = value instanceof Float32Array ? value.length : value
    return { code: 'PROTOCOL', message: expected('answer', `${length} values`, got) }
  }

  /** Shared memory for this many values: that of an answered message, if it is large enough. */
  #borrow(values: number): Float32Array | undefined {
    const unused = this.#unused.pop()
    if (unused && unused.length >= values) return unused
    const memory = this.#share(values * Float32Array.BYTES_PER_ELEMENT)
    return memory && new Float32Array(memory)
  }
}

/** Not a part of a buffer, which would be sent as a whole. */
function whole(row: Float32Array): Float32Array {
  return row.byteLength < row.buffer.byteLength ? row.slice() : row
}

/** Of equal length, in order; views. */
function parts(all: Float32Array, count: number): Float32Array[] {
  const length = all.length / count
  return Array.from({ length: count }, (_, i) => all.subarray(i * length, (i + 1) * length))
}

/** Neither an object with an `id` nor a handler's reply: comlink passes over it. */
const HELLO = 'approxifer/worker runs'

/** A script that is there at all has said hello by then. */
const PATIENCE_MS = 2000

const ADVICE =
  "; nothing shows that its script runs 'approxifer/worker'. Where a bundler or server does not find it, write a " +
  "worker file that imports 'approxifer/worker' and pass createWorker: () => new Worker(<its URL>, { type: 'module' }); " +
  "Vite needs worker: { format: 'es' } and, for its dev server, optimizeDeps: { exclude: ['approxifer', 'onnxruntime-web'] }. " +
  'Recipes: https://github.com/approxifer/approxifer/blob/main/docs/bundlers.md'

/** Shows that a worker's script runs, long before its model is loaded. */
export function sayHello(parent: Endpoint): void {
  parent.postMessage(HELLO)
}

/**
 * Listens for the hello of a worker that was just made.
 *
 * @param onSilence  told once, if nothing comes for long; a worker of the user's own need not say hello
 * @returns `advice`: what to add to a sentence about the worker, empty once it said hello; `stop` ends the waiting
 */
export function awaitHello(worker: Endpoint, onSilence: (text: string) => void) {
  const hello = { advice: ADVICE, stop: () => clearTimeout(timer) }
  const timer = setTimeout(() => onSilence(`a worker has been silent for ${PATIENCE_MS} ms${ADVICE}`), PATIENCE_MS)
  worker.addEventListener('message', (event) => {
    if ((event as MessageEvent).data !== HELLO) return
    hello.advice = ''
    hello.stop()
  })
  return hello
}
