/**
 * Queries and answers as plain messages between threads. Comlink's envelope for a call costs as much as a small model: LeNet on
 * two threads gives 8,100 answers a second with comlink, 14,900 without. Replies come in the order of the messages. A message may
 * hold a batch of queries, which the model runs at once.
 *
 * Nothing is transferred: cloning a tensor is faster than copying and detaching it, at every size. Large tensors are copied into
 * shared memory that is reused, where the runtime has it: 150,528 values take both threads 80 us together, against 110 to 190 for
 * a cloned message. Tensors that are already in shared memory, such as the predictor's queries, are not copied.
 */

import type { Endpoint } from 'comlink'
import type { ArrayKind, NumericData, TensorData } from '../../base/element'
import { isNumeric, isShared, joinedData, partOf } from '../../base/element'
import { ApproxiferError, asError, type Code } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { type AnyTensor, type Signature, type TensorList, tensorOf } from '../../base/tensor'
import { LARGE } from '../worker'

/** Errors lose their code when they are cloned between threads, so their code and message are sent as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

/** One reply for the whole batch, or one for each query if the batch failed. Tensors have the batch dimension if the model has one. */
type Answered = Reply<TensorList> | Reply<TensorList>[]

export function plain(error: unknown, fallback: Code): { code: Code; message: string } {
  const { code, message } = asError(error, fallback)
  return { code, message }
}

/** @throws ApproxiferError with the reply's code and message; PROTOCOL if the value is not a reply */
export function unwrap<T>(reply: Reply<T>): T {
  if (isAnswer(reply)) return reply.value
  const { code = 'PROTOCOL', message = 'the worker sent no reply' } = reply ?? {}
  throw new ApproxiferError(code, message)
}

function isAnswer<T>(reply: Reply<T>): reply is { value: T } {
  return typeof reply === 'object' && reply !== null && 'value' in reply
}

/** In the worker thread: runs the queries of messages, one message after the other. */
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
    const replies: Reply<TensorList>[] = [] // run each query alone, so that one invalid query does not fail the others
    for (let i = 0; i < count; i++) replies.push(await tried(batch.map((tensor) => oneOf(tensor, i, count))))
    parent.postMessage({ reply: replies })
  }
  let last = Promise.resolve()
  parent.addEventListener('message', (event) => {
    const { batch, count } = (event as MessageEvent).data ?? {}
    if (Array.isArray(batch)) last = last.then(() => answer(batch, count)) // other messages are comlink's
  })
}

/** In the main thread: sends queries to the worker thread and matches its replies. */
export class ThreadCaller {
  readonly #thread: Endpoint
  readonly #share: (bytes: number) => SharedArrayBuffer | undefined
  /** Messages without a reply, in the order sent, each with the shared memory that holds its tensors. */
  readonly #waiting: { resolve: (answered: Answered) => void; lent: SharedArrayBuffer | undefined }[] = []
  /** Shared memory that can be reused. */
  readonly #unused: SharedArrayBuffer[] = []
  readonly #signature: Signature

  /** @param share  allocates memory that both threads see; undefined if the runtime has none, or the thread cannot read it */
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

  /** Runs several queries of equal shapes as one batch. @returns a reply for each query, in their order */
  async run(queries: readonly TensorList[]): Promise<readonly Reply<TensorList>[]> {
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

  /** Splits the batch's reply into a reply for each of `count` queries. */
  #read(reply: Reply<unknown>, count: number): Reply<TensorList>[] {
    if (!isAnswer(reply)) return [reply as Reply<never>]
    const { outputs, batched = true } = this.#signature
    const wanted = batched ? outputs.map((spec) => ({ ...spec, shape: [count, ...spec.shape] })) : outputs
    const flaw = flawOf(reply.value, wanted, false) // a user's own worker script may send anything
    if (flaw) return Array.from({ length: count }, () => plain(flaw, 'PROTOCOL'))
    const answer = reply.value as TensorList
    return Array.from({ length: count }, (_, query) => ({
      value: outputs.map((spec, i) => {
        const { data, shape } = oneOf(answer[i], query, count)
        return tensorOf(spec, data, batched ? shape.slice(1) : shape)
      }),
    }))
  }

  /** Shared memory of at least `bytes`: a reused buffer if it is large enough, else a new one. */
  #borrow(bytes: number): SharedArrayBuffer | undefined {
    const unused = this.#unused.pop()
    return unused && unused.byteLength >= bytes ? unused : this.#share(bytes)
  }
}

/** Whether the batch is one query that is already in shared memory. */
const isReady = (parts: readonly TensorData[]) => parts.length === 1 && isShared(parts[0])

/** Bytes that these parts take in shared memory, rounded up to 8 so that a typed array of any type can follow. */
function bytesOf(parts: readonly TensorData[]): number {
  if (isReady(parts)) return 0
  const bytes = parts.reduce((sum, data) => sum + (isNumeric(data) ? data.byteLength : 0), 0)
  return Math.ceil(bytes / 8) * 8
}

/**
 * Joins one input of all queries, in shared memory from `from` on if there is any. Else a view is copied into its own buffer,
 * since cloning a view clones its whole buffer.
 */
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

/** A view of one query's part of a tensor that holds `count` queries. */
function oneOf({ data, shape, ...rest }: AnyTensor, query: number, count: number): AnyTensor {
  if (count === 1) return { data, shape, ...rest }
  const each = data.length / count
  return { ...rest, data: partOf(data, query * each, each), shape: [1, ...shape.slice(1)] }
}

/** The message by which a worker script reports that it runs. Comlink ignores plain strings. */
const HELLO = 'approxifer/worker runs'

/** A script that could be loaded at all has sent HELLO after this time. */
const HELLO_TIMEOUT_MS = 2000

const ADVICE =
  "; nothing shows that its script runs 'approxifer/worker'. Where a bundler or server does not find it, write a " +
  "worker file that imports 'approxifer/worker' and pass createWorker: () => new Worker(<its URL>, { type: 'module' }); " +
  "Vite needs worker: { format: 'es' } and, for its dev server, optimizeDeps: { exclude: ['approxifer', 'onnxruntime-web'] }. " +
  'Recipes: https://github.com/approxifer/approxifer/blob/main/docs/reference/bundlers.md'

/** Reports that the worker's script runs, long before its model is loaded. */
export function sayHello(parent: Endpoint): void {
  parent.postMessage(HELLO)
}

/**
 * Waits for HELLO from a new worker.
 *
 * @param onSilence  called once if nothing comes for HELLO_TIMEOUT_MS; a user's own worker script need not send HELLO
 * @returns `advice` to append to error messages about the worker, empty once HELLO came; `stop` ends the waiting
 */
export function awaitHello(worker: Endpoint, onSilence: (text: string) => void) {
  const hello = { advice: ADVICE, stop: () => clearTimeout(timer) }
  const timer = setTimeout(
    () => onSilence(`a worker has been silent for ${HELLO_TIMEOUT_MS} ms${ADVICE}`),
    HELLO_TIMEOUT_MS,
  )
  worker.addEventListener('message', (event) => {
    if ((event as MessageEvent).data !== HELLO) return
    hello.advice = ''
    hello.stop()
  })
  return hello
}
