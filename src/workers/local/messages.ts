/**
 * Queries and answers in plain messages, beside comlink, which does the rest: its envelope for a call costs as much as a small
 * model does (LeNet on two threads: 8,100 answers a second in envelopes, 14,900 without). Answers come in the order of the
 * messages; one that brings several queries lets the model run once for all: each input is one tensor then, with all that the queries have for it.
 * Nothing is transferred: to send a copy takes less time than to make one and detach it, at every size. Large tensors are copied into memory that
 * both threads share, where the runtime has it, and that is used again and again: 150,528 values take both threads 80 us, a message with a copy 110 to 190.
 * What is in shared memory already, as the predictor's queries are, is not copied.
 */

import type { Endpoint } from 'comlink'
import type { ArrayKind, NumericData, TensorData } from '../../base/element'
import { isNumeric, isShared, joinedData, partOf } from '../../base/element'
import { ApproxiferError, asError, type Code } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { type AnyTensor, type Signature, type TensorList, tensorOf } from '../../base/tensor'
import { LARGE } from '../worker'

/** An error loses its code on the way between threads, so it crosses as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

/** A tensor for each input or output, with what several queries have for it, and the batch dimension where the model has one. */
type Answered = Reply<TensorList> | Reply<TensorList>[]

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

/** In the thread: answers the queries of messages, one message after the other. */
export function answerQueries(parent: Endpoint, run: (batch: TensorList) => Promise<TensorList>): void {
  const tried = async (batch: TensorList): Promise<Reply<TensorList>> => {
    try {
      return { value: await run(batch) }
    } catch (error) {
      return plain(error, 'WORKER')
    }
  }
  const answer = async (batch: TensorList, count: number) => {
    const reply = await tried(batch)
    if (count === 1 || 'value' in reply) return parent.postMessage({ reply })
    const replies: Reply<TensorList>[] = [] // what is wrong with one query must not cost the others their answers
    for (let i = 0; i < count; i++) replies.push(await tried(batch.map((tensor) => oneOf(tensor, i, count))))
    parent.postMessage({ reply: replies })
  }
  let last = Promise.resolve()
  parent.addEventListener('message', (event) => {
    const { batch, count } = (event as MessageEvent).data ?? {}
    if (Array.isArray(batch)) last = last.then(() => answer(batch, count)) // else comlink's
  })
}

/** At the other end: asks the thread. */
export class ThreadCaller {
  readonly #thread: Endpoint
  readonly #share: (bytes: number) => SharedArrayBuffer | undefined
  /** Messages without a reply, in order, and the shared memory that their tensors are in. */
  readonly #waiting: { resolve: (answered: Answered) => void; lent: SharedArrayBuffer | undefined }[] = []
  /** Shared memory that no message under way is in. */
  readonly #unused: SharedArrayBuffer[] = []
  readonly #signature: Signature

  /** @param share  makes memory that both threads share; undefined where the runtime has none, or the thread cannot read it */
  constructor(thread: Endpoint, signature: Signature, share: (bytes: number) => SharedArrayBuffer | undefined) {
    this.#thread = thread
    this.#signature = signature
    this.#share = share
    thread.addEventListener('message', (event) => {
      const { data } = event as MessageEvent
      if (data === null || typeof data !== 'object' || !('reply' in data)) return
      const { resolve, lent } = this.#waiting.shift() ?? {}
      if (lent) this.#unused.push(lent)
      resolve?.(data.reply)
    })
  }

  /** Asks for all queries, of equal shapes, in one run of the model. @returns a reply for each, in their order */
  async ask(queries: readonly TensorList[]): Promise<readonly Reply<TensorList>[]> {
    const count = queries.length
    const { inputs, batched = true } = this.#signature
    const parts = inputs.map((_, i) => queries.map((query) => query[i].data))
    const bytes = parts.map(bytesOf)
    const all = bytes.reduce((sum, each) => sum + each, 0)
    const lent = all < LARGE ? undefined : this.#borrow(all)
    let at = 0
    const batch = inputs.map(({ type = 'float32' }, i) => {
      const { shape } = queries[0][i]
      const data = sentData(parts[i], lent, at)
      at += bytes[i]
      return { data, shape: batched ? [count, ...shape] : shape, type }
    })
    this.#thread.postMessage({ batch, count })
    const answered = await new Promise<Answered>((resolve) => this.#waiting.push({ resolve, lent }))
    if (Array.isArray(answered)) return answered.map((reply) => this.#read(reply, 1)[0])
    return isAnswer(answered) ? this.#read(answered, count) : queries.map(() => answered as Reply<never>)
  }

  /** @returns a reply for each of `count` queries */
  #read(reply: Reply<unknown>, count: number): Reply<TensorList>[] {
    if (!isAnswer(reply)) return [reply as Reply<never>]
    const { outputs, batched = true } = this.#signature
    const wanted = batched ? outputs.map((spec) => ({ ...spec, shape: [count, ...spec.shape] })) : outputs
    const flaw = flawOf(reply.value, wanted, false) // a script of the user's own may have sent anything
    if (flaw) return Array.from({ length: count }, () => plain(flaw, 'PROTOCOL'))
    const answer = reply.value as TensorList
    return Array.from({ length: count }, (_, query) => ({
      value: outputs.map((spec, i) => {
        const { data, shape } = oneOf(answer[i], query, count)
        return tensorOf(spec, data, batched ? shape.slice(1) : shape)
      }),
    }))
  }

  /** Shared memory of at least `bytes`: that of an answered message, if it is large enough. */
  #borrow(bytes: number): SharedArrayBuffer | undefined {
    const unused = this.#unused.pop()
    return unused && unused.byteLength >= bytes ? unused : this.#share(bytes)
  }
}

/** Whether it is one query's, in shared memory already. */
const isReady = (parts: readonly TensorData[]) => parts.length === 1 && isShared(parts[0])

/** Of parts in shared memory, to where another typed array may begin, whatever its type. */
function bytesOf(parts: readonly TensorData[]): number {
  if (isReady(parts)) return 0
  const bytes = parts.reduce((sum, data) => sum + (isNumeric(data) ? data.byteLength : 0), 0)
  return Math.ceil(bytes / 8) * 8
}

/** What several queries have for one input: in shared memory from a byte on, or in a buffer of its own, since a part of one would be sent as a whole. */
function sentData(parts: readonly TensorData[], lent: SharedArrayBuffer | undefined, from: number): TensorData {
  const [first] = parts
  if (isReady(parts)) return first
  if (lent && isNumeric(first)) {
    const Kind = first.constructor as ArrayKind
    return joinedData(
      parts,
      new Kind(
        lent,
        from,
        parts.reduce((sum, { length }) => sum + length, 0),
      ),
    )
  }
  if (parts.length > 1 || !isNumeric(first)) return joinedData(parts)
  return first.byteLength < first.buffer.byteLength ? (first.slice() as NumericData) : first
}

/** One query's part of a tensor that `count` queries share; a view. */
function oneOf({ data, shape, ...rest }: AnyTensor, query: number, count: number): AnyTensor {
  if (count === 1) return { data, shape, ...rest }
  const each = data.length / count
  return { ...rest, data: partOf(data, query * each, each), shape: [1, ...shape.slice(1)] }
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
