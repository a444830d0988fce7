/**
 * Rows, answers and errors on their way: frames with a head of 24 bytes
 *
 *   version u8, kind u8, flags u16, budget or model u32, total u32, offset u32, sequence f64
 *
 * a body, and a MAC of 32 bytes; all little-endian. A row or an answer is counted in float32 values where it is a vector, else in
 * bytes. What is longer than a message may be goes in several frames, in order. The address of a call's answers tells which call a frame
 * belongs to. Sequence and MAC are zeros where none is needed or the worker's machine has no key; see `macs.ts`. Behind the values of a row's first
 * frame stands the traceparent of who asks, where there is one and the machine has said that it reads it.
 */

import { checksum } from '../../base/checksum'
import { ApproxiferError, type Code, codes } from '../../base/errors'
import { isTraceparent, TRACEPARENT_LENGTH } from '../../base/traceparent'
import { toRaw } from '../../oip/elements'

/** Of frames and heartbeats. What is of another version is ignored. */
export const VERSION = 3
const HEAD = 24
const SEQUENCE_AT = 16
const MAC = 32
/** A budget without an end; a model that is not told. */
export const FOR_EVER = 2 ** 32 - 1

const kinds = ['row', 'cancel', 'ping', 'answer', 'error', 'pong'] as const
export type FrameKind = (typeof kinds)[number]

/** Flag of answers and errors: the worker takes no rows until its next heartbeat, since what runs its model has died. */
export const DOWN = 1
/** Flag of rows: a traceparent ends the body. */
const TRACED = 2

export interface Frame {
  kind: FrameKind
  flags: number
  /** Of a row: milliseconds within which its inference has to begin; later it is not run. Of an answer: the mark of the model that made it. */
  about: number
  /** Values or bytes of the whole row or answer. */
  total: number
  offset: number
  /** Higher than that of all frames that its sender sent before: one that is sent again by somebody else does not count twice. */
  sequence: number
  body: Uint8Array
  /** W3C Trace Context of who asks, of a row. */
  traceparent: string | undefined
}

/** A frame without values, such as 'cancel'; of an error, what is wrong. */
export function encode(kind: FrameKind, { flags = 0, body = new Uint8Array() } = {}): Uint8Array {
  return frameOf({ kind, flags, about: 0, total: 0, offset: 0, body })
}

/**
 * A row or an answer in as many frames as it takes.
 *
 * @param most  bytes that a message may have @param about  a row's budget, an answer's model @param traceparent  a row's, for who reads it
 */
export function* encodeValues(
  kind: 'row' | 'answer',
  values: Float32Array | Uint8Array,
  most: number,
  about = FOR_EVER,
  traceparent = '',
): Generator<Uint8Array> {
  const each = Math.max(1, Math.floor((most - HEAD - MAC - traceparent.length) / values.BYTES_PER_ELEMENT))
  for (let offset = 0; offset === 0 || offset < values.length; offset += each) {
    const part = values.subarray(offset, offset + each)
    const trace = offset ? '' : traceparent
    yield frameOf({ kind, flags: trace ? TRACED : 0, about, total: values.length, offset, body: toRaw(part) }, trace)
  }
}

type Content = Pick<Frame, 'kind' | 'flags' | 'about' | 'total' | 'offset' | 'body'>

function frameOf({ kind, flags, about, total, offset, body }: Content, trace = ''): Uint8Array {
  const bytes = new Uint8Array(HEAD + body.length + trace.length + MAC)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, VERSION)
  view.setUint8(1, kinds.indexOf(kind))
  view.setUint16(2, flags, true)
  view.setUint32(4, Math.min(FOR_EVER, Math.ceil(about)), true)
  view.setUint32(8, total, true)
  view.setUint32(12, offset, true)
  bytes.set(body, HEAD)
  if (trace) bytes.set(text.encode.encode(trace), HEAD + body.length)
  return bytes
}

export function setSequence(frame: Uint8Array, sequence: number): void {
  new DataView(frame.buffer, frame.byteOffset).setFloat64(SEQUENCE_AT, sequence, true)
}

/** What the MAC of a frame is of, and that MAC: parts of the same bytes. */
export function split(frame: Uint8Array): { content: Uint8Array; mac: Uint8Array } {
  return { content: frame.subarray(0, -MAC), mac: frame.subarray(-MAC) }
}

/** What these bytes are; undefined where they are no frame of this version. */
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
    about: view.getUint32(4, true),
    total: view.getUint32(8, true),
    offset: view.getUint32(12, true),
    sequence: view.getFloat64(SEQUENCE_AT, true),
    body: bytes.subarray(HEAD, end),
    traceparent: isTraceparent(trace) ? trace : undefined,
  }
}

/** The last model's: nearly always the next one's. */
let mark = { of: undefined as string | undefined, is: FOR_EVER }

/** Four bytes of a model's fingerprint: a worker that comes to have another model is no forger. */
export function markOf(fingerprint: string | undefined): number {
  if (mark.of === fingerprint) return mark.is
  if (fingerprint === undefined) return FOR_EVER
  const bytes = Number.parseInt(checksum(text.encode.encode(fingerprint)).slice(0, 8), 16)
  mark = { of: fingerprint, is: Math.min(FOR_EVER - 1, bytes) }
  return mark.is
}

export const wrong = (what: string, got: string) =>
  new ApproxiferError('PROTOCOL', `message: expected ${what}, got ${got}`)

interface ValueArray {
  new (length: number): Float32Array | Uint8Array
  readonly BYTES_PER_ELEMENT: number
}

/** The values of a row or an answer, put together from their frames. */
export class Assembly {
  #values: Float32Array | Uint8Array | undefined
  #filled = 0

  /** @param length  undefined: any, up to `most` */
  constructor(
    readonly length: number | undefined,
    private readonly Kind: ValueArray = Float32Array,
    private readonly most = Number.POSITIVE_INFINITY,
  ) {}

  /** @returns a fresh buffer, once all are there. @throws ApproxiferError PROTOCOL for others, or where one was lost */
  add({ total, offset, body }: Frame): Float32Array | Uint8Array | undefined {
    const { length = this.#values?.length ?? Math.min(total, this.most) } = this
    const width = this.Kind.BYTES_PER_ELEMENT
    if (total !== length) throw wrong(`${length} values`, `${total}`)
    const here = body.length / width
    if (offset === 0) this.#filled = 0 // they may come again, from the first on
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

/** An error's code and message; what cannot be read as an error is the worker's fault. */
export function decodeError({ body }: Frame): { code: Code; message: string } {
  const [, word, message] = /^(\w+) (.*)$/s.exec(text.decode.decode(body)) ?? []
  const code = codes.find((known) => known === word)
  return code ? { code, message } : { code: 'PROTOCOL', message: 'the worker sent an error that cannot be read' }
}
