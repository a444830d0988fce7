/** Bodies of requests and replies: limits and compression. */

import { aborted, orAborted } from '../base/abort'
import { joinedBytes, turn } from '../oip/json'
import { HEADER_LENGTH } from '../oip/write'
import { readWithin } from '../platform/fetch'
import { overloaded, Refusal } from './refusal'

/** Bytes of an element of the widest type. */
const ELEMENT = Float64Array.BYTES_PER_ELEMENT

export type ContentCoding = 'gzip' | 'deflate'

const CODINGS: readonly ContentCoding[] = ['gzip', 'deflate']

/** A request that holds at most this many bytes always has room: a thousand of them hold no more than one large request. */
export const SMALL = 64 * 1024

/** Bytes that are read before the event loop gets a turn: they take about a millisecond. */
const SLICE = 2 ** 18

interface RequestClient {
  address: string
  /** Ends the connection. */
  cut(): void
}

const clients = new WeakMap<Request, RequestClient>()
/** An HTTP server calls this for each request, to make its client known. */
export const tellClient = (request: Request, client: RequestClient): unknown => clients.set(request, client)
export const clientOf = (request: Request): RequestClient | undefined => clients.get(request)

/** Limits the bytes that all requests under way hold together: their bodies, and their replies until these are read. */
export class ByteBudget {
  #taken = 0
  readonly #byAddress = new Map<string, number>()

  constructor(private readonly most: number) {}

  /** @returns a function to call with the bytes that the request now holds, and with 0 at its end. It throws Refusal where they have no room: 413 if they never will, else 429 */
  open(request: Request): (bytes: number) => void {
    const address = clientOf(request)?.address
    let held = 0
    return (bytes) => {
      const now = bytes > SMALL ? bytes : 0
      const more = now - held
      const own = address === undefined ? 0 : (this.#byAddress.get(address) ?? 0)
      if (now > this.most) throw tooMuch('a request and its answers', this.most, 413)
      if (more > 0 && this.#taken + more > this.most) throw tooMuch('all requests and their answers', this.most)
      // A single request may hold more than an address's share: otherwise it could never be sent.
      if (more > 0 && own - held >= this.most / 2) {
        throw tooMuch('requests of one address and their answers', this.most / 2)
      }
      this.#taken += more
      held = now
      if (address === undefined) return
      if (own + more) this.#byAddress.set(address, own + more)
      else this.#byAddress.delete(address)
    }
  }
}

function tooMuch(what: string, most: number, status = 429): Refusal {
  const message = `${what}: expected at most ${most} bytes together, got more`
  return status === 413 ? new Refusal(413, `${message}; ask for fewer rows at a time`) : overloaded(message)
}

/**
 * Reads and decompresses a request's body. A body that is too large is refused while it arrives.
 *
 * @param most  the largest size in bytes, decompressed
 * @param hold  called with the bytes so far; may throw
 * @returns the body, which the caller owns
 * @throws Refusal 400, 413, 415; ApproxiferError ABORTED where the client has left
 */
export async function readBody(request: Request, most: number, hold: (bytes: number) => void): Promise<Uint8Array> {
  const { headers, signal } = request
  const coding = codingOf(headers.get('content-encoding'))
  const length = headers.get('content-length')
  if (Number(length) > most) throw tooLarge(most)
  try {
    // With a Content-Length, which HTTP servers enforce, the body is read whole: several times as fast as a stream.
    if (length !== null && !coding) {
      hold(Number(length))
      // Node 20's own `Request` has no `bytes()`.
      const whole =
        'bytes' in request
          ? request.bytes()
          : (request as Request).arrayBuffer().then((buffer) => new Uint8Array(buffer))
      const bytes = await orAborted(signal, whole)
      if (bytes.length > most) throw tooLarge(most)
      hold(bytes.length)
      return bytes
    }
    // Not read earlier: reading `body` makes the request a stream. Firefox's requests have no `body`.
    const body = request.body === undefined ? (await request.blob()).stream() : request.body
    if (!body) return new Uint8Array()
    const unpacking = coding && (new DecompressionStream(coding) as ReadableWritablePair<Uint8Array, Uint8Array>)
    const reading = readWithin(unpacking ? body.pipeThrough(unpacking) : body, most, inTurns(signal, hold))
    const parts = await orAborted(signal, reading)
    if (!parts) throw tooLarge(most)
    return joinedBytes(parts)
  } catch (error) {
    if (error instanceof Refusal) throw error
    if (signal?.aborted) throw aborted(signal)
    const what = coding ? `whole ${coding}` : 'all of it'
    throw new Refusal(400, `the body: expected ${what}, got ${(error as Error)?.message ?? error}`)
  }
}

/** A function to call with the bytes read so far, which gives the event loop a turn after each slice. */
function inTurns(signal: AbortSignal | undefined, hold: (bytes: number) => void) {
  let rested = 0
  return (bytes: number) => {
    if (signal?.aborted) throw aborted(signal) // nobody waits for the body any more
    hold(bytes)
    if (bytes < rested + SLICE) return
    rested = bytes
    return turn()
  }
}

/** Bytes to leave free in front of a body in memory, so that the raw numbers after its JSON are aligned for a typed array. */
export function spaceBefore(header: (name: string) => unknown): number {
  const json = Number(header(HEADER_LENGTH) ?? 0)
  return Number.isInteger(json) && json >= 0 ? (ELEMENT - (json % ELEMENT)) % ELEMENT : 0 // `readMessage` reports a wrong header
}

export async function packBody(body: Uint8Array, coding: ContentCoding): Promise<Uint8Array> {
  const stream = packed(new Blob([body as BlobPart]).stream(), coding)
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

export function packed(body: ReadableStream<Uint8Array>, coding: ContentCoding): ReadableStream<Uint8Array> {
  return body.pipeThrough(new CompressionStream(coding) as ReadableWritablePair<Uint8Array, Uint8Array>)
}

/** Whether this makes something, as it is asked first. Next's edge runtime has constructors of streams that throw. */
function made(make: () => unknown): () => boolean {
  let isMade: boolean | undefined
  return () => {
    try {
      isMade ??= Boolean(make())
    } catch {
      isMade = false
    }
    return isMade
  }
}
const canPack = made(() => new CompressionStream('gzip'))
const canUnpack = made(() => new DecompressionStream('gzip'))

/** The compression that the client prefers, if any. @param accepts  its Accept-Encoding */
export function chosenCoding(accepts: string | null): ContentCoding | undefined {
  if (!accepts || !canPack()) return undefined
  const weights = new Map(accepts.toLowerCase().split(',').map(weighted))
  const weight = (coding: string) => weights.get(coding) ?? (coding === 'gzip' ? weights.get('*') : undefined) ?? 0
  const best = weight('deflate') > weight('gzip') ? 'deflate' : 'gzip'
  return weight(best) > 0 && weight(best) >= (weights.get('identity') ?? 0) ? best : undefined
}

function weighted(part: string): [string, number] {
  const [coding, weight] = part.split(';')
  const value = Number(/^\s*q=([\d.]+)\s*$/.exec(weight ?? 'q=1')?.[1])
  return [coding.trim(), Number.isFinite(value) ? value : 0]
}

function codingOf(header: string | null): ContentCoding | undefined {
  const name = header?.trim().toLowerCase().replace(/^x-/, '') ?? ''
  if (name === '' || name === 'identity') return undefined
  const known = canUnpack() && CODINGS.find((coding) => coding === name)
  if (known) return known
  const message = `Content-Encoding: expected ${CODINGS.join(' or ')}, got ${JSON.stringify(name)}`
  throw new Refusal(415, message, { 'Accept-Encoding': CODINGS.join(', ') })
}

const tooLarge = (most: number) => new Refusal(413, `the body: expected at most ${most} bytes, unpacked, got more`)
