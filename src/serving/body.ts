/** Bodies of requests and responses: within limits, packed and unpacked. */

import { aborted } from '../abort'
import { joined } from '../json'
import { Refusal } from './refusal'

type Coding = 'gzip' | 'deflate'

const CODINGS: readonly Coding[] = ['gzip', 'deflate']

/**
 * A request's body, unpacked. What is too large is refused while it comes, packed or not.
 *
 * @param most  bytes
 * @throws Refusal 400, 413, 415; ApproxiferError ABORTED where the client is gone
 */
export async function readBody(request: Request, most: number): Promise<Uint8Array> {
  const { headers } = request
  const coding = codingOf(headers.get('content-encoding'))
  const length = headers.get('content-length')
  if (Number(length) > most) throw tooLarge(most)
  const unpacking = () => new DecompressionStream(coding as Coding) as ReadableWritablePair<Uint8Array, Uint8Array>
  try {
    if (length !== null && !coding) return await readAtOnce(request, most)
    const { body } = request
    if (!body) return new Uint8Array()
    return await read(coding ? body.pipeThrough(unpacking()) : body, most)
  } catch (error) {
    if (error instanceof Refusal) throw error
    if (request.signal?.aborted) throw aborted(request.signal)
    const what = coding ? `whole ${coding}` : 'all of it'
    throw new Refusal(400, `the body: expected ${what}, got ${(error as Error)?.message ?? error}`)
  }
}

/** A body of a known length, to which HTTP servers hold their clients: several times as fast as a stream. */
async function readAtOnce(request: Request, most: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(await request.arrayBuffer())
  if (bytes.length > most) throw tooLarge(most)
  return bytes
}

/** Packs what is to be sent, if that was asked for. */
export async function packBody(body: Uint8Array, coding: Coding): Promise<Uint8Array> {
  const packed = new Blob([body as BlobPart]).stream().pipeThrough(new CompressionStream(coding))
  return new Uint8Array(await new Response(packed).arrayBuffer())
}

/** The coding that a client likes best of those we have. @param accepts  its Accept-Encoding */
export function chosenCoding(accepts: string | null): Coding | undefined {
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

function codingOf(header: string | null): Coding | undefined {
  const name = header?.trim().toLowerCase().replace(/^x-/, '') ?? ''
  if (name === '' || name === 'identity') return undefined
  if (CODINGS.includes(name as Coding) && typeof DecompressionStream !== 'undefined') return name as Coding
  const message = `Content-Encoding: expected ${CODINGS.join(' or ')}, got ${JSON.stringify(name)}`
  throw new Refusal(415, message, { 'Accept-Encoding': CODINGS.join(', ') })
}

async function read(stream: ReadableStream<Uint8Array>, most: number): Promise<Uint8Array> {
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) return joined(parts)
      length += value.length
      if (length > most) throw tooLarge(most)
      parts.push(value)
    }
  } finally {
    if (length > most) reader.cancel().catch(() => {})
    else reader.releaseLock()
  }
}

function tooLarge(most: number): Refusal {
  return new Refusal(413, `the body: expected at most ${most} bytes, unpacked, got more`)
}
