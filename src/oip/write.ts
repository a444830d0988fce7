/**
 * Writes messages of the Open Inference Protocol v2 (KServe, Triton, MLServer, OpenVINO Model Server), for a server and for a client.
 * Tensors are JSON or, with the binary extension, raw little-endian bytes after the JSON.
 */

import { type ElementType, isReal, partOf, realsOf, type TensorData } from '../base/element'
import type { Signature, TensorList, TensorSpec } from '../base/tensor'
import { datatypeOf, toRaw } from './elements'
import { joinedBytes, turn } from './json'

/** The header with the length of the JSON in bytes, where raw tensors follow it. */
export const HEADER_LENGTH = 'inference-header-content-length'
/** The header of a query that only tests which model a server has; no caller waits for its answer. Other servers ignore it. */
export const PROBE = 'approxifer-probe'

export interface Encoded {
  body: Uint8Array
  /** For the header `HEADER_LENGTH`; undefined where no raw tensor follows. */
  headerLength: number | undefined
}

export interface TensorRows extends TensorSpec {
  /** Values: one array per query, of the shape's size; not changed. NaN and Inf become null in JSON. */
  rows: readonly TensorData[]
  binary: boolean
  /** False: there is one row, and the shape gets no batch dimension. */
  batched?: boolean | undefined
}

export interface RequestOptions {
  id?: string | undefined
  /** The queries, of equal shapes; not changed. */
  queries: readonly TensorList[]
  /** Whether inputs are sent, and outputs requested, as raw bytes. */
  binary: boolean
  parameters?: Record<string, unknown> | undefined
}

export interface ReplyOptions {
  model: string
  version: string
  id?: string | undefined
  parameters?: Record<string, unknown> | undefined
  outputs: readonly TensorRows[]
}

/** A message to write. `text` gives its JSON in pieces, anew at each call. */
export interface Message {
  text: () => Iterable<string>
  /** The raw tensors after the JSON; undefined where all tensors are JSON. */
  raw?: readonly Uint8Array[] | undefined
}

const utf8 = new TextEncoder()
/** Numbers in a piece of JSON. */
const SLICE = 2 ** 13
/** Characters that are encoded before the event loop gets a turn: they take one or two milliseconds. */
const TURN_LENGTH = 2 ** 15

/** Writes a client's request for all outputs. It says for each output whether it is wanted raw, since servers have different defaults. */
export function writeRequest(signature: Signature, options: RequestOptions): Promise<Encoded> {
  const { id, queries, binary, parameters } = options
  const rowsOf = (i: number) => queries.map((query) => query[i].data)
  const { batched } = signature
  const inputs = signature.inputs.map((spec, i): TensorRows => {
    return { binary, batched, rows: rowsOf(i), ...spec, shape: queries[0][i].shape }
  })
  const outputs = signature.outputs.map(({ name }) => ({ name, parameters: { binary_data: binary } }))
  return encode(messageOf({ id, parameters: { ...parameters, binary_data_output: binary }, outputs }, 'inputs', inputs))
}

export function writeReply({ model, version, id, parameters, outputs }: ReplyOptions): Message {
  return messageOf({ model_name: model, model_version: version, id, parameters }, 'outputs', outputs)
}

/** A message of the fields of `head`, then the tensors under `field`. */
function messageOf(head: object, field: string, tensors: readonly TensorRows[]): Message {
  const raw = tensors.map(({ rows, binary }) => (binary ? rows.map(toRaw) : []))
  const isRaw = tensors.some(({ binary }) => binary)
  return { text: () => written(head, field, tensors, raw), raw: isRaw ? raw.flat() : undefined }
}

/** The bytes of a message. The event loop gets turns between pieces. */
export async function encode({ text, raw }: Message): Promise<Encoded> {
  const json: Uint8Array[] = []
  for (const bytes of inUtf8(text())) {
    if (json.length) await turn()
    json.push(bytes)
  }
  if (!raw) return { body: joinedBytes(json), headerLength: undefined }
  return { body: joinedBytes([...json, ...raw]), headerLength: bytesIn(json) }
}

/** Encodes pieces of text as UTF-8; short pieces are joined, up to a millisecond of work. */
export function* inUtf8(pieces: Iterable<string>): Generator<Uint8Array> {
  let text = ''
  for (const piece of pieces) {
    if (text.length > TURN_LENGTH) {
      yield utf8.encode(text)
      text = ''
    }
    text += piece
  }
  yield utf8.encode(text)
}

export function bytesIn(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** The JSON of a message, in pieces. @param raw  for each raw tensor its rows as bytes */
function* written(
  head: object,
  field: string,
  tensors: readonly TensorRows[],
  raw: readonly Uint8Array[][],
): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"${field}":`
  for (const [i, { name, type, shape, rows, binary, batched = true }] of tensors.entries()) {
    const own = batched ? [rows.length, ...shape] : shape
    const parameters = binary ? { binary_data_size: bytesIn(raw[i]) } : undefined
    yield (i ? ',' : '[') + JSON.stringify({ name, datatype: datatypeOf(type), shape: own, parameters }).slice(0, -1)
    if (!binary) {
      yield ',"data":['
      let comma = ''
      for (const row of rows) {
        for (let at = 0; at < row.length; at += SLICE) {
          yield comma + textOf(type, row.length > SLICE ? partOf(row, at, SLICE) : row)
          comma = ','
        }
      }
      yield ']'
    }
    yield '}'
  }
  yield ']}'
}

/** Values as JSON, separated by commas. */
function textOf(type: ElementType = 'float32', part: TensorData): string {
  // JSON.stringify is faster than join(), and writes NaN and Inf as null.
  if (part instanceof Float32Array && !hasNegativeZero(part)) return JSON.stringify(arrayOf(part)).slice(1, -1)
  if (type === 'string') return (part as readonly string[]).map((text) => JSON.stringify(text)).join()
  if (type === 'bool') return Array.from(part as Uint8Array, Boolean).join()
  return isReal(type) ? Array.from(realsOf(type, part), writtenReal).join() : part.join()
}

/** Whether a value is -0, which JSON.stringify writes as 0. Comparing bits would be slower: engines create a short array's buffer only on demand. */
function hasNegativeZero(part: Float32Array): boolean {
  for (let i = 0; i < part.length; i++) if (Object.is(part[i], -0)) return true
  return false
}

/** Array.from, in a tenth of its time. */
function arrayOf(part: Float32Array): number[] {
  const { length } = part
  const array = new Array<number>(length)
  for (let i = 0; i < length; i++) array[i] = part[i]
  return array
}

function writtenReal(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  return Object.is(value, -0) ? '-0' : String(value)
}
