/**
 * Queries, answers and errors as binary frames. A frame has a header of 24 bytes,
 *
 *   version u8, kind u8, flags u16, budget or model u32, total u32, offset u32, sequence f64
 *
 * a body, and a MAC of 32 bytes; all little-endian. The values of a query or an answer are counted in float32 if they form a vector, else
 * in bytes. Values that exceed the size of a message are split over several frames, in order. Frames belong to the call whose reply
 * address they were sent with or to. Sequence and MAC are zero if the worker's machine has no key; see `macs.ts`. The body of a query's first frame ends with the caller's traceparent, if there is one.
 */

import { checksum } from '../../base/checksum'
import { ApproxiferError, type Code, codes } from '../../base/errors'
import { isTraceparent, TRACEPARENT_LENGTH } from '../../base/traceparent'
import { toRaw } from '../../oip/elements'

/** Version of frames and heartbeats. Other versions are ignored. */
export const VERSION = 3
const HEAD = 24
const SEQUENCE_AT = 16
const MAC = 32
/** Marks a query without a time limit, or an answer of an unknown model. */
export const UNLIMITED = 2 ** 32 - 1

const kinds = ['row', 'cancel', 'ping', 'answer', 'error', 'pong'] as const
export type FrameKind = (typeof kinds)[number]

/** Flag of answers and errors: the runtime under the worker has died, and it takes no queries until its next heartbeat. */
export const DOWN = 1
/** Flag of queries: a traceparent follows the values. */
const TRACED = 2

export interface Frame {
  kind: FrameKind
  flags: number
  /** Of a query: the milliseconds within which its inference must begin, else it is not run. Of an answer: the mark of its model, see `markOf`. */
  budgetOrMark: number
  /** The number of values or bytes in all frames of the query or answer. */
  total: number
  offset: number
  /** Higher than that of all earlier frames from the same sender, so that a replayed frame is recognised. */
  sequence: number
  body: Uint8Array
  /** The caller's W3C Trace Context; only of queries. */
  traceparent: string | undefined
}

/** A frame without values, such as 'cancel'; an error's body is its text. */
export function encode(kind: FrameKind, { flags = 0, body = new Uint8Array() } = {}): Uint8Array {
  return frameOf({ kind, flags, budgetOrMark: 0, total: 0, offset: 0, body })
}

/**
 * Splits a query or an answer into frames.
 *
 * @param most  the size of a message, in bytes @param about  a query's budget, an answer's model mark @param traceparent  of a query
 */
export function* encodeValues(
  kind: 'row' | 'answer',
  values: Float32Array | Uint8Array,
  most: number,
  about = UNLIMITED,
  traceparent = '',
): Generator<Uint8Array> {
  const each = Math.max(1, Math.floor((most - HEAD - MAC - traceparent.length) / values.BYTES_PER_ELEMENT))
  for (let offset = 0; offset === 0 || offset < values.length; offset += each) {
    const part = values.subarray(offset, offset + each)
    const trace = offset ? '' : traceparent
    yield frameOf(
      { kind, flags: trace ? TRACED : 0, budgetOrMark: about, total: values.length, offset, body: toRaw(part) },
      trace,
    )
  }
}

type Content = Pick<Frame, 'kind' | 'flags' | 'budgetOrMark' | 'total' | 'offset' | 'body'>

function frameOf({ kind, flags, budgetOrMark: about, total, offset, body }: Content, trace = ''): Uint8Array {
  const bytes = new Uint8Array(HEAD + body.length + trace.length + MAC)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, VERSION)
  view.setUint8(1, kinds.indexOf(kind))
  view.setUint16(2, flags, true)
  view.setUint32(4, Math.min(UNLIMITED, Math.ceil(about)), true)
  view.setUint32(8, total, true)
  view.setUint32(12, offset, true)
  bytes.set(body, HEAD)
  if (trace) bytes.set(text.encode.encode(trace), HEAD + body.length)
  return bytes
}

export function setSequence(frame: Uint8Array, sequence: number): void {
  new DataView(frame.buffer, frame.byteOffset).setFloat64(SEQUENCE_AT, sequence, true)
}

/** The part of a frame that its MAC authenticates, and the MAC; both are views. */
export function split(frame: Uint8Array): { content: Uint8Array; mac: Uint8Array } {
  return { content: frame.subarray(0, -MAC), mac: frame.subarray(-MAC) }
}

/** Parses a frame; undefined if the bytes are no frame of this version. */
export function decode(bytes: Uint8Array): Frame | undefined {
  const last = bytes.length - MAC
  if (last < HEAD) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const kind = kinds[view.getUint8(1)]
  if (view.getUint8(0) !== VERSION || kind === undefined) return undefined
  const flags = view.getUint16(2, true)
  const end = flags & TRACED ? last - TRACEPARENT_LENGTH : last
  if (end < HEAD) return undefined
  const trace = end < last ? text.decode.decode(bytes.subarray(end, last)) : undefined
  return {
    kind,
    flags,
    budgetOrMark: view.getUint32(4, true),
    total: view.getUint32(8, true),
    offset: view.getUint32(12, true),
    sequence: view.getFloat64(SEQUENCE_AT, true),
    body: bytes.subarray(HEAD, end),
    traceparent: isTraceparent(trace) ? trace : undefined,
  }
}

/** The last fingerprint and its mark: nearly always the next one's as well. */
let mark = { of: undefined as string | undefined, is: UNLIMITED }

/** The first four bytes of the fingerprint's checksum. Answers carry them, so that a worker whose model was replaced is noticed. */
export function markOf(fingerprint: string | undefined): number {
  if (mark.of === fingerprint) return mark.is
  if (fingerprint === undefined) return UNLIMITED
  const bytes = Number.parseInt(checksum(text.encode.encode(fingerprint)).slice(0, 8), 16)
  mark = { of: fingerprint, is: Math.min(UNLIMITED - 1, bytes) }
  return mark.is
}

export const wrong = (what: string, got: string) =>
  new ApproxiferError('PROTOCOL', `message: expected ${what}, got ${got}`)

interface ValueArray {
  new (length: number): Float32Array | Uint8Array
  readonly BYTES_PER_ELEMENT: number
}

/** Puts the values of a query or an answer together from its frames. */
export class Assembly {
  #values: Float32Array | Uint8Array | undefined
  #filled = 0

  /** @param length  the expected number of values; undefined: any number up to `most` */
  constructor(
    readonly length: number | undefined,
    private readonly Kind: ValueArray = Float32Array,
    private readonly most = Number.POSITIVE_INFINITY,
  ) {}

  /** @returns a fresh buffer once all values have come @throws ApproxiferError PROTOCOL if a frame does not follow the one before */
  add({ total, offset, body }: Frame): Float32Array | Uint8Array | undefined {
    const { length = this.#values?.length ?? Math.min(total, this.most) } = this
    const width = this.Kind.BYTES_PER_ELEMENT
    if (total !== length) throw wrong(`${length} values`, `${total}`)
    const here = body.length / width
    if (offset === 0) this.#filled = 0 // the whole query was sent again
    if (offset !== this.#filled) throw wrong(`values from ${this.#filled} on`, `those from ${offset}`)
    if (!Number.isInteger(here) || offset + here > total) throw wrong(`${total - offset} values or fewer`, `${here}`)
    this.#values ??= new this.Kind(total)
    toRaw(this.#values).set(body, width * offset)
    this.#filled += here
    return this.#filled < total ? undefined : this.#values
  }
}

const text = { encode: new TextEncoder(), decode: new TextDecoder() }

export function encodeError({ code, message }: { code: Code; message: string }, flags = 0): Uint8Array {
  return encode('error', { flags, body: text.encode.encode(`${code} ${message}`) })
}

/** Parses an error frame; an unreadable one is a PROTOCOL error of the worker. */
export function decodeError({ body }: Frame): { code: Code; message: string } {
  const [, word, message] = /^(\w+) (.*)$/s.exec(text.decode.decode(body)) ?? []
  const code = codes.find((known) => known === word)
  return code ? { code, message } : { code: 'PROTOCOL', message: 'the worker sent an error that cannot be read' }
}
