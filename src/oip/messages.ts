/**
 * The messages of the Open Inference Protocol v2 (KServe, Triton, MLServer, OpenVINO Model Server), for a server and for a client: from
 * and to bytes, pure. Tensors travel as JSON or, with the binary extension, as raw little-endian bytes behind it.
 *
 * A batch stands in the first dimension; its rows are the queries. Only FP32 is taken and given; tensors of other datatypes are stepped
 * over in replies, and refused in requests.
 */

import { checkBoolean, checkInteger, checkNames, checkObject, checkString, expected, isObject } from '../check'
import { ApproxiferError, asError } from '../errors'
import { type Query, rowLength, type Signature, size, type TensorSpec } from '../tensor'
import { joinedBytes, type Numbers, parseJson, turn, written } from './json'

/** The header with the bytes of the JSON, where raw tensors follow it. */
export const HEADER_LENGTH = 'inference-header-content-length'
/** What server metadata announces. */
export const BINARY = 'binary_tensor_data'

/** Bytes of an element; those of BYTES have a length each. */
export const datatypes = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
} as const

/** A message as it is sent. */
export interface Encoded {
  body: Uint8Array
  /** For the header of this name; undefined where no raw tensor follows. */
  headerLength: number | undefined
}

/** A message as it came. Its tensors' numbers are `Numbers` already; the raw ones are views of the body. */
export interface Message {
  json: unknown
  binary: Uint8Array
}

/** Some rows of one tensor. */
export interface Rows extends TensorSpec {
  /** One a query, each as long as the shape says; only read. Finite. */
  rows: readonly Float32Array[]
  binary: boolean
}

export interface InferRequest {
  id: string | undefined
  /**
   * One a row of the batch; views of the message, or of the array that its numbers were read into. Raw ones may hold NaN,
   * which `predict` refuses.
   */
  queries: Query[]
  /** In the order in which they are wanted. */
  outputs: { name: string; binary: boolean }[]
  /** What else was asked for. */
  parameters: Record<string, unknown>
}

export interface InferReply {
  id: string | undefined
  version: string | undefined
  /** Each answer, in the order of the outputs that were asked for; the caller owns them. Raw ones may hold NaN. */
  rows: Float32Array[]
  parameters: Record<string, unknown>
}

/** A datatype's tensor in a message, whatever its datatype. */
interface Entry {
  field: string
  name: string
  datatype: keyof typeof datatypes
  shape: number[]
  /** Elements, by the shape. */
  count: number
  data: Numbers | Uint8Array
}

const utf8 = new TextEncoder()
const MOST_TENSORS = 1000
/** Letters of numbers that are written before whatever else waits has its turn. */
const TURN_LETTERS = 2 ** 15
const MOST_LENGTH = 2 ** 31 - 1
/** Values of a row, 64 MB of them: a server may say what it likes, and the first query is as long as it says. */
const MOST_VALUES = 2 ** 24
/** Parameters of an input that are known, though not needed: MLServer's clients say how tensors were made. */
const INPUT_PARAMETERS = ['binary_data_size', 'content_type']

/**
 * Any message's bytes as JSON and what follows it.
 *
 * @param body          only read, and not kept but for views
 * @param headerLength  the header `HEADER_LENGTH`, if there was one
 * @throws TypeError, RangeError naming field, expected and got
 */
export async function readMessage(body: Uint8Array, headerLength?: string | null): Promise<Message> {
  const length = headerLength == null ? body.length : checkHeaderLength(headerLength, body.length)
  return { json: await parseJson(body.subarray(0, length)), binary: body.subarray(length) }
}

function checkHeaderLength(text: string, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1
  if (value >= 0 && value <= most) return value
  throw new RangeError(expected('Inference-Header-Content-Length', `bytes of the body's JSON, from 0 to ${most}`, text))
}

/**
 * What a client asks for.
 *
 * @param most  rows
 * @throws TypeError, RangeError naming field, expected and got
 */
export function readRequest(message: Message, signature: Signature, most = MOST_LENGTH): InferRequest {
  const { json, binary } = message
  checkNames('request', json, ['id', 'model_name', 'model_version', 'parameters', 'inputs', 'outputs'])
  const { id, model_name, model_version, inputs, outputs, ...rest } = json as Record<string, unknown>
  for (const [field, value] of Object.entries({ id, model_name, model_version })) {
    if (value != null) checkString(field, value)
  }
  const { binary_data_output = false, ...parameters } = parametersOf('parameters', rest.parameters)
  const entries = readEntries('inputs', inputs, binary)
  checkInputs(inputs as object[])
  const tensors = matched(entries, signature.inputs)
  tensors.forEach(({ field, name, shape }, i) => {
    const own = signature.inputs[i].shape
    if (String(shape.slice(1)) === String(own) && shape.length === own.length + 1) return
    throw new RangeError(`${field}.shape: expected [${['N', ...own]}] for '${name}', got [${shape}]`)
  })
  const rows = checkInteger(`${tensors[0].field}.shape[0]`, tensors[0].shape[0], 1, most)
  const odd = tensors.find(({ shape }) => shape[0] !== rows)
  if (odd) throw new RangeError(`${odd.field}.shape: expected ${rows} rows as the others have, got ${odd.shape[0]}`)
  return {
    id: (id as string | null) ?? undefined,
    queries: queriesOf(tensors.map(floats), signature.inputs, rows),
    outputs: readOutputs(outputs, signature.outputs, checkBoolean('parameters.binary_data_output', binary_data_output)),
    parameters,
  }
}

/** A server's answer to a request for some rows of the outputs named. @throws ApproxiferError PROTOCOL */
export function readReply(message: Message, outputs: readonly TensorSpec[], rows: number): InferReply {
  try {
    const { json, binary } = message
    if (!isObject(json)) throw new TypeError(expected('the reply', 'an object', json))
    const entries = readEntries('outputs', json.outputs, binary)
    const tensors = outputs.map((spec) => {
      const entry = entries.find(({ name }) => name === spec.name)
      if (!entry) throw new TypeError(`outputs: expected '${spec.name}', got none of this name`)
      // Counts, not shapes: some servers give [N, 1] for [N].
      if (entry.count === rows * size(spec)) return floats(entry)
      throw new RangeError(`${entry.field}.shape: expected [${[rows, ...spec.shape]}], got [${entry.shape}]`)
    })
    return {
      id: typeof json.id === 'string' ? json.id : undefined,
      version: typeof json.model_version === 'string' ? json.model_version : undefined,
      rows: rowsOf(tensors, outputs, rows),
      parameters: isObject(json.parameters) ? json.parameters : {},
    }
  } catch (error) {
    throw asError(error, 'PROTOCOL', 'the reply: ')
  }
}

export interface RequestOptions {
  id?: string | undefined
  /** Queries' rows, each in the signature's order; only read. */
  rows: readonly Float32Array[]
  /** How inputs are sent, and outputs wanted. */
  binary: boolean
  parameters?: Record<string, unknown> | undefined
}

/** What a client sends, for all outputs of a signature; it says of each how it is wanted, since servers' defaults differ. */
export function writeRequest(signature: Signature, options: RequestOptions): Promise<Encoded> {
  const { id, rows, binary, parameters } = options
  let at = 0
  const inputs = signature.inputs.map((spec): Rows => {
    const from = at
    at += size(spec)
    return { ...spec, binary, rows: rows.map((row) => row.subarray(from, from + size(spec))) }
  })
  const head = {
    ...(id !== undefined && { id }),
    parameters: { ...parameters, binary_data_output: binary },
    outputs: signature.outputs.map(({ name }) => ({ name, parameters: { binary_data: binary } })),
  }
  return encode(head, 'inputs', inputs)
}

export interface ReplyOptions {
  model: string
  version: string
  id?: string | undefined
  parameters?: Record<string, unknown> | undefined
  outputs: readonly Rows[]
}

/** What a server answers. */
export function writeReply({ model, version, id, parameters, outputs }: ReplyOptions): Promise<Encoded> {
  const named = { model_name: model, model_version: version }
  return encode({ ...named, ...(id !== undefined && { id }), ...(parameters && { parameters }) }, 'outputs', outputs)
}

/** Model metadata, for a server. */
export function writeMetadata(model: string, versions: readonly string[], { inputs, outputs }: Signature) {
  const told = ({ name, shape }: TensorSpec) => ({ name, datatype: 'FP32', shape: [-1, ...shape] })
  return { name: model, versions, platform: 'onnx_onnxv1', inputs: inputs.map(told), outputs: outputs.map(told) }
}

/**
 * What a server says its model takes and gives, for a client.
 *
 * @param outputs  those to use. Default: all
 * @throws ApproxiferError MODEL for what cannot be coded, PROTOCOL for what is no metadata
 */
export function readMetadata(json: unknown, outputs?: readonly string[]): Signature {
  if (!isObject(json)) throw new ApproxiferError('PROTOCOL', expected('the metadata', 'an object', json))
  const told = (json: unknown, field: string, chosen?: readonly string[]): TensorSpec[] => {
    if (!Array.isArray(json) || !json.every(isTensor)) {
      throw new ApproxiferError('PROTOCOL', expected(`the metadata's ${field}`, 'names, datatypes and shapes', json))
    }
    const names = chosen ?? json.map(({ name }) => name)
    return names.map((name) => specOf(name, field, json))
  }
  const signature = { inputs: told(json.inputs, 'inputs'), outputs: told(json.outputs, 'outputs', outputs) }
  for (const [field, specs] of Object.entries(signature)) {
    const length = rowLength(specs)
    if (length <= MOST_VALUES) continue
    throw new ApproxiferError(
      'MODEL',
      `the metadata's ${field}: expected at most ${MOST_VALUES} values a row, got ${length}`,
    )
  }
  return signature
}

type Told = { name: string; datatype: string; shape: number[] }

function isTensor(value: unknown): value is Told {
  if (!isObject(value) || typeof value.name !== 'string' || typeof value.datatype !== 'string') return false
  // int64 dimensions come as strings from some servers.
  return Array.isArray(value.shape) && value.shape.every((length) => Number.isInteger(Number(length)))
}

function specOf(name: string, field: string, all: readonly Told[]): TensorSpec {
  const own = all.find((tensor) => tensor.name === name)
  const refused = (what: string, got: unknown) =>
    new ApproxiferError('MODEL', expected(`${field} '${name}'`, what, got))
  if (!own) throw refused(`one of ${all.map((tensor) => tensor.name)}`, 'an unknown name')
  if (own.datatype !== 'FP32') {
    throw refused('datatype FP32 (choose others with the option outputs)', own.datatype)
  }
  const [batch, ...shape] = own.shape.map(Number)
  if (batch !== -1 && batch !== 1) throw refused('a first dimension of -1 or 1', `[${own.shape}]`)
  if (shape.some((length) => length < 1)) throw refused('lengths above 0 behind the batch', `[${own.shape}]`)
  return { name, shape }
}

/** The sentence in a server's error; servers say `error`, `detail`, or plain text. At most 500 letters. */
export function readError(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, 65536))
  let told: unknown = text
  try {
    const json = JSON.parse(text)
    told = json?.error ?? json?.detail ?? text
  } catch {}
  return (typeof told === 'string' ? told : JSON.stringify(told)).slice(0, 500)
}

/** The bytes of a message: its head, then the tensors under `field`, the raw ones behind. */
async function encode(head: object, field: string, tensors: readonly Rows[]): Promise<Encoded> {
  const json: Uint8Array[] = []
  let text = `${JSON.stringify(head).slice(0, -1)},"${field}":[`
  const raw: Uint8Array[] = []
  for (const [i, { name, shape, rows, binary }] of tensors.entries()) {
    const told = { name, datatype: 'FP32', shape: [rows.length, ...shape] }
    if (binary) {
      const parameters = { binary_data_size: rows.reduce((sum, row) => sum + row.byteLength, 0) }
      text += `${i ? ',' : ''}${JSON.stringify({ ...told, parameters })}`
      for (const row of rows) raw.push(new Uint8Array(row.buffer, row.byteOffset, row.byteLength))
      continue
    }
    text += `${i ? ',' : ''}${JSON.stringify(told).slice(0, -1)},"data":[`
    for (const numbers of written(rows)) {
      if (text.length > TURN_LETTERS) {
        json.push(utf8.encode(text))
        text = ''
        await turn() // which takes a millisecond: short rows go together
      }
      text += numbers
    }
    text += ']}'
  }
  json.push(utf8.encode(`${text}]}`))
  if (!raw.length) return { body: joinedBytes(json), headerLength: undefined }
  const headerLength = json.reduce((sum, part) => sum + part.length, 0)
  return { body: joinedBytes([...json, ...raw]), headerLength }
}

/** The tensors of a message, whatever their datatypes: only so are the offsets of the raw ones known. */
function readEntries(field: string, list: unknown, binary: Uint8Array): Entry[] {
  if (!Array.isArray(list)) throw new TypeError(expected(field, 'a list of tensors', list))
  if (!list.length || list.length > MOST_TENSORS) {
    throw new RangeError(`${field}: expected 1 to ${MOST_TENSORS} tensors, got ${list.length}`)
  }
  const names = new Set<string>()
  let at = 0
  const entries = list.map((json, i) => {
    const entry = readEntry(`${field}[${i}]`, json, binary.subarray(at))
    if (names.has(entry.name)) throw new TypeError(`${field}[${i}]: expected another name, got '${entry.name}' again`)
    names.add(entry.name)
    if (entry.data instanceof Uint8Array) at += entry.data.length
    return entry
  })
  if (at === binary.length) return entries
  throw new RangeError(`the body: expected ${at} bytes behind the JSON, by binary_data_size, got ${binary.length}`)
}

/** @param binary  the raw bytes from here on */
function readEntry(field: string, json: unknown, binary: Uint8Array): Entry {
  if (!isObject(json)) throw new TypeError(expected(field, 'an object', json))
  const { name, datatype, shape, data } = json
  if (typeof name !== 'string') throw new TypeError(expected(`${field}.name`, 'a string', name))
  if (typeof datatype !== 'string' || !Object.hasOwn(datatypes, datatype)) {
    throw new RangeError(expected(`${field}.datatype`, `one of ${Object.keys(datatypes).join(', ')}`, datatype))
  }
  if (!Array.isArray(shape)) throw new TypeError(expected(`${field}.shape`, 'a list of lengths', shape))
  shape.forEach((length, axis) => {
    checkInteger(`${field}.shape[${axis}]`, length, 0, MOST_LENGTH)
  })
  const { binary_data_size } = parametersOf(`${field}.parameters`, json.parameters)
  if ((data == null) === (binary_data_size === undefined)) {
    const got = data == null ? 'neither' : 'both'
    throw new TypeError(`${field}: expected either data or parameters.binary_data_size, got ${got}`)
  }
  const told = { field, name, datatype: datatype as Entry['datatype'], shape, count: size({ shape }) }
  if (data == null) return { ...told, data: rawOf(told, binary_data_size, binary) }
  if (!isNumbers(data)) throw new TypeError(expected(`${field}.data`, 'a list of values', data))
  return { ...told, data }
}

function rawOf({ field, datatype, shape, count }: Omit<Entry, 'data'>, given: unknown, binary: Uint8Array): Uint8Array {
  const bytes = checkInteger(`${field}.parameters.binary_data_size`, given, 0)
  const width = datatypes[datatype]
  if (width !== undefined && bytes !== width * count) {
    const what = `${width * count} bytes for ${datatype} [${shape}]`
    throw new RangeError(`${field}.parameters.binary_data_size: expected ${what}, got ${bytes}`)
  }
  if (bytes > binary.length) {
    throw new RangeError(`${field}: expected ${bytes} bytes behind the JSON, got ${binary.length}`)
  }
  return binary.subarray(0, bytes)
}

/** What only a request's inputs are held to: servers may say more than we know. */
function checkInputs(inputs: readonly object[]): void {
  inputs.forEach((json, i) => {
    const field = `inputs[${i}]`
    checkNames(field, json, ['name', 'shape', 'datatype', 'parameters', 'data'])
    const { parameters } = json as { parameters?: object | null }
    if (parameters != null) checkNames(`${field}.parameters`, parameters, INPUT_PARAMETERS)
  })
}

/** The tensors in the order of a signature, which has no others. */
function matched(entries: readonly Entry[], specs: readonly TensorSpec[]): Entry[] {
  const names = specs.map(({ name }) => `'${name}'`).join(', ')
  const odd = entries.find(({ name }) => !specs.some((spec) => spec.name === name))
  if (odd) throw new TypeError(expected(`${odd.field}.name`, names, odd.name))
  return specs.map(({ name }) => {
    const entry = entries.find((each) => each.name === name)
    if (entry) return entry
    throw new TypeError(`inputs: expected ${names}, got none named '${name}'`)
  })
}

/** An FP32 tensor's values: a view where they are aligned or came as JSON. Raw ones are not looked through for NaN. */
function floats({ field, datatype, shape, count, data }: Entry): Float32Array {
  if (datatype !== 'FP32') throw new TypeError(expected(`${field}.datatype`, "'FP32'", datatype))
  if (data instanceof Uint8Array) {
    const { buffer, byteOffset } = data.byteOffset % 4 ? new Uint8Array(data) : data // slice() of a Buffer is no copy
    return new Float32Array(buffer, byteOffset, count)
  }
  if (data.flaw) throw new RangeError(`${field}.data: expected finite float32 values, got ${data.flaw}`)
  if (data.values.length !== count) {
    throw new RangeError(`${field}.data: expected ${count} values for shape [${shape}], got ${data.values.length}`)
  }
  if (data.dims.length === 1 || String(data.dims) === String(shape)) return data.values
  throw new RangeError(`${field}.data: expected values flat or nested as shape [${shape}], got [${data.dims}]`)
}

function queriesOf(tensors: readonly Float32Array[], specs: readonly TensorSpec[], rows: number): Query[] {
  return Array.from({ length: rows }, (_, row) => {
    if (specs.length === 1) return part(tensors[0], specs[0], row)
    return Object.fromEntries(specs.map((spec, i) => [spec.name, part(tensors[i], spec, row)]))
  })
}

/** Each answer's row, made of its part of each tensor. */
function rowsOf(tensors: readonly Float32Array[], specs: readonly TensorSpec[], rows: number): Float32Array[] {
  return Array.from({ length: rows }, (_, row) => {
    const whole = new Float32Array(rowLength(specs))
    let at = 0
    specs.forEach((spec, i) => {
      whole.set(part(tensors[i], spec, row), at)
      at += size(spec)
    })
    return whole
  })
}

function part(tensor: Float32Array, spec: TensorSpec, row: number): Float32Array {
  return tensor.subarray(row * size(spec), (row + 1) * size(spec))
}

function readOutputs(list: unknown, specs: readonly TensorSpec[], all: boolean): InferRequest['outputs'] {
  if (list == null || (Array.isArray(list) && !list.length)) return specs.map(({ name }) => ({ name, binary: all }))
  if (!Array.isArray(list)) throw new TypeError(expected('outputs', 'a list of outputs', list))
  const seen = new Set<unknown>()
  return list.map((json, i) => {
    const field = `outputs[${i}]`
    checkNames(field, json, ['name', 'parameters'])
    const { name, parameters } = json
    if (!specs.some((spec) => spec.name === name)) {
      throw new TypeError(expected(`${field}.name`, specs.map((spec) => `'${spec.name}'`).join(', '), name))
    }
    if (seen.has(name)) throw new TypeError(`${field}.name: expected another, got '${name}' again`)
    seen.add(name)
    const chosen = parametersOf(`${field}.parameters`, parameters)
    checkNames(`${field}.parameters`, chosen, ['binary_data'])
    // As Triton and KServe do: what is listed comes as JSON unless it says otherwise itself.
    return { name, binary: checkBoolean(`${field}.parameters.binary_data`, chosen.binary_data ?? false) }
  })
}

function parametersOf(field: string, json: unknown): Record<string, unknown> {
  return json == null ? {} : checkObject(field, json)
}

function isNumbers(value: unknown): value is Numbers {
  return isObject(value) && value.values instanceof Float32Array
}
