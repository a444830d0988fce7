/**
 * Writes messages of the Open Inference Protocol v2 (KServe, Triton, MLServer, OpenVINO Model Server), for a server and for a client.
 * Tensors travel as JSON or, with the binary extension, as raw little-endian bytes behind it.
 */

import { type ElementType, isReal, partOf, realsOf, type TensorData } from '../base/element'
import type { Signature, TensorList, TensorSpec } from '../base/tensor'
import { datatypeOf, toRaw } from './elements'
import { joinedBytes, turn } from './json'

/** The header with the bytes of the JSON, where raw tensors follow it. */
export const HEADER_LENGTH = 'inference-header-content-length'
/** Of a request that shows which model a server has: nobody waits for its answer. Others' servers pass it over. */
export const PROBE = 'approxifer-probe'

export interface Encoded {
  body: Uint8Array
  /** For the header `HEADER_LENGTH`; undefined where no raw tensor follows. */
  headerLength: number | undefined
}

export interface TensorRows extends TensorSpec {
  /** Values: one array a query, each as long as the shape says; only read. NaN and Inf are null in JSON, which has neither. */
  rows: readonly TensorData[]
  binary: boolean
  /** False: there is one row, which no batch dimension stands in front of. */
  batched?: boolean | undefined
}

export interface RequestOptions {
  id?: string | undefined
  /** Only read. */
  queries: readonly TensorList[]
  /** How inputs are sent, and outputs wanted. */
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

/** A message before it is written: its JSON in pieces, from the first on whenever it is asked for, and the raw tensors behind it. */
export interface Message {
  text: () => Iterable<string>
  /** Undefined where there can be none. */
  raw?: readonly Uint8Array[] | undefined
}

const utf8 = new TextEncoder()
/** Numbers, and then characters of numbers, that are written before whatever else waits has its turn: one or two milliseconds. */
const SLICE = 2 ** 13
const TURN_LENGTH = 2 ** 15

/** What a client sends of queries of equal shapes, for all outputs of a signature; it says of each how it is wanted, since servers' defaults differ. */
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

/** A head, then the tensors under `field`, the raw ones behind. */
function messageOf(head: object, field: string, tensors: readonly TensorRows[]): Message {
  const raw = tensors.map(({ rows, binary }) => (binary ? rows.map(toRaw) : []))
  const isRaw = tensors.some(({ binary }) => binary)
  return { text: () => written(head, field, tensors, raw), raw: isRaw ? raw.flat() : undefined }
}

/** The bytes of a message, without holding the event loop. */
export async function encode({ text, raw }: Message): Promise<Encoded> {
  const json: Uint8Array[] = []
  for (const bytes of inUtf8(text())) {
    if (json.length) await turn()
    json.push(bytes)
  }
  if (!raw) return { body: joinedBytes(json), headerLength: undefined }
  return { body: joinedBytes([...json, ...raw]), headerLength: bytesIn(json) }
}

/** What it takes a millisecond to write, at a time: short pieces go together. */
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

/** @param raw  the rows of each tensor that is not written as JSON */
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

/** Values of JSON with commas between them. */
function textOf(type: ElementType = 'float32', part: TensorData): string {
  // Faster than to join them, and NaN and Inf become null.
  if (part instanceof Float32Array && !hasNegativeZero(part)) return JSON.stringify(arrayOf(part)).slice(1, -1)
  if (type === 'string') return (part as readonly string[]).map((text) => JSON.stringify(text)).join()
  if (type === 'bool') return Array.from(part as Uint8Array, Boolean).join()
  return isReal(type) ? Array.from(realsOf(type, part), writtenReal).join() : part.join()
}

/** Which JavaScript writes without its sign. Its bits are not looked at: a short array has no buffer until that is asked for. */
function hasNegativeZero(part: Float32Array): boolean {
  for (let i = 0; i < part.length; i++) if (Object.is(part[i], -0)) return true
  return false
}

/** What Array.from gives, in a tenth of the time. */
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
