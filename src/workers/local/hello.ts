/** How a worker's script shows that it runs, long before its model is loaded. */

import type { Endpoint } from 'comlink'

/** Neither an object with an `id` nor a handler's reply: comlink passes over it. */
const HELLO = 'approxifer/worker runs'

/** A script that is there at all has said hello by then. */
const PATIENCE_MS = 2000

const ADVICE =
  "; nothing shows that its script runs 'approxifer/worker'. Where a bundler or a server does not find that script, write a " +
  "worker file that imports 'approxifer/worker' and pass createWorker: () => new Worker(<its URL>, { type: 'module' }); " +
  "Vite needs worker: { format: 'es' } and, for its dev server, optimizeDeps: { exclude: ['approxifer', 'onnxruntime-web'] }. " +
  'Recipes: https://github.com/approxifer/approxifer/blob/main/docs/bundlers.md'

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
