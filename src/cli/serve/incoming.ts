/**
 * What the HTTP library makes of a request, with a cheaper body and signal. It gathers a body's pieces, joins them and
 * copies them again: fresh memory each time, which is dear to make and brings the garbage collection on.
 */

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { spaceBefore } from '../../gateway/body'

/** Of longer bodies as much memory as has come: nobody shall reserve it by promising bytes. */
const MOST = 2 ** 22
const NOTHING = new Uint8Array()

/** One of a connection: a request is aborted when that closes, and one for each request took 4 us. */
const signals = new WeakMap<Socket, AbortSignal>()

/** Gives `bytes()`, if it is known how long the body is and that it is not huge, and `signal`. */
export function cheaper(request: Request, incoming: IncomingMessage): Request {
  const length = Number(incoming.headers['content-length'])
  if (length <= MOST) Object.defineProperty(request, 'bytes', { value: () => whole(incoming, length) })
  return Object.defineProperty(request, 'signal', { get: () => signalOf(incoming.socket) })
}

function signalOf(socket: Socket): AbortSignal {
  const known = signals.get(socket)
  if (known) return known
  const controller = new AbortController()
  const close = () => controller.abort('the client closed the connection')
  if (socket.destroyed) close()
  else socket.once('close', close)
  signals.set(socket, controller.signal)
  return controller.signal
}

/** @throws Error where the client is gone before the end */
function whole(incoming: IncomingMessage, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = NOTHING
    let at = 0
    const cut = (error?: Error) => reject(error ?? new Error('a part'))
    incoming.on('data', (chunk: Buffer) => {
      if (!at) bytes = chunk.length === length ? chunk : memory(incoming, length) // nobody else keeps the chunk
      if (bytes !== chunk) bytes.set(chunk, at)
      at += chunk.length
    })
    incoming.on('error', cut)
    incoming.on('close', cut)
    incoming.on('end', () => {
      incoming.off('close', cut)
      resolve(bytes)
    })
    if (incoming.destroyed) cut(incoming.errored ?? undefined)
  })
}

function memory(incoming: IncomingMessage, length: number): Uint8Array {
  const before = spaceBefore((name) => incoming.headers[name])
  return new Uint8Array(Buffer.allocUnsafeSlow(before + length).buffer, before)
}
