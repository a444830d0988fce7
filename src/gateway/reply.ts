/** HTTP replies: a small one is written whole, a large one in pieces as the client reads it, so that its text is never held in memory. */

import { onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { joinedBytes, turn } from '../oip/json'
import { bytesIn, HEADER_LENGTH, inUtf8, type Message } from '../oip/write'
import { cancelSoon } from '../platform/fetch'
import { type ContentCoding, chosenCoding, clientOf, packBody, packed, SMALL } from './body'

/** Raw bytes of a piece. */
const PIECE = 2 ** 18
/** A client that reads nothing for this long is cut off: its reply occupies memory that other requests need. */
const PATIENCE_MS = 30_000
/** So is a client that reads fewer bytes per second than this, on average. */
const LEAST_RATE = 2 ** 16

export interface Sending {
  request: Request
  /** The least bytes of a reply that is compressed where the client accepts that. */
  packFrom: number
  clock: Clock
  /** Called once, when the reply no longer holds memory. */
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
  // A plain object: making a `Headers` would be a tenth of a small request's cost.
  const headers = {
    'Content-Type': raw ? 'application/octet-stream' : 'application/json',
    ...(length !== undefined && { 'Content-Length': String(length) }),
    ...(json && { [HEADER_LENGTH]: String(json.length) }),
    ...(coding && { 'Content-Encoding': coding }),
    ...(mayPack && { Vary: 'Accept-Encoding' }),
  }
  const init: ResponseInit & { encodeBody: string } = { headers, encodeBody: 'manual' } // otherwise workerd would compress it again
  return new Response(body as BodyInit, init)
}

/** The length of a text in UTF-8; and its bytes, if it is a single piece, which then need not be encoded again. */
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

/** A message in pieces. @param short  the bytes of its text, if they are known already */
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

/** A stream that makes each piece when the one before it was read. */
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

/** The same stream, cut off if its client reads too slowly. */
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
