/** Browsers, and runtimes that support Web Workers. */

import type { Endpoint } from 'comlink'
import type { Platform, Thread } from './platform'
import { checkCompiles, policyViolations, reported } from './policy'

/** Browsers do not tell which of these it was. */
const UNLOADED = 'could not load its script: it, or a file that it imports, is missing or no JavaScript'
const FORBIDDEN = "could not load its script: the page's Content-Security-Policy forbids it (worker-src, or script-src)"
const UNTYPED =
  'the page requires trusted types: pass onnx.createWorker: () => new Worker(policy.createScriptURL(' +
  "<URL of the worker's script>), { type: 'module' }), with a policy that trusted-types of its Content-Security-Policy lists"
/** How Chromium, WebKit and Firefox call a URL that is no TrustedScriptURL. */
const IS_UNTYPED = /TrustedScriptURL|Sink type mismatch/
export const platform: Platform = {
  isPage: true,

  whyBlocked: (...asked) =>
    import('./blocked').then(
      ({ whyBlocked }) => whyBlocked(...asked),
      () => undefined, // a page without a network may not get the file
    ),

  get cores() {
    return globalThis.navigator?.hardwareConcurrency
  },

  async coreModule() {
    checkCompiles()
    const { default: core } = await import('../../build/core-bytes.js') // imported on first use, since not all pages need it
    return WebAssembly.compile(Uint8Array.from(atob(core), (char) => char.charCodeAt(0)))
  },

  threads: typeof Worker !== 'undefined', // service workers and edges have none

  spawn(create, onDeath): Thread {
    const violations = policyViolations('worker-src')
    let worker: Worker
    try {
      // The complete expression: bundlers recognise only this form.
      worker = (create?.() ?? new Worker(new URL('./worker.web.js', import.meta.url), { type: 'module' })) as Worker
    } catch (error) {
      violations.stop()
      throw IS_UNTYPED.test((error as Error)?.message) ? new Error(UNTYPED, { cause: error }) : error
    }
    let dead = false
    const die = (why: string, isSure?: boolean) => {
      violations.stop()
      if (!dead) onDeath(why, isSure)
      dead = true
    }
    worker.addEventListener('message', violations.stop, { once: true })
    worker.addEventListener('error', async ({ message }) => {
      if (message) return die(`threw: ${message}`)
      await reported()
      if (violations.found) die(FORBIDDEN, true)
      else die(UNLOADED)
    })
    worker.addEventListener('messageerror', () => die('sent an unreadable message'))
    return {
      endpoint: worker,
      hold: () => {},
      terminate: async () => {
        dead = true
        violations.stop()
        worker.terminate()
      },
    }
  },

  parent: () => globalThis as unknown as Endpoint,

  async read(source) {
    const response = await fetch(source).catch(async (cause) => {
      const why = await platform.whyBlocked?.(String(source), { isSimple: true })
      throw why === undefined ? cause : new Error(why, { cause })
    })
    if (!response.ok) throw new Error(`${source} answered ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  },

  // Shared memory needs cross-origin isolation, which the library does not require.
  memory: (bytes) => (globalThis.crossOriginIsolated ? new SharedArrayBuffer(bytes) : undefined),

  runtimes: ['onnxruntime-web'],

  importOrt(_runtime, providers) {
    const other = providers.find((provider) => provider !== 'wasm' && provider !== 'cpu')
    checkCompiles()
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
