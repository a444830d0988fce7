/**
 * What the HTTP library makes of a request, with a cheaper body and signal. It gathers a body's pieces, joins them and copies them again: of large
 * bodies that is more work than all else that is done with them, since memory that was never touched before has to be made for each copy.
 */

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { HEADER_LENGTH } from '../../oip'

/** Of longer bodies as much memory as has come: nobody shall reserve it by promising bytes. */
const MOST = 2 ** 22
const NOTHING = new Uint8Array()
const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** One of a connection: a request is aborted when that closes, and one of its own for each took 15 us. */
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
      if (!at && chunk.length === length)
        bytes = chunk // nobody else keeps it
      else {
        if (!at) bytes = aligned(length, Number(incoming.headers[HEADER_LENGTH] ?? 0))
        bytes.set(chunk, at)
      }
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

/** So that the numbers behind so many bytes of JSON are where a view of them can be. */
function aligned(length: number, json: number): Uint8Array {
  const before = json >= 0 && json <= length ? (FLOAT - (json % FLOAT)) % FLOAT : 0
  return new Uint8Array(Buffer.allocUnsafeSlow(length + before).buffer, before, length)
}
