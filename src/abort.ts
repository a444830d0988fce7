/** Many calls on one AbortSignal: one listener each would draw Node's leak warning from the eleventh on. */

import { expected } from './check'
import { ApproxiferError } from './errors'

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `listener` once if the signal fires; returns a function that takes it back. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (!signal) return () => {}
  const all = listeners.get(signal) ?? listenTo(signal)
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

export function aborted(signal: AbortSignal): ApproxiferError {
  return new ApproxiferError('ABORTED', 'the call was aborted', { cause: signal.reason })
}

/** What `work` gives, or the signal's reason as soon as it fires, whatever becomes of the work then. */
export function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

/** @throws TypeError */
export function checkSignal(field: string, value: unknown): AbortSignal {
  if (typeof (value as AbortSignal | null)?.addEventListener === 'function') return value as AbortSignal
  throw new TypeError(expected(field, 'an AbortSignal', value))
}
