/** What a server says its model takes and gives, by the Open Inference Protocol v2. */

import { expected } from '../check'
import { ApproxiferError } from '../errors'
import { rowLength, type Signature, type TensorSpec } from '../tensor'

/** The extension for raw tensors, as server metadata announces it. */
export const BINARY = 'binary_tensor_data'

/** Values of a row, 64 MB of them: a server may say what it likes, and the first query is as long as it says. */
const MOST_VALUES = 2 ** 24

export type TensorMetadata = { name: string; datatype: string; shape: number[] }

export function writeMetadata(model: string, versions: readonly string[], { inputs, outputs }: Signature) {
  const written = ({ name, shape }: TensorSpec) => ({ name, datatype: 'FP32', shape: [-1, ...shape] })
  return { name: model, versions, platform: 'onnx_onnxv1', inputs: inputs.map(written), outputs: outputs.map(written) }
}

/** Model metadata, for a client. @throws ApproxiferError MODEL for what cannot be coded, PROTOCOL for what is none */
export function readMetadata(json: unknown, outputs?: readonly string[]): Signature {
  if (typeof json !== 'object' || json === null) {
    throw new ApproxiferError('PROTOCOL', expected('the metadata', 'an object', json))
  }
  return { inputs: readSpecs(json, 'inputs'), outputs: readSpecs(json, 'outputs', outputs) }
}

function readSpecs(metadata: object, field: 'inputs' | 'outputs', chosen?: readonly string[]): TensorSpec[] {
  const all = (metadata as Record<string, unknown>)[field]
  if (!Array.isArray(all) || !all.every(isTensor)) {
    throw new ApproxiferError('PROTOCOL', expected(`the metadata's ${field}`, 'names, datatypes and shapes', all))
  }
  const specs = (chosen ?? all.map(({ name }) => name)).map((name) => specOf(name, field, all))
  const length = rowLength(specs)
  if (length <= MOST_VALUES) return specs
  const what = `expected at most ${MOST_VALUES} values a row, got ${length}`
  throw new ApproxiferError('MODEL', `the metadata's ${field}: ${what}`)
}

function isTensor(value: unknown): value is TensorMetadata {
  const { name, datatype, shape } = (value ?? {}) as Partial<TensorMetadata>
  // int64 dimensions come as strings from some servers.
  const isShape = Array.isArray(shape) && shape.every((length) => Number.isInteger(Number(length)))
  return typeof name === 'string' && typeof datatype === 'string' && isShape
}

function specOf(name: string, field: string, all: readonly TensorMetadata[]): TensorSpec {
  const own = all.find((tensor) => tensor.name === name)
  const refused = (what: string, got: unknown) =>
    new ApproxiferError('MODEL', expected(`${field} '${name}'`, what, got))
  if (!own) throw refused(`one of ${all.map((tensor) => tensor.name)}`, 'an unknown name')
  if (own.datatype !== 'FP32') throw refused('datatype FP32 (choose others with the option outputs)', own.datatype)
  const [batch, ...shape] = own.shape.map(Number)
  if (batch !== -1 && batch !== 1) throw refused('a first dimension of -1 or 1', `[${own.shape}]`)
  if (shape.some((length) => length < 1)) throw refused('lengths above 0 behind the batch', `[${own.shape}]`)
  return { name, shape }
}
