/** Writes and reads a model's metadata (its inputs and outputs), by the Open Inference Protocol v2. */

import { expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import { rowLength, type Signature, type TensorSpec } from '../base/tensor'
import { datatypeOf, datatypes, elementTypeOf } from './elements'

/** The extension for raw tensors, as server metadata announces it. */
export const BINARY = 'binary_tensor_data'

/** The most values of a row (64 MB of float32): a server's metadata must not make a client allocate without limit. */
const MOST_VALUES = 2 ** 24

export type TensorMetadata = { name: string; datatype: string; shape: readonly number[] }

export function writeMetadata(model: string, versions: readonly string[], signature: Signature) {
  const { inputs, outputs, batched = true } = signature
  const written = ({ name, shape, type }: TensorSpec) => {
    return { name, datatype: datatypeOf(type), shape: batched ? [-1, ...shape] : shape }
  }
  const specs = { inputs: inputs.map(written), outputs: outputs.map(written) }
  const parameters = batched ? {} : { parameters: { batched } } // shapes alone may be ambiguous
  return { name: model, versions, platform: 'onnx_onnxv1', ...specs, ...parameters }
}

/**
 * Reads a model's metadata, as a client. If the first dimension of a tensor is fixed, and not 1, the model has no batch dimension.
 *
 * @param outputs  the names of the outputs to use. Default: all
 * @throws ApproxiferError MODEL for a model that cannot be used, PROTOCOL for malformed metadata
 */
export function readMetadata(json: unknown, outputs?: readonly string[]): Signature {
  if (typeof json !== 'object' || json === null) {
    throw new ApproxiferError('PROTOCOL', expected('the metadata', 'an object', json))
  }
  const specs = { inputs: readSpecs(json, 'inputs'), outputs: readSpecs(json, 'outputs', outputs) }
  const { parameters } = json as { parameters?: { batched?: unknown } | null }
  const hasBatch = ({ shape: [first] }: TensorSpec) => first === -1 || first === 1
  const isWhole = parameters?.batched === false || ![...specs.inputs, ...specs.outputs].every(hasBatch)
  if (isWhole) return { ...specs, batched: false }
  const rowsOf = (all: TensorSpec[]) => all.map((spec) => ({ ...spec, shape: spec.shape.slice(1) }))
  return { inputs: rowsOf(specs.inputs), outputs: rowsOf(specs.outputs) }
}

/** The specs of all inputs or of the chosen outputs, with all their dimensions. */
function readSpecs(metadata: object, field: 'inputs' | 'outputs', chosen?: readonly string[]): TensorSpec[] {
  const all = (metadata as Record<string, unknown>)[field]
  if (!Array.isArray(all) || !all.every(isTensor)) {
    throw new ApproxiferError('PROTOCOL', expected(`the metadata's ${field}`, 'names, datatypes and shapes', all))
  }
  const specs = (chosen ?? all.map(({ name }) => name)).map((name) => specOf(name, field, all))
  const length = rowLength(specs.map(({ name, shape }) => ({ name, shape: shape.map(Math.abs) })))
  if (length <= MOST_VALUES) return specs
  const what = `expected at most ${MOST_VALUES} values a row, got ${length}`
  throw new ApproxiferError('MODEL', `the metadata's ${field}: ${what}`)
}

function isTensor(value: unknown): value is TensorMetadata {
  const { name, datatype, shape } = (value ?? {}) as Partial<TensorMetadata>
  // Some servers write int64 dimensions as strings.
  const isShape = Array.isArray(shape) && shape.every((length) => Number.isInteger(Number(length)))
  return typeof name === 'string' && typeof datatype === 'string' && isShape
}

function specOf(name: string, field: string, all: readonly TensorMetadata[]): TensorSpec {
  const own = all.find((tensor) => tensor.name === name)
  const refused = (what: string, got: unknown) =>
    new ApproxiferError('MODEL', expected(`${field} '${name}'`, what, got))
  if (!own) throw refused(`one of ${all.map((tensor) => tensor.name)}`, 'an unknown name')
  const type = elementTypeOf(own.datatype)
  if (!type) {
    const known = Object.keys(datatypes).filter(elementTypeOf)
    throw refused(`a datatype of ${known} (choose other outputs with the option outputs)`, own.datatype)
  }
  const shape = own.shape.map(Number)
  if (shape.some((length) => length < 1 && length !== -1)) throw refused('lengths above 0, or -1', `[${own.shape}]`)
  return type === 'float32' ? { name, shape } : { name, shape, type }
}
