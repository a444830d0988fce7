/**
 * Reads messages of the Open Inference Protocol v2, for a server and for a client.
 *
 * A batch stands in the first dimension; its rows are the queries. Only FP32 is taken; tensors of other datatypes are stepped over in
 * replies, and refused in requests.
 */

import { checkBoolean, checkInteger, checkNames, checkString, expected, isObject } from '../check'
import { asError } from '../errors'
import { type QueryTensors, type Signature, size, type TensorList, type TensorSpec } from '../tensor'
import { parseJson } from './json'
import { floats, MOST_LENGTH, parametersOf, readEntries, type TensorEntry } from './tensors'

/** A message as it came: its tensors' numbers are `JsonNumbers` already, and the raw ones are views of the body. */
export interface OipMessage {
  json: unknown
  binary: Uint8Array
}

export interface InferRequest {
  id: string | undefined
  /**
   * One a row of the batch; views of the message, or of the array that its numbers were read into. Raw ones may hold NaN,
   * which `predict` refuses.
   */
  queries: QueryTensors[]
  outputs: { name: string; binary: boolean }[]
  parameters: Record<string, unknown>
}

export interface InferReply {
  id: string | undefined
  version: string | undefined
  /** Of the outputs that were asked for; views of the message, which the caller owns. Raw ones may hold NaN. */
  answers: TensorList[]
  parameters: Record<string, unknown>
}

/** Parameters of an input that are known, though not needed: MLServer's clients say how tensors were made. */
const INPUT_PARAMETERS = ['binary_data_size', 'content_type']

/** A message's JSON and what follows it; views. @throws TypeError, RangeError naming field, expected and got */
export async function readMessage(body: Uint8Array, headerLength?: string | null): Promise<OipMessage> {
  const length = headerLength == null ? body.length : checkHeaderLength(headerLength, body.length)
  return { json: await parseJson(body.subarray(0, length)), binary: body.subarray(length) }
}

function checkHeaderLength(text: string, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1
  if (value >= 0 && value <= most) return value
  throw new RangeError(expected('Inference-Header-Content-Length', `bytes of the body's JSON, from 0 to ${most}`, text))
}

/** What a client asks for. @param most  rows. @throws TypeError, RangeError naming field, expected and got */
export function readRequest(message: OipMessage, signature: Signature, most = MOST_LENGTH): InferRequest {
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
export function readReply(message: OipMessage, outputs: readonly TensorSpec[], rows: number): InferReply {
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
      answers: answersOf(tensors, outputs, rows),
      parameters: isObject(json.parameters) ? json.parameters : {},
    }
  } catch (error) {
    throw asError(error, 'PROTOCOL', 'the reply: ')
  }
}

/** The sentence in a server's error; servers say `error`, `detail`, or plain text. At most 500 characters. */
export function readError(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, 65536))
  let said: unknown = text
  try {
    const json = JSON.parse(text)
    said = json?.error ?? json?.detail ?? text
  } catch {}
  return (typeof said === 'string' ? said : JSON.stringify(said)).slice(0, 500)
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
function matched(entries: readonly TensorEntry[], specs: readonly TensorSpec[]): TensorEntry[] {
  const names = specs.map(({ name }) => `'${name}'`).join(', ')
  const odd = entries.find(({ name }) => !specs.some((spec) => spec.name === name))
  if (odd) throw new TypeError(expected(`${odd.field}.name`, names, odd.name))
  return specs.map(({ name }) => {
    const entry = entries.find((each) => each.name === name)
    if (entry) return entry
    throw new TypeError(`inputs: expected ${names}, got none named '${name}'`)
  })
}

function queriesOf(tensors: readonly Float32Array[], specs: readonly TensorSpec[], rows: number): QueryTensors[] {
  return Array.from({ length: rows }, (_, row) => {
    if (specs.length === 1) return part(tensors[0], specs[0], row)
    return Object.fromEntries(specs.map((spec, i) => [spec.name, part(tensors[i], spec, row)]))
  })
}

function answersOf(tensors: readonly Float32Array[], specs: readonly TensorSpec[], rows: number): TensorList[] {
  return Array.from({ length: rows }, (_, row) =>
    specs.map((spec, i) => ({ data: part(tensors[i], spec, row), shape: spec.shape })),
  )
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
    const chosen = parameters ?? {}
    checkNames(`${field}.parameters`, chosen, ['binary_data'])
    // As Triton and KServe do: what is listed comes as JSON unless it says otherwise itself.
    return { name, binary: checkBoolean(`${field}.parameters.binary_data`, chosen.binary_data ?? false) }
  })
}
