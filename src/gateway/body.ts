/** Bodies of requests and responses: within limits, packed and unpacked. */

import { aborted } from '../abort'
import { joinedBytes } from '../oip/json'
import { HEADER_LENGTH } from '../oip/write'
import { readWithin } from '../platform/fetch'
import { overloaded, Refusal } from './refusal'

/** Bytes of the largest elements. */
const ELEMENT = Float64Array.BYTES_PER_ELEMENT

type ContentCoding = 'gzip' | 'deflate'

const CODINGS: readonly ContentCoding[] = ['gzip', 'deflate']

/** Bodies up to this many bytes always have room: a thousand of them are no more than a large one. */
const SMALL = 64 * 1024

/** How many bytes the bodies of all requests may have together. */
export class ByteBudget {
  #taken = 0

  constructor(private readonly most: number) {}

  /** @returns to be told how many bytes a body has by now, 0 at last; throws Refusal 429 where there is no room for them */
  open(): (bytes: number) => void {
    let held = 0
    return (bytes) => {
      const now = bytes > SMALL ? bytes : 0
      if (now > held && this.#taken + now - held > this.most) {
        throw overloaded(`the bodies of all requests: expected at most ${this.most} bytes together, got more`)
      }
      this.#taken += now - held
      held = now
    }
  }
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
  const { headers } = request
  const coding = codingOf(headers.get('content-encoding'))
  const length = headers.get('content-length')
  if (Number(length) > most) throw tooLarge(most)
  try {
    // A body of a known length, to which HTTP servers hold their clients: several times as fast as a stream.
    if (length !== null && !coding) {
      hold(Number(length))
      // Node 20's own requests have no `bytes`.
      const bytes =
        'bytes' in request ? await request.bytes() : new Uint8Array(await (request as Request).arrayBuffer())
      if (bytes.length > most) throw tooLarge(most)
      hold(bytes.length)
      return bytes
    }
    const { body } = request // not before: from here on it is a stream
    if (!body) return new Uint8Array()
    const unpacking = coding && (new DecompressionStream(coding) as ReadableWritablePair<Uint8Array, Uint8Array>)
    const parts = await readWithin(unpacking ? body.pipeThrough(unpacking) : body, most, hold)
    if (!parts) throw tooLarge(most)
    return joinedBytes(parts)
  } catch (error) {
    if (error instanceof Refusal) throw error
    if (request.signal?.aborted) throw aborted(request.signal)
    const what = coding ? `whole ${coding}` : 'all of it'
    throw new Refusal(400, `the body: expected ${what}, got ${(error as Error)?.message ?? error}`)
  }
}

/** Bytes to leave free in front of a body in memory, so that the first raw numbers behind its JSON lie where a view of them can be. */
export function spaceBefore(header: (name: string) => unknown): number {
  const json = Number(header(HEADER_LENGTH) ?? 0)
  return Number.isInteger(json) && json >= 0 ? (ELEMENT - (json % ELEMENT)) % ELEMENT : 0 // `readMessage` says what is wrong
}

/** Packs what is to be sent, if that was asked for. */
export async function packBody(body: Uint8Array, coding: ContentCoding): Promise<Uint8Array> {
  const packed = new Blob([body as BlobPart]).stream().pipeThrough(new CompressionStream(coding))
  return new Uint8Array(await new Response(packed).arrayBuffer())
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
