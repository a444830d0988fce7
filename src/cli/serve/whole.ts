/**
 * A request's body, read into one piece of memory. The HTTP library gathers pieces, joins them and copies them again: of large bodies that
 * is more work than all else that is done with them, since memory that was never touched before has to be made for each copy.
 */

import type { IncomingMessage } from 'node:http'
import { HEADER_LENGTH } from '../../oip'

/** Of longer ones as much as has come: nobody shall reserve memory by promising bytes. */
const MOST = 2 ** 22
const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Lets `bytes()` of a request do so, where it is known how long its body is, and that it is not huge. */
export function readsWhole(request: Request, incoming: IncomingMessage): Request {
  const length = Number(incoming.headers['content-length'])
  if (!(length <= MOST)) return request
  return Object.defineProperty(request, 'bytes', { value: () => whole(incoming, length) })
}

/** @throws Error where the client is gone before the end */
function whole(incoming: IncomingMessage, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const bytes = aligned(length, Number(incoming.headers[HEADER_LENGTH] ?? 0))
    let at = 0
    incoming.on('data', (chunk: Buffer) => {
      bytes.set(chunk, at)
      at += chunk.length
    })
    incoming.on('end', () => resolve(bytes))
    const cut = (error?: Error) => reject(error ?? new Error('a part'))
    incoming.on('error', cut)
    incoming.on('close', cut)
    if (incoming.destroyed) cut(incoming.errored ?? undefined)
  })
}

/** So that the numbers behind so many bytes of JSON are where a view of them can be. */
function aligned(length: number, json: number): Uint8Array {
  const before = json >= 0 && json <= length ? (FLOAT - (json % FLOAT)) % FLOAT : 0
  return new Uint8Array(Buffer.allocUnsafeSlow(length + before).buffer, before, length)
}
