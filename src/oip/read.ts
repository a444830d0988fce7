/**
 * Reads messages of the Open Inference Protocol v2, for a server and for a client.
 *
 * The rows of a batch, along the first dimension, are the queries. A reply may have more outputs than were requested: these are skipped,
 * whatever their datatypes.
 */

import {
  checkBoolean,
  checkInteger,
  checkNames,
  checkString,
  expected,
  foreignNames,
  isObject,
  outOfRange,
  wrongType,
} from '../base/check'
import { partOf, type TensorData } from '../base/element'
import { asError } from '../base/errors'
import type { AnyTensor, QueryTensors, Signature, TensorList, TensorSpec } from '../base/tensor'
import { isOpen, isShapeOf, namesOf, shownShape, size, tensorOf } from '../base/tensor'
import { parseJson } from './json'
import { MOST_LENGTH, parametersOf, readEntries, type TensorEntry, valuesOf } from './tensors'

/** A message with parsed JSON, in which values of tensors are `JsonElements`, and the raw tensors after it, as a view of the body. */
export interface OipMessage {
  json: unknown
  binary: Uint8Array
}

export interface InferRequest {
  id: string | undefined
  /**
   * The queries, one per row of the batch: views of the body or, from JSON, of the parsed array. Raw values may be NaN, which `predict`
   * refuses.
   */
  queries: QueryTensors[]
  outputs: { name: string; binary: boolean }[]
  parameters: Record<string, unknown>
  /** Names of unknown parameters of inputs and outputs, which were ignored. */
  ignored: string[]
}

export interface InferReply {
  id: string | undefined
  version: string | undefined
  /** For each row the requested outputs: views of the message, which the caller owns. Raw values may be NaN. */
  answers: TensorList[]
  parameters: Record<string, unknown>
}

/** Known parameters of an input. MLServer's clients send `content_type`, which is not needed. */
const INPUT_PARAMETERS = ['binary_data_size', 'content_type']
/** Triton's parameters that must not be ignored: they place values in shared memory, or change what an output means. */
const NEEDED = /^(classification|shared_memory_.*)$/

/** Parses a message. @param headerLength  the bytes of its JSON; null where no raw tensors follow. @throws TypeError, RangeError naming field, expected and got */
export async function readMessage(body: Uint8Array, headerLength?: string | null): Promise<OipMessage> {
  const length = headerLength == null ? body.length : checkHeaderLength(headerLength, body.length)
  return { json: await parseJson(body.subarray(0, length)), binary: body.subarray(length) }
}

function checkHeaderLength(text: string, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1
  if (value >= 0 && value <= most) return value
  throw outOfRange(expected('Inference-Header-Content-Length', `bytes of the body's JSON, from 0 to ${most}`, text))
}

/** Reads a request, as a server. @param most  the most rows. @throws TypeError, RangeError naming field, expected and got */
export function readRequest(message: OipMessage, signature: Signature, most = MOST_LENGTH): InferRequest {
  const { json, binary } = message
  checkNames('request', json, ['id', 'model_name', 'model_version', 'parameters', 'inputs', 'outputs'])
  const { id, model_name, model_version, inputs, outputs, ...rest } = json as Record<string, unknown>
  for (const [field, value] of Object.entries({ id, model_name, model_version })) {
    if (value != null) checkString(field, value)
  }
  const { binary_data_output = false, ...parameters } = parametersOf('parameters', rest.parameters)
  const entries = readEntries('inputs', inputs, binary)
  const ignored = (inputs as object[]).flatMap((input, i) => foreignOf(`inputs[${i}]`, input))
  const tensors = matched(entries, signature.inputs)
  const { inputs: specs, batched = true } = signature
  tensors.forEach(({ field, name, shape }, i) => {
    const own = batched ? shape.slice(1) : shape
    if (isShapeOf(own, specs[i], 0) && own.length === shape.length - Number(batched)) return
    const all = [...(batched ? ['N'] : []), ...(specs[i].shape.length ? [shownShape(specs[i])] : [])]
    throw outOfRange(`${field}.shape: expected [${all}] for '${name}', got [${shape}]`)
  })
  const rows = batched ? rowsOf(tensors, most) : 1
  return {
    id: (id as string | null) ?? undefined,
    queries: queriesOf(tensors, specs, rows),
    outputs: readOutputs(
      outputs,
      signature.outputs,
      checkBoolean('parameters.binary_data_output', binary_data_output),
      ignored,
    ),
    parameters,
    ignored,
  }
}

/** Reads a server's reply, as a client. @param rows  how many rows were sent. @throws ApproxiferError PROTOCOL */
export function readReply(
  message: OipMessage,
  { outputs, batched = true }: Pick<Signature, 'outputs' | 'batched'>,
  rows: number,
): InferReply {
  try {
    const { json, binary } = message
    if (!isObject(json)) throw wrongType(expected('the reply', 'an object', json))
    const entries = readEntries('outputs', json.outputs, binary)
    const columns = outputs.map((spec) => {
      const entry = entries.find(({ name }) => name === spec.name)
      if (entry) return columnOf(entry, spec, rows, batched)
      throw wrongType(`outputs: expected '${spec.name}', got none of this name`)
    })
    return {
      id: typeof json.id === 'string' ? json.id : undefined,
      version: typeof json.model_version === 'string' ? json.model_version : undefined,
      answers:
        rows === 1
          ? [columns.map(([own]) => own)]
          : Array.from({ length: rows }, (_, row) => columns.map((column) => column[row])),
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

/** What only a request's inputs are held to: servers may say more than we know. @returns parameters that are passed over */
function foreignOf(field: string, input: object): string[] {
  checkNames(field, input, ['name', 'shape', 'datatype', 'parameters', 'data'])
  const { parameters } = input as { parameters?: object | null }
  return parameters == null ? [] : passedOver(`${field}.parameters`, parameters, INPUT_PARAMETERS)
}

/** @throws TypeError for a misspelt one, and for one without which the request means something else */
function passedOver(field: string, parameters: object, known: readonly string[]): string[] {
  const foreign = foreignNames(field, parameters, known)
  if (foreign.some((name) => NEEDED.test(name))) checkNames(field, parameters, known)
  return foreign.map((name) => `${field}.${name}`)
}

/** The tensors in the order of a signature, which has no others. */
function matched(entries: readonly TensorEntry[], specs: readonly TensorSpec[]): TensorEntry[] {
  const names = namesOf(specs)
  const odd = entries.find(({ name }) => !specs.some((spec) => spec.name === name))
  if (odd) throw wrongType(expected(`${odd.field}.name`, names, odd.name))
  return specs.map(({ name }) => {
    const entry = entries.find((each) => each.name === name)
    if (entry) return entry
    throw wrongType(`inputs: expected ${names}, got none named '${name}'`)
  })
}

/** The number of rows of a batch, which must be equal for all inputs. */
function rowsOf(tensors: readonly TensorEntry[], most: number): number {
  const rows = checkInteger(`${tensors[0].field}.shape[0]`, tensors[0].shape[0], 1, most)
  const odd = tensors.find(({ shape }) => shape[0] !== rows)
  if (odd) throw outOfRange(`${odd.field}.shape: expected ${rows} rows as the others have, got ${odd.shape[0]}`)
  return rows
}

function queriesOf(entries: readonly TensorEntry[], specs: readonly TensorSpec[], rows: number): QueryTensors[] {
  const columns = specs.map((spec, i) => {
    const { shape } = entries[i]
    const own = shape.slice(shape.length - spec.shape.length)
    const parts = partsOf(valuesOf(entries[i], spec.type), rows)
    // Queries need a shape only where the model leaves lengths open.
    return isOpen(spec) ? parts.map((data) => ({ data, shape: own })) : parts
  })
  if (specs.length === 1) return columns[0]
  return Array.from({ length: rows }, (_, row) =>
    Object.fromEntries(specs.map(({ name }, i) => [name, columns[i][row]])),
  )
}

/** One output of all rows. */
function columnOf(entry: TensorEntry, spec: TensorSpec, rows: number, batched: boolean): AnyTensor[] {
  const { field, shape, count } = entry
  // Where all lengths are fixed, only the count is checked: some servers write the shape [N, 1] for [N].
  const differs = isOpen(spec)
  const own = differs ? shape.slice(Number(batched)) : spec.shape
  const fits = differs ? isShapeOf(own, spec, 0) && (!batched || shape[0] === rows) : count === rows * size(spec)
  if (fits) return partsOf(valuesOf(entry, spec.type), rows).map((data) => tensorOf(spec, data, own))
  const all = [...(batched ? [rows] : []), ...(spec.shape.length ? [shownShape(spec)] : [])]
  throw outOfRange(`${field}.shape: expected [${all}], got [${shape}]`)
}

function partsOf(values: TensorData, count: number): TensorData[] {
  if (count === 1) return [values]
  const length = values.length / count
  return Array.from({ length: count }, (_, i) => partOf(values, i * length, length))
}

/** The requested outputs; all of them if the request lists none. @param ignored  gets the names of unknown parameters */
function readOutputs(
  list: unknown,
  specs: readonly TensorSpec[],
  all: boolean,
  ignored: string[],
): InferRequest['outputs'] {
  if (list == null || (Array.isArray(list) && !list.length)) return specs.map(({ name }) => ({ name, binary: all }))
  if (!Array.isArray(list)) throw wrongType(expected('outputs', 'a list of outputs', list))
  const seen = new Set<unknown>()
  return list.map((json, i) => {
    const field = `outputs[${i}]`
    checkNames(field, json, ['name', 'parameters'])
    const { name, parameters } = json
    if (!specs.some((spec) => spec.name === name)) {
      throw wrongType(expected(`${field}.name`, namesOf(specs), name))
    }
    if (seen.has(name)) throw wrongType(`${field}.name: expected another, got '${name}' again`)
    seen.add(name)
    const chosen = parameters ?? {}
    ignored.push(...passedOver(`${field}.parameters`, chosen, ['binary_data']))
    // As in Triton and KServe, a listed output is JSON unless its own parameter says otherwise.
    return { name, binary: checkBoolean(`${field}.parameters.binary_data`, chosen.binary_data ?? false) }
  })
}
