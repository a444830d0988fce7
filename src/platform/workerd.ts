/** Edge runtimes: no threads, no compiling from bytes; the core comes as a module. */

import core from '../../build/core.wasm'
import { fetchConnections } from './fetch'
import type { Platform } from './platform'

function none(what: string): never {
  throw new Error(`${what}: not on this runtime; bring workers, or a store, of your own`)
}

export const platform: Platform = {
  cores: undefined,
  coreModule: async () => core,
  spawn: () => none('threads'),
  parent: () => none('threads'),
  read: async () => none('models'),
  files: () => none('files'),
  share: (bytes) => bytes,
  memory: () => undefined,
  runtimes: ['onnxruntime-web'],
  importOrt: async () => none('onnxruntime-web'),
  connect: async (url) => fetchConnections(url, (...args) => fetch(...args)),
  importNats: async () => {
    throw new Error("NATS: pass a connection instead of its URL: await wsconnect({ servers }) of '@nats-io/nats-core'")
  },
  identity: () => 'edge',
}
