/**
 * Writes messages of the Open Inference Protocol v2 (KServe, Triton, MLServer, OpenVINO Model Server), for a server and for a client.
 * Tensors travel as JSON or, with the binary extension, as raw little-endian bytes behind it.
 */

import type { Signature, TensorList, TensorSpec } from '../tensor'
import { joinedBytes, turn } from './json'

/** The header with the bytes of the JSON, where raw tensors follow it. */
export const HEADER_LENGTH = 'inference-header-content-length'

export interface Encoded {
  body: Uint8Array
  /** For the header `HEADER_LENGTH`; undefined where no raw tensor follows. */
  headerLength: number | undefined
}

export interface TensorRows extends TensorSpec {
  /** Values: one array a query, each as long as the shape says; only read. Finite. */
  rows: readonly Float32Array[]
  binary: boolean
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

const utf8 = new TextEncoder()
/** Numbers, and then characters of numbers, that are written before whatever else waits has its turn: one or two milliseconds. */
const SLICE = 2 ** 13
const TURN_LENGTH = 2 ** 15

/** What a client sends, for all outputs of a signature; it says of each how it is wanted, since servers' defaults differ. */
export function writeRequest(signature: Signature, options: RequestOptions): Promise<Encoded> {
  const { id, queries, binary, parameters } = options
  const rowsOf = (i: number) => queries.map((query) => query[i].data)
  const inputs = signature.inputs.map((spec, i): TensorRows => ({ ...spec, binary, rows: rowsOf(i) }))
  const outputs = signature.outputs.map(({ name }) => ({ name, parameters: { binary_data: binary } }))
  return encode({ id, parameters: { ...parameters, binary_data_output: binary }, outputs }, 'inputs', inputs)
}

export function writeReply({ model, version, id, parameters, outputs }: ReplyOptions): Promise<Encoded> {
  return encode({ model_name: model, model_version: version, id, parameters }, 'outputs', outputs)
}

/** The bytes of a message: its head, then the tensors under `field`, the raw ones behind. */
async function encode(head: object, field: string, tensors: readonly TensorRows[]): Promise<Encoded> {
  const json: Uint8Array[] = []
  let text = ''
  for (const piece of written(head, field, tensors)) {
    if (text.length > TURN_LENGTH) {
      json.push(utf8.encode(text))
      text = ''
      await turn() // which takes a millisecond: short pieces go together
    }
    text += piece
  }
  json.push(utf8.encode(text))
  const raw = tensors.flatMap(({ rows, binary }) => (binary ? rows : []))
  if (!raw.length) return { body: joinedBytes(json), headerLength: undefined }
  const headerLength = json.reduce((sum, part) => sum + part.length, 0)
  const bytes = raw.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength))
  return { body: joinedBytes([...json, ...bytes]), headerLength }
}

function* written(head: object, field: string, tensors: readonly TensorRows[]): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"${field}":`
  for (const [i, { name, shape, rows, binary }] of tensors.entries()) {
    const spec = { name, datatype: 'FP32', shape: [rows.length, ...shape] }
    const parameters = { binary_data_size: rows.reduce((sum, row) => sum + row.byteLength, 0) }
    yield (i ? ',' : '[') + JSON.stringify(binary ? { ...spec, parameters } : spec).slice(0, -1)
    if (!binary) {
      yield ',"data":['
      let comma = ''
      for (const row of rows) {
        for (let at = 0; at < row.length; at += SLICE) {
          yield comma + row.subarray(at, at + SLICE).join(',')
          comma = ','
        }
      }
      yield ']'
    }
    yield '}'
  }
  yield ']}'
}
