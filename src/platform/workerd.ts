/** workerd, which imports the core as a module, and forbids one request to use another's I/O objects. */

import core from '../../build/core.wasm'
import { platform as edge } from './edge'
import type { Platform } from './platform'

/** One of workerd's I/O objects: only the request that made it may use it, and outside of requests none can be made. */
declare const WebSocketPair: new () => { 0: WebSocket }

function works(use: () => unknown): boolean {
  try {
    use()
    return true
  } catch {
    return false
  }
}

export const platform: Platform = {
  ...edge,
  coreModule: async () => core,
  thisRequest() {
    try {
      const { 0: socket } = new WebSocketPair()
      return () => works(() => socket.readyState)
    } catch {
      return () => false
    }
  },
}
