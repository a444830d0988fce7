/** Calls that may be cut short. */

import { NONE } from './arrays'
import { expected, wrongType } from './check'
import { ApproxiferError } from './errors'

/**
 * Does what an AbortController and its signal do, at less cost: those two and a listener take 15 us and a kilobyte in Node 20. An
 * AbortController is made only if `signal` is read.
 */
export class Cancellation {
  aborted = false
  reason: unknown
  /** Replaced on every change: most calls have one or two listeners, for which a Set takes several times the memory. */
  #listeners: readonly (() => void)[] = NONE
  #controller: AbortController | undefined

  /** Only the first call has an effect. */
  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    this.#controller?.abort(reason)
    for (const listener of this.#listeners) listener()
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  /** Calls `listener` once on abort. @returns removes the listener */
  listen(listener: () => void): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener)
    }
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.aborted) this.#controller.abort(this.reason)
    return this.#controller.signal
  }
}

export type Abort = AbortSignal | Cancellation

/**
 * The options that a worker gets with a call. Its `signal` is made when it is read. All objects share one getter, which is an own property
 * so that `{ ...options }` contains the signal: a getter per object, as in a literal, gives each object a hidden class of its own, which
 * cost 5 us a query.
 */
export class CallOptions {
  declare readonly signal: AbortSignal
  /** W3C Trace Context, if the caller gave one. */
  declare readonly traceparent?: string
  readonly #call: { readonly cancellation: Cancellation }
  static readonly #signal = {
    enumerable: true,
    get(this: CallOptions) {
      return this.cancellation.signal
    },
  }

  /** @param call  whose `cancellation` is read only when it is needed */
  constructor(call: { readonly cancellation: Cancellation }, traceparent?: string) {
    this.#call = call
    Object.defineProperty(this, 'signal', CallOptions.#signal)
    if (traceparent !== undefined) this.traceparent = traceparent
  }

  get cancellation(): Cancellation {
    return this.#call.cancellation
  }
}

/** The cancellation or the signal of a worker's call. */
export function abortOf(options: { readonly signal?: AbortSignal | undefined }): Abort | undefined {
  return options instanceof CallOptions ? options.cancellation : options.signal
}

/** Many calls share one listener on an AbortSignal: with a listener each, Node warns of a leak from the eleventh on. */
const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `listener` once when the signal fires. @returns removes the listener */
export function onAbort(abort: Abort | undefined, listener: () => void): () => void {
  if (!abort) return () => {}
  if (abort instanceof Cancellation) return abort.listen(listener)
  const all = listeners.get(abort) ?? listenTo(abort)
  all.add(listener)
  return () => all.delete(listener)
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const all = new Set<() => void>()
  const fire = () => {
    for (const listener of [...all]) listener()
  }
  listeners.set(signal, all)
  signal.addEventListener('abort', fire, { once: true })
  return all
}

export function aborted(abort: Abort): ApproxiferError {
  return new ApproxiferError('ABORTED', 'the call was aborted', { cause: abort.reason })
}

/** Settles as `work` does, or rejects with the signal's reason as soon as the signal has fired. */
export function orAborted<T>(abort: Abort | undefined, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(abort?.reason)
    const forget = onAbort(abort, leave)
    if (abort?.aborted) leave()
    const took = (value: T) => {
      forget()
      resolve(value)
    }
    const failed = (error: unknown) => {
      forget()
      reject(error)
    }
    work.then(took, failed)
  })
}

/** @throws TypeError */
export function checkSignal(field: string, value: unknown): AbortSignal {
  if (typeof (value as AbortSignal | null)?.addEventListener === 'function') return value as AbortSignal
  throw wrongType(expected(field, 'an AbortSignal', value))
}
