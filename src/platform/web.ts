/** Browsers, and runtimes that offer their Web Workers. */

import type { Endpoint } from 'comlink'
import core from '../../build/core-bytes.js'
import type { Platform, Thread } from './platform'

export const platform: Platform = {
  coreModule: () => WebAssembly.compile(Uint8Array.from(atob(core), (char) => char.charCodeAt(0))),

  spawn(create, onDeath): Thread {
    // Written in full: bundlers recognise only this form.
    const worker = (create?.() ?? new Worker(new URL('./worker.web.js', import.meta.url), { type: 'module' })) as Worker
    let dead = false
    const die = (why: string) => {
      if (!dead) onDeath(why)
      dead = true
    }
    worker.addEventListener('error', (event) => die(`threw: ${event.message || 'the script could not be loaded'}`))
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

  // Sharing memory takes cross-origin isolation, which nobody should need for our sake.
  share(bytes) {
    if (!globalThis.crossOriginIsolated || bytes.buffer instanceof SharedArrayBuffer) return bytes
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
    shared.set(bytes)
    return shared
  },

  runtimes: ['onnxruntime-web'],

  importOrt(_runtime, providers) {
    const small = providers.every((provider) => provider === 'wasm' || provider === 'cpu')
    return small ? import('onnxruntime-web/wasm') : import('onnxruntime-web/webgpu')
  },
}
