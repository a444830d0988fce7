/** Edge runtimes: no threads, and no compilation of WASM from bytes. The core runs in JavaScript unless it is imported as a module. */

import type { Platform } from './platform'

function none(what: string): never {
  throw new Error(`${what}: not on this runtime; bring workers of your own`)
}

export const platform: Platform = {
  cores: undefined,
  connections: 6, // in each request, or in all requests of a Durable Object (Cloudflare's limits)
  coreModule: async () => {
    throw new Error('WebAssembly is not compiled from bytes on this runtime')
  },
  threads: false,
  spawn: () => none('threads'),
  parent: () => none('threads'),
  read: async () => none('models'),
  memory: () => undefined,
  runtimes: ['onnxruntime-web'],
  importOrt: async () => none('onnxruntime-web'),
  identity: () => 'edge',
}
