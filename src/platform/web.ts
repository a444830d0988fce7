/** Browsers, and runtimes that support Web Workers. */

import type { Endpoint } from 'comlink'
import type { Platform, Thread } from './platform'

/** Browsers do not tell which of these it was. */
const UNLOADED = 'could not load its script: it, or a file that it imports, is missing or no JavaScript'

export const platform: Platform = {
  isPage: true,

  get cores() {
    return globalThis.navigator?.hardwareConcurrency
  },

  async coreModule() {
    const { default: core } = await import('../../build/core-bytes.js') // imported on first use, since not all pages need it
    return WebAssembly.compile(Uint8Array.from(atob(core), (char) => char.charCodeAt(0)))
  },

  threads: typeof Worker !== 'undefined', // service workers and edges have none

  spawn(create, onDeath): Thread {
    // The complete expression: bundlers recognise only this form.
    const worker = (create?.() ?? new Worker(new URL('./worker.web.js', import.meta.url), { type: 'module' })) as Worker
    let dead = false
    const die = (why: string) => {
      if (!dead) onDeath(why)
      dead = true
    }
    worker.addEventListener('error', ({ message }) => die(message ? `threw: ${message}` : UNLOADED))
    worker.addEventListener('messageerror', () => die('sent an unreadable message'))
    return {
      endpoint: worker,
      hold: () => {},
      terminate: async () => {
        dead = true
        worker.terminate()
      },
    }
  },

  parent: () => globalThis as unknown as Endpoint,

  async read(source) {
    const response = await fetch(source)
    if (!response.ok) throw new Error(`${source} answered ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  },

  // Shared memory needs cross-origin isolation, which the library does not require.
  memory: (bytes) => (globalThis.crossOriginIsolated ? new SharedArrayBuffer(bytes) : undefined),

  runtimes: ['onnxruntime-web'],

  importOrt(_runtime, providers) {
    const other = providers.find((provider) => provider !== 'wasm' && provider !== 'cpu')
    // Bundlers would copy the larger runtime, 27 MB, into every application.
    if (other !== undefined) throw new RangeError(`providers: '${other}' ${LARGER}`)
    return import('onnxruntime-web/wasm').catch(unresolved)
  },

  identity: () => 'browser',
}

const LARGER =
  "needs the larger runtime: createWorker: () => new Worker(<URL of approxifer/worker.webgpu>, { type: 'module' })"

/** Adds advice for pages without a bundler, where package names cannot be resolved. */
function unresolved(error: Error): never {
  const todo =
    "a page without a bundler takes createWorker: () => new Worker(<URL of approxifer's dist/worker.bundle.js>"
  throw new Error(`${error.message}; ${todo}, { type: 'module' }), since import maps do not reach workers`)
}
