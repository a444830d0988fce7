/** Replies: a small one is written whole, a larger one as it is read, so that nothing is held of it but its values. */

import { onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { joinedBytes, turn } from '../oip/json'
import { bytesIn, HEADER_LENGTH, inUtf8, type Message } from '../oip/write'
import { cancelSoon } from '../platform/fetch'
import { type ContentCoding, chosenCoding, clientOf, packBody, packed, SMALL } from './body'

/** Raw bytes given at a time. */
const PIECE = 2 ** 18
/** Who reads nothing for so long, or less a second on average beyond that, is cut off: its values are others' room. */
const PATIENCE_MS = 30_000
const LEAST_RATE = 2 ** 16

export interface Sending {
  request: Request
  /** Bytes from which on it is packed where the client asks for it. */
  packFrom: number
  clock: Clock
  /** Called once, when nothing is held of it any more. */
  done: () => void
}

export async function responseOf(message: Message, sending: Sending): Promise<Response> {
  const { raw, text } = message
  const json = raw && (await written(text()))
  const pieces = piecesOf(message, json?.short)
  const first: Uint8Array[] = []
  let next = pieces.next()
  for (; !next.done && bytesIn(first) <= SMALL; next = pieces.next()) first.push(next.value)
  const whole = next.done ? joinedBytes(first) : undefined
  if (!next.done) first.push(next.value)
  const mayPack = bytesIn(first) >= sending.packFrom
  const coding = mayPack ? chosenCoding(sending.request.headers.get('accept-encoding')) : undefined
  if (whole) sending.done()
  const small = whole && coding ? await packBody(whole, coding) : whole
  const body = small ?? watched(streamed(first, pieces, coding), sending)
  const rawLength = raw && json && !coding ? json.length + bytesIn(raw) : undefined
  const length = small ? small.length : rawLength
  // A plain object: HTTP servers take it as it is, and a `Headers` would be a tenth of a small request's cost.
  const headers = {
    'Content-Type': raw ? 'application/octet-stream' : 'application/json',
    ...(length !== undefined && { 'Content-Length': String(length) }),
    ...(json && { [HEADER_LENGTH]: String(json.length) }),
    ...(coding && { 'Content-Encoding': coding }),
    ...(mayPack && { Vary: 'Accept-Encoding' }),
  }
  const init: ResponseInit & { encodeBody: string } = { headers, encodeBody: 'manual' } // workerd would pack it again
  return new Response(body as BodyInit, init)
}

/** How long it is and, where that is one piece, its bytes: nothing short is written twice. */
async function written(text: Iterable<string>): Promise<{ length: number; short: Uint8Array | undefined }> {
  let length = 0
  let short: Uint8Array | undefined
  for (const bytes of inUtf8(text)) {
    if (length) await turn()
    short = length ? undefined : bytes
    length += bytes.length
  }
  return { length, short }
}

/** @param short  its text, where that is written */
function* piecesOf({ text, raw = [] }: Message, short: Uint8Array | undefined): Generator<Uint8Array> {
  if (short) yield short
  else yield* inUtf8(text())
  let parts: Uint8Array[] = []
  let length = 0
  for (const row of raw) {
    for (let at = 0; at < row.length; at += PIECE) {
      const part = row.subarray(at, at + PIECE)
      parts.push(part)
      length += part.length
      if (length < PIECE) continue
      yield joinedBytes(parts)
      parts = []
      length = 0
    }
  }
  if (length) yield joinedBytes(parts)
}

/** Each piece is made when the one before it was taken. */
function streamed(first: Uint8Array[], rest: Iterator<Uint8Array>, coding: ContentCoding | undefined) {
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const piece = first.shift() ?? (rest.next().value as Uint8Array | undefined)
    if (piece) controller.enqueue(piece)
    else controller.close()
    await turn()
  }
  const stream = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 })
  return coding ? packed(stream, coding) : stream
}

/** As long as it is read. */
function watched(body: ReadableStream<Uint8Array>, { request, clock, done }: Sending): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  const began = clock.now()
  const read = { bytes: 0, at: began }
  let unwatch = () => {}
  const end = () => {
    unwatch()
    forget()
    cancelSoon(reader)
    done()
  }
  const forget = onAbort(request.signal, end)
  const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const watch = () => {
      const due = PATIENCE_MS + Math.min(read.at, began + (1000 * read.bytes) / LEAST_RATE)
      if (clock.now() < due) {
        unwatch = clock.after(due - clock.now(), watch, true)
        return
      }
      end()
      controller.error(new Error('the reply was not read'))
      clientOf(request)?.cut()
    }
    watch()
  }
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { done: isOver, value } = await reader.read()
    if (isOver) {
      end()
      return controller.close()
    }
    read.bytes += value.length
    read.at = clock.now()
    controller.enqueue(value)
  }
  return new ReadableStream({ start, pull, cancel: end }, { highWaterMark: 0 })
}
