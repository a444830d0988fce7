/** Which inputs and outputs of a model can be coded: what cannot is refused with a sentence that says what to do; and what a user should know. */

import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import { ApproxiferError } from '../../errors'
import type { TensorSpec } from '../../tensor'
import type { OnnxOptions } from './model'

type Metadata = InferenceSession['inputMetadata'][number]

/** Name and shape per query of every input. @throws ApproxiferError MODEL */
export function inputSpecs(session: InferenceSession, given: OnnxOptions['inputShapes'] = {}): TensorSpec[] {
  const { inputNames, inputMetadata } = session
  const strange = Object.keys(given).find((name) => !inputNames.includes(name))
  if (strange !== undefined) throw refused('inputShapes', `names among ${inputNames}`, strange, 'correct the option')
  if (!inputNames.length) throw refused('the model', 'at least one input', 'none', 'there is nothing to code')
  // What no option can mend comes first, whichever input has it.
  inputMetadata.forEach(checkType)
  inputMetadata.forEach(checkBatch)
  return inputMetadata.map((meta) => {
    const own = Object.hasOwn(given, meta.name) ? given[meta.name] : undefined
    return { name: meta.name, shape: inputShape(meta, own) }
  })
}

/** Whether every input takes any number of queries at once. */
export function takesBatches({ inputMetadata }: InferenceSession): boolean {
  return inputMetadata.every((meta) => meta.isTensor && fixed(meta.shape[0]) === undefined)
}

/** The names of the outputs to use. @throws ApproxiferError MODEL */
export function outputNames(session: InferenceSession, chosen = session.outputNames): readonly string[] {
  for (const name of chosen) {
    const meta = session.outputMetadata.find((output) => output.name === name)
    if (!meta) throw refused('outputs', `names among ${session.outputNames}`, name, 'correct the option')
    if (!meta.isTensor || meta.type !== 'float32') {
      const type = meta.isTensor ? meta.type : 'no tensor'
      throw refused(`output '${name}'`, 'float32', type, 'name the float32 outputs to use in the option outputs')
    }
    if (name === '__proto__') {
      const todo = 'rename it, or name the other outputs to use in the option outputs'
      throw refused('output', 'a name that onnxruntime can answer under', name, todo)
    }
  }
  return chosen
}

/** Name and shape per query of an output. @param zeros, some  answers to two queries. @throws ApproxiferError MODEL */
export function outputSpec(name: string, zeros: OrtTensor, some: OrtTensor): TensorSpec {
  const field = `output '${name}'`
  if (String(zeros.dims) !== String(some.dims)) {
    const todo = 'its shape depends on the data; such an output cannot be coded, exclude it with the option outputs'
    throw refused(field, `one shape, [${zeros.dims}]`, `[${some.dims}]`, todo)
  }
  if (zeros.dims[0] !== 1) {
    const todo = 'export the model with the batch as the first dimension of its outputs'
    throw refused(field, 'a first dimension equal to the batch, 1', `[${zeros.dims}]`, todo)
  }
  if (zeros.dims.includes(0)) {
    throw refused(field, 'dimensions above 0', `[${zeros.dims}]`, 'exclude this empty output with the option outputs')
  }
  return { name, shape: zeros.dims.slice(1) }
}

function refused(field: string, what: string, got: string, todo: string): ApproxiferError {
  return new ApproxiferError('MODEL', `${field}: expected ${what}, got ${got}; ${todo}`)
}

/** A dimension without a name (-1 in the file): this in onnxruntime-web, '' in onnxruntime-node. */
const UNNAMED = 0xffffffff

function fixed(dim: number | string): number | undefined {
  return typeof dim === 'number' && dim >= 0 && dim < UNNAMED ? dim : undefined
}

function shown(dims: readonly (number | string)[]): string {
  return `[${dims.map((dim) => fixed(dim) ?? (typeof dim === 'string' && dim !== '' ? dim : '?'))}]`
}

function checkType(meta: Metadata): asserts meta is Metadata & { isTensor: true } {
  if (meta.isTensor && meta.type === 'float32') return
  const todo =
    'queries are mixed as real numbers; export the model with float32 inputs, settings such as a sample rate as constants'
  throw refused(`input '${meta.name}'`, 'float32', meta.isTensor ? meta.type : 'no tensor', todo)
}

function checkBatch(meta: Metadata): void {
  const { name, shape } = meta as Metadata & { isTensor: true }
  if (shape.length && (fixed(shape[0]) ?? 1) === 1) return
  const todo =
    'export the model with a dynamic batch dimension in front; a state handed from call to call cannot be coded'
  throw refused(`input '${name}'`, 'a first dimension that is dynamic or 1', shown(shape), todo)
}

function inputShape(meta: Metadata, given: readonly number[] | undefined): readonly number[] {
  const { name, shape } = meta as Metadata & { isTensor: true }
  const rest = shape.slice(1)
  if (rest.includes(0)) {
    throw refused(`input '${name}'`, 'dimensions above 0', shown(shape), 'export the model without this empty input')
  }
  const own = given ?? rest.map(fixed)
  const fits = own.length === rest.length && rest.every((dim, i) => (fixed(dim) ?? own[i]) === own[i])
  if (fits && own.every((n) => n !== undefined)) return own
  // In a literal, only a computed __proto__ is a property.
  const key = name === '__proto__' ? "['__proto__']" : JSON.stringify(name)
  const todo = `pass inputShapes: { ${key}: [...] } without the batch dimension`
  if (given) throw refused(`inputShapes.${name}`, `a shape that fits ${shown(rest)}`, shown(given), todo)
  throw refused(`input '${name}'`, 'fixed dimensions after the first', shown(shape), todo)
}

/** About one output. @param zeros, some  the answers to a query of zeros and to one of values from 0 to 1 */
export function warningsAbout(name: string, zeros: OrtTensor, some: OrtTensor): string[] {
  const values = some.data as Float32Array
  const spoilt = [notFinite(name, values, 'values from 0 to 1') ?? notFinite(name, zeros.data as Float32Array, 'zeros')]
  const distribution = probabilities(name, zeros.data as Float32Array, values, some.dims)
  return [...spoilt, distribution].filter((text) => text !== undefined)
}

function notFinite(name: string, values: Float32Array, query: string): string | undefined {
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return undefined
  return `output '${name}' is ${values[at]} at ${at} for a query of ${query}: an answer with NaN or Inf cannot be coded and counts as a worker's fault; clamp it in the model (Clip), or leave the output out (option outputs)`
}

function probabilities(name: string, zeros: Float32Array, some: Float32Array, dims: readonly number[]) {
  if (some.every((value) => value === some[0])) return undefined // a constant tells nothing
  const found = axes(dims).find(({ length, step }) => sumToOne(zeros, length, step) && sumToOne(some, length, step))
  if (!found) return undefined
  return `output '${name}' looks like probabilities, summing to 1 along ${found.label} of [${dims}]: interpolated answers decode worse than logits; export the model without its last softmax`
}

/** Every axis longer than 1 from the last to the first, then all of them as one; `step` lies between neighbours. */
function axes(dims: readonly number[]): { label: string; length: number; step: number }[] {
  let step = 1
  const each = dims.map((length, i) => ({ label: `axis ${i}`, length, step: 0 }))
  for (const axis of each.reverse()) {
    axis.step = step
    step *= axis.length
  }
  return [...each.filter(({ length }) => length > 1), { label: 'all axes', length: step, step: 1 }]
}

/** Whether values lie in 0..1 and every slice along the axis sums to 1. */
function sumToOne(values: Float32Array, length: number, step: number): boolean {
  for (let block = 0; block < values.length; block += length * step) {
    for (let first = block; first < block + step; first++) {
      let sum = 0
      for (let i = 0; i < length; i++) {
        const value = values[first + i * step]
        if (!(value >= 0 && value <= 1)) return false
        sum += value
      }
      if (Math.abs(sum - 1) > 1e-3) return false
    }
  }
  return true
}
