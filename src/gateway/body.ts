/** Bodies of requests and responses: within limits, packed and unpacked. */

import { aborted, orAborted } from '../base/abort'
import { joinedBytes, turn } from '../oip/json'
import { HEADER_LENGTH } from '../oip/write'
import { readWithin } from '../platform/fetch'
import { overloaded, Refusal } from './refusal'

/** Bytes of the largest elements. */
const ELEMENT = Float64Array.BYTES_PER_ELEMENT

export type ContentCoding = 'gzip' | 'deflate'

const CODINGS: readonly ContentCoding[] = ['gzip', 'deflate']

/** What is held of a request, up to this many bytes, always has room: of a thousand it is no more than of a large one. */
export const SMALL = 64 * 1024

/** Bytes that are read or unpacked before whatever else waits has its turn: about a millisecond. */
const SLICE = 2 ** 18

interface RequestClient {
  address: string
  /** Ends the connection. */
  cut(): void
}

const clients = new WeakMap<Request, RequestClient>()
/** For an HTTP server that knows it. */
export const tellClient = (request: Request, client: RequestClient): unknown => clients.set(request, client)
export const clientOf = (request: Request): RequestClient | undefined => clients.get(request)

/** How many bytes all requests under way may have together: their bodies, and their answers until these are read. */
export class ByteBudget {
  #taken = 0
  readonly #byAddress = new Map<string, number>()

  constructor(private readonly most: number) {}

  /** @returns to be told how many bytes it has by now, 0 at last; throws Refusal where there is no room for them: 413 if there never is, else 429 */
  open(request: Request): (bytes: number) => void {
    const address = clientOf(request)?.address
    let held = 0
    return (bytes) => {
      const now = bytes > SMALL ? bytes : 0
      const more = now - held
      const own = address === undefined ? 0 : (this.#byAddress.get(address) ?? 0)
      if (now > this.most) throw tooMuch('a request and its answers', this.most, 413)
      if (more > 0 && this.#taken + more > this.most) throw tooMuch('all requests and their answers', this.most)
      // One request alone may have more, else nobody could send it.
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
 * A request's body, unpacked. What is too large is refused while it comes, packed or not.
 *
 * @param most  bytes
 * @param hold  told how many bytes there are; may throw
 * @returns fresh memory, the caller's
 * @throws Refusal 400, 413, 415; ApproxiferError ABORTED where the client is gone
 */
export async function readBody(request: Request, most: number, hold: (bytes: number) => void): Promise<Uint8Array> {
  const { headers, signal } = request
  const coding = codingOf(headers.get('content-encoding'))
  const length = headers.get('content-length')
  if (Number(length) > most) throw tooLarge(most)
  try {
    // A body of a known length, to which HTTP servers hold their clients: several times as fast as a stream.
    if (length !== null && !coding) {
      hold(Number(length))
      // Node 20's own requests have no `bytes`.
      const whole =
        'bytes' in request
          ? request.bytes()
          : (request as Request).arrayBuffer().then((buffer) => new Uint8Array(buffer))
      const bytes = await orAborted(signal, whole)
      if (bytes.length > most) throw tooLarge(most)
      hold(bytes.length)
      return bytes
    }
    const { body } = request // not before: from here on it is a stream
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

/** Has what is read wait for others. */
function inTurns(signal: AbortSignal | undefined, hold: (bytes: number) => void) {
  let rested = 0
  return (bytes: number) => {
    if (signal?.aborted) throw aborted(signal) // it was let go
    hold(bytes)
    if (bytes < rested + SLICE) return
    rested = bytes
    return turn()
  }
}

/** Bytes to leave free in front of a body in memory, so that the first raw numbers behind its JSON lie where a view of them can be. */
export function spaceBefore(header: (name: string) => unknown): number {
  const json = Number(header(HEADER_LENGTH) ?? 0)
  return Number.isInteger(json) && json >= 0 ? (ELEMENT - (json % ELEMENT)) % ELEMENT : 0 // `readMessage` says what is wrong
}

export async function packBody(body: Uint8Array, coding: ContentCoding): Promise<Uint8Array> {
  const stream = packed(new Blob([body as BlobPart]).stream(), coding)
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

export function packed(body: ReadableStream<Uint8Array>, coding: ContentCoding): ReadableStream<Uint8Array> {
  return body.pipeThrough(new CompressionStream(coding) as ReadableWritablePair<Uint8Array, Uint8Array>)
}

/** The coding that a client prefers of those that we have. @param accepts  its Accept-Encoding */
export function chosenCoding(accepts: string | null): ContentCoding | undefined {
  if (!accepts || typeof CompressionStream === 'undefined') return undefined
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
  const known = typeof DecompressionStream !== 'undefined' && CODINGS.find((coding) => coding === name)
  if (known) return known
  const message = `Content-Encoding: expected ${CODINGS.join(' or ')}, got ${JSON.stringify(name)}`
  throw new Refusal(415, message, { 'Accept-Encoding': CODINGS.join(', ') })
}

function tooLarge(most: number): Refusal {
  return new Refusal(413, `the body: expected at most ${most} bytes, unpacked, got more`)
}
