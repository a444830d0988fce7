/**
 * What coordinators and workers of a fleet say to each other over NATS. Rows, answers and errors are binary: a head of 16 bytes
 *
 *   version u8, kind u8, flags u16, budget u32, total u32, offset u32
 *
 * and a body; all little-endian. What is longer than one message may be goes in several, in order. Which call a message belongs to
 * is in its reply subject, or in the subject of the reply. Heartbeats are JSON: one a worker and half second.
 */

import { expected } from '../../check'
import { ApproxiferError, type Code, codes } from '../../errors'
import type { Signature, TensorSpec } from '../../tensor'

/** Of the head and of heartbeats. Who speaks another one is told so and not understood. */
export const VERSION = 1
const HEAD = 16
/** A budget without an end. */
export const FOR_EVER = 2 ** 32 - 1

export const kinds = ['row', 'cancel', 'ping', 'answer', 'error'] as const
export type MessageKind = (typeof kinds)[number]

/** Flag of answers and errors: the worker takes no rows until its next heartbeat, since what runs its model has died. */
export const DOWN = 1

export interface Message {
  kind: MessageKind
  flags: number
  /** Of a row: milliseconds within which its inference has to begin, or nobody wants it any more. */
  budgetMs: number
  /** Values of the whole row or answer. */
  total: number
  /** Values that went before. */
  offset: number
  body: Uint8Array
}

/** A message without values, such as 'cancel'; of an error, what is wrong. */
export function encode(kind: MessageKind, { flags = 0, body = new Uint8Array() } = {}): Uint8Array {
  const bytes = new Uint8Array(HEAD + body.length)
  writeHead(new DataView(bytes.buffer), { kind, flags, budgetMs: 0, total: 0, offset: 0 })
  bytes.set(body, HEAD)
  return bytes
}

/**
 * A row or an answer in as many messages as it takes.
 *
 * @param values  only read, up to the last message
 * @param most    bytes that a message may have
 */
export function* encodeValues(
  kind: 'row' | 'answer',
  values: Float32Array,
  most: number,
  budgetMs = FOR_EVER,
): Generator<Uint8Array> {
  const each = Math.max(1, Math.floor((most - HEAD) / 4))
  for (let offset = 0; offset === 0 || offset < values.length; offset += each) {
    const part = values.subarray(offset, offset + each)
    const bytes = new Uint8Array(HEAD + part.byteLength)
    writeHead(new DataView(bytes.buffer), { kind, flags: 0, budgetMs, total: values.length, offset })
    const body = new Float32Array(bytes.buffer, HEAD)
    body.set(part)
    if (!LITTLE_ENDIAN) swap(bytes.subarray(HEAD))
    yield bytes
  }
}

function writeHead(view: DataView, { kind, flags, budgetMs, total, offset }: Omit<Message, 'body'>): void {
  view.setUint8(0, VERSION)
  view.setUint8(1, kinds.indexOf(kind))
  view.setUint16(2, flags, true)
  view.setUint32(4, Math.min(FOR_EVER, Math.ceil(budgetMs)), true)
  view.setUint32(8, total, true)
  view.setUint32(12, offset, true)
}

/** @throws ApproxiferError PROTOCOL for what is no message of this version */
export function decode(bytes: Uint8Array): Message {
  if (bytes.length < HEAD) throw wrong(`${HEAD} bytes or more`, `${bytes.length}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint8(0) !== VERSION) throw wrong(`version ${VERSION}`, `${view.getUint8(0)}`)
  const kind = kinds[view.getUint8(1)]
  if (kind === undefined) throw wrong(`a kind up to ${kinds.length - 1}`, `${view.getUint8(1)}`)
  const numbers = {
    budgetMs: view.getUint32(4, true),
    total: view.getUint32(8, true),
    offset: view.getUint32(12, true),
  }
  return { kind, flags: view.getUint16(2, true), ...numbers, body: bytes.subarray(HEAD) }
}

/** Whether it only asks for a heartbeat. */
export function isPing(bytes: Uint8Array): boolean {
  return bytes[0] === VERSION && kinds[bytes[1]] === 'ping'
}

const wrong = (what: string, got: string) => new ApproxiferError('PROTOCOL', `message: expected ${what}, got ${got}`)

/** The values of a row or an answer, put together from their messages. */
export class Assembly {
  #values: Float32Array | undefined
  #filled = 0

  /** @param length  values that there have to be */
  constructor(readonly length: number) {}

  /**
   * @returns all values, a fresh buffer, once the last of them are there
   * @throws ApproxiferError PROTOCOL for another length, or a message out of order: one was lost
   */
  add({ total, offset, body }: Message): Float32Array | undefined {
    if (total !== this.length) throw wrong(`${this.length} values`, `${total}`)
    const here = body.length / 4
    if (offset === 0) this.#filled = 0 // they may come again, from the first on
    if (offset !== this.#filled) throw wrong(`values from ${this.#filled} on`, `those from ${offset}`)
    if (!Number.isInteger(here) || offset + here > total) throw wrong(`${total - offset} values or fewer`, `${here}`)
    this.#values ??= new Float32Array(total)
    new Uint8Array(this.#values.buffer).set(body, 4 * offset)
    this.#filled += here
    if (this.#filled < total) return undefined
    if (!LITTLE_ENDIAN) swap(new Uint8Array(this.#values.buffer))
    return this.#values
  }
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function swap(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse()
}

const text = { encode: new TextEncoder(), decode: new TextDecoder() }

export function encodeError({ code, message }: { code: Code; message: string }, flags = 0): Uint8Array {
  return encode('error', { flags, body: text.encode.encode(`${code} ${message}`) })
}

/** An error's code and message; one that does not read as such is the worker's fault. */
export function decodeError({ body }: Message): { code: Code; message: string } {
  const [, word, message] = /^(\w+) (.*)$/s.exec(text.decode.decode(body)) ?? []
  const code = codes.find((known) => known === word)
  return code ? { code, message } : { code: 'PROTOCOL', message: 'the worker sent an error that cannot be read' }
}

/** What a worker tells twice a second, when it joins or is called, and when its state changes. */
export interface Beat {
  version: number
  /** The worker's, as in its subjects. */
  name: string
  /** `down`: takes no rows now; `draining`: answers those that it has, and will be gone; `gone`: has left. */
  state: 'up' | 'down' | 'draining' | 'gone'
  /** Milliseconds to the next one. */
  everyMs: number
  /** Counts the worker's connections: after a new one, what was on its way over the old one is lost. */
  connection: number
  /** Calls that it has, whoever asked, and what an inference takes: the median of the last few, ms; 0 before the first. */
  open: number
  ms: number
  signature: Signature
  fingerprint?: string | undefined
  /** Of the machine, the same for all its workers; older ones do not say it. */
  identity?: string | undefined
}

const states = ['up', 'down', 'draining', 'gone']
/** Bytes of a heartbeat that are read: whoever may write to the server can send what they like. */
const MOST_BEAT = 65_536

export function toJson(value: object): Uint8Array {
  return text.encode.encode(JSON.stringify(value))
}

/** @throws ApproxiferError PROTOCOL for what is no heartbeat */
export function decodeBeat(bytes: Uint8Array): Beat {
  const beat = bytes.length > MOST_BEAT ? undefined : parse(bytes)
  const { version, name, state, everyMs, connection, open, ms, signature, fingerprint, identity } = (beat ?? {}) as Beat
  const problem =
    (version !== VERSION && expected('version', `${VERSION}`, version)) ||
    (!isToken(name) && expected('name', 'a token', name)) ||
    (!states.includes(state) && expected('state', states.join(' | '), state)) ||
    (![everyMs, connection, open, ms].every((n) => n >= 0 && n < 2 ** 32) &&
      'expected everyMs, connection, open and ms') ||
    (everyMs < LEAST_EVERY_MS && expected('everyMs', `>= ${LEAST_EVERY_MS}`, everyMs)) ||
    (fingerprint !== undefined &&
      typeof fingerprint !== 'string' &&
      expected('fingerprint', 'a string', fingerprint)) ||
    (identity !== undefined && !isToken(identity) && expected('identity', 'a token', identity)) ||
    (!(areSpecs(signature?.inputs) && areSpecs(signature?.outputs)) &&
      expected('signature', 'inputs and outputs', signature))
  if (problem) throw new ApproxiferError('PROTOCOL', `heartbeat: ${problem}`)
  return beat as Beat
}

/** No worker needs to say more often that it is there. */
export const LEAST_EVERY_MS = 10

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(text.decode.decode(bytes))
  } catch {
    return undefined
  }
}

/** Values that a row may have: 256 MB. */
const MOST_VALUES = 2 ** 26

function areSpecs(specs: unknown): boolean {
  if (!Array.isArray(specs) || !specs.length) return false
  const isSpec = ({ name, shape }: TensorSpec) =>
    typeof name === 'string' && Array.isArray(shape) && shape.every((n) => Number.isInteger(n) && n >= 1)
  const values = () =>
    specs.reduce((sum, { shape }) => sum + shape.reduce((product: number, n: number) => product * n, 1), 0)
  return specs.every((spec) => spec !== null && isSpec(spec)) && values() <= MOST_VALUES
}

/** Whether it may stand between two dots of a subject. */
export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{1,200}$/.test(text)
}

export function checkFleet(fleet: unknown): asserts fleet is string {
  if (!isToken(fleet)) throw new TypeError(expected('fleet', 'letters, digits, - and _', fleet))
}

/** Where who listens. */
export const subjects = (fleet: string) => ({
  /** Workers tell here that they are there. */
  beats: `approxifer.${fleet}.beat.*`,
  beat: (worker: string) => `approxifer.${fleet}.beat.${worker}`,
  /** A worker's own: no queue group, since each row must reach the worker it was meant for. */
  worker: (worker: string) => `approxifer.${fleet}.worker.${worker}`,
  /** Asks all workers for a heartbeat. */
  rollCall: `approxifer.${fleet}.call`,
})
