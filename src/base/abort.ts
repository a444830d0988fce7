/** Calls that may be cut short. */

import { NONE } from './arrays'
import { expected, wrongType } from './check'
import { ApproxiferError } from './errors'

/**
 * What an AbortController and its signal do, without being made of them: these two, and a listener, take 15 us and a kilobyte in Node 20.
 * Nothing but a listener is kept for who only listens; who asks for a signal gets one.
 */
export class Cancellation {
  aborted = false
  reason: unknown
  /** Replaced, never changed: most calls have one or two, for which a Set takes several times the memory. */
  #listeners: readonly (() => void)[] = NONE
  #controller: AbortController | undefined

  /** The first reason counts. */
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

  /** Calls `listener` once if it is aborted; returns a function that takes it back. */
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

/** Either tells of an abort. */
export type Abort = AbortSignal | Cancellation

/**
 * What a worker is told of a call: its `signal` is made when it is asked for. All share one getter, as an own property so that
 * `{ ...options }` has the signal, too: a getter each, as in a literal, gives each object a hidden class of its own, which cost 5 us a query.
 */
export class CallOptions {
  declare readonly signal: AbortSignal
  /** W3C Trace Context, where the caller said one. */
  declare readonly traceparent?: string
  readonly #call: { readonly cancellation: Cancellation }
  static readonly #signal = {
    enumerable: true,
    get(this: CallOptions) {
      return this.cancellation.signal
    },
  }

  /** @param call  has its cancellation when that is asked for */
  constructor(call: { readonly cancellation: Cancellation }, traceparent?: string) {
    this.#call = call
    Object.defineProperty(this, 'signal', CallOptions.#signal)
    if (traceparent !== undefined) this.traceparent = traceparent
  }

  get cancellation(): Cancellation {
    return this.#call.cancellation
  }
}

/** What tells of the abort of a worker's call. */
export function abortOf(options: { readonly signal?: AbortSignal | undefined }): Abort | undefined {
  return options instanceof CallOptions ? options.cancellation : options.signal
}

/** Many calls on one AbortSignal: one listener each would draw Node's leak warning from the eleventh on. */
const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `listener` once if the signal fires; returns a function that takes it back. */
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

/** What `work` gives, or the signal's reason as soon as it fires or where it has, whatever becomes of the work then. */
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
