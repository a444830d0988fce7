/** Many calls on one AbortSignal: one listener each would draw Node's leak warning from the eleventh on. */

import { ApproxiferError } from './errors'

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `listener` once if the signal fires; returns a function that takes it back. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (!signal) return () => {}
  let all = listeners.get(signal)
  if (!all) {
    const set = (all = new Set())
    listeners.set(signal, set)
    signal.addEventListener('abort', () => [...set].forEach((each) => each()), { once: true })
  }
  all.add(listener)
  const set = all
  return () => set.delete(listener)
}

export function aborted(signal: AbortSignal): ApproxiferError {
  return new ApproxiferError('ABORTED', 'the call was aborted', { cause: signal.reason })
}
