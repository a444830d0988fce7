/** Workers on threads that behave as their rows say; see test/fixtures/behaviour.js. */

import { Worker } from 'node:worker_threads'
import { type LocalOptions, localWorkers, type ModelWorker } from 'approxifer'

export const fixture = new URL('../fixtures/thread.js', import.meta.url)
const small = { resourceLimits: { maxOldGenerationSizeMb: 24 } } // so that running out of memory takes no minute

export const threads = (options: Partial<LocalOptions> = {}) =>
  localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker: () => new Worker(fixture, small), ...options })

/** One that is somebody else's to restart. */
export function elsewhere(worker: ModelWorker): ModelWorker {
  const { name, signature, infer, close } = worker
  return {
    name,
    signature,
    infer: infer.bind(worker),
    close: close.bind(worker),
    get free() {
      return worker.free
    },
    get onFree() {
      return worker.onFree
    },
    set onFree(listener) {
      worker.onFree = listener
    },
  }
}
