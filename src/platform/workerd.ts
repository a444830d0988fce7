/** Edge runtimes: no threads, no compiling from bytes; the core comes as a module. */

import core from '../../build/core.wasm'
import type { Platform } from './platform'

/** One of workerd's I/O objects: only the request that made it may use it, and at module scope none can be made. */
declare const WebSocketPair: new () => { 0: WebSocket }

function none(what: string): never {
  throw new Error(`${what}: not on this runtime; bring workers of your own`)
}

function works(use: () => unknown): boolean {
  try {
    use()
    return true
  } catch {
    return false
  }
}

export const platform: Platform = {
  cores: undefined,
  coreModule: async () => core,
  threads: false,
  spawn: () => none('threads'),
  parent: () => none('threads'),
  read: async () => none('models'),
  memory: () => undefined,
  runtimes: ['onnxruntime-web'],
  importOrt: async () => none('onnxruntime-web'),
  identity: () => 'edge',
  thisRequest() {
    try {
      const { 0: socket } = new WebSocketPair()
      return () => works(() => socket.readyState)
    } catch {
      return () => false
    }
  },
}
