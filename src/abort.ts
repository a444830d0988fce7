/** Many calls on one AbortSignal: one listener each would draw Node's leak warning from the eleventh on. */

import { ApproxiferError } from './errors'

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * May be aborted, as an AbortController may. Its signal is made for who looks at it: one for every call made the median
 * answer of a model of 0.1 ms 8 % slower.
 */
export class Abort {
  aborted = false
  readonly listeners = new Set<() => void>()
  #controller: AbortController | undefined

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.aborted) this.#controller.abort()
    return this.#controller.signal
  }

  get reason(): unknown {
    return this.signal.reason
  }

  abort(): void {
    if (this.aborted) return
    this.aborted = true
    this.#controller?.abort()
    for (const listener of [...this.listeners]) listener()
  }
}

/** What tells of an abort. */
export type Abortable = AbortSignal | Abort

/** Calls `listener` once if the signal fires; returns a function that takes it back. */
export function onAbort(signal: Abortable | undefined, listener: () => void): () => void {
  if (!signal) return () => {}
  const all = signal instanceof Abort ? signal.listeners : (listeners.get(signal) ?? listenTo(signal))
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

export function aborted(signal: Abortable): ApproxiferError {
  return new ApproxiferError('ABORTED', 'the call was aborted', { cause: signal.reason })
}
