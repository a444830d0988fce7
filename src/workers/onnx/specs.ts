/** Derives a model's signature from its session's metadata; models that cannot be served are refused with advice. */

import type { InferenceSession } from 'onnxruntime-web'
import { type ElementType, elementTypes } from '../../base/element'
import { ApproxiferError } from '../../base/errors'
import { isOpen, type Signature, type TensorSpec, typed } from '../../base/tensor'
import type { OnnxOptions } from './options'
import type { SampleAnswer } from './samples'

type Metadata = InferenceSession['inputMetadata'][number]
type ValueMetadata = Metadata & { isTensor: true }

/**
 * Name, type and shape per query of each input, and whether all have a leading batch dimension, dynamic or 1. If not, shapes are
 * complete, as of a recurrent model whose state has the batch second, or of a scalar input.
 *
 * @throws ApproxiferError MODEL
 */
export function inputSpecs(
  session: InferenceSession,
  given: OnnxOptions['inputShapes'] = {},
): { inputs: TensorSpec[]; batched: boolean } {
  const { inputNames, inputMetadata } = session
  const strange = Object.keys(given).find((name) => !inputNames.includes(name))
  if (strange !== undefined) throw refused('inputShapes', `names among ${inputNames}`, strange, 'correct the option')
  if (!inputNames.length) throw refused('the model', 'at least one input', 'none', 'there is nothing to ask it')
  inputMetadata.forEach(checkType) // errors that no option can fix are reported first
  const all = inputMetadata as readonly ValueMetadata[]
  const batched = all.every(({ shape }) => shape.length > 0 && (fixed(shape[0]) ?? 1) === 1)
  const inputs = all.map((meta) => {
    const own = Object.hasOwn(given, meta.name) ? given[meta.name] : undefined
    return typed(meta.name, inputShape(meta, batched ? 1 : 0, own), meta.type as ElementType)
  })
  return { inputs, batched }
}

/** Whether every input has a dynamic batch dimension. */
export function takesBatches({ inputMetadata }: InferenceSession): boolean {
  return inputMetadata.every((meta) => meta.isTensor && fixed(meta.shape[0]) === undefined)
}

/** The names of the outputs to use. @throws ApproxiferError MODEL */
export function outputNames(session: InferenceSession, chosen = session.outputNames): readonly string[] {
  for (const name of chosen) {
    const meta = session.outputMetadata.find((output) => output.name === name)
    if (!meta) throw refused('outputs', `names among ${session.outputNames}`, name, 'correct the option')
    if (!isServed(meta)) {
      const type = meta.isTensor ? meta.type : 'no tensor'
      const todo =
        'name the outputs to use in the option outputs; a map of probabilities (ZipMap) is a tensor where scikit-learn’s model is exported with zipmap: False'
      throw refused(`output '${name}'`, `one of ${elementTypes}`, type, todo)
    }
    if (name === '__proto__') {
      const todo = 'rename it, or name the other outputs to use in the option outputs'
      throw refused('output', 'a name that onnxruntime can answer under', name, todo)
    }
  }
  return chosen
}

/**
 * The shapes of a query's inputs and outputs. If an output has no leading batch dimension the model counts as not batched.
 *
 * @param tried  the answers to two sample queries of equal shapes, if there are any
 * @throws ApproxiferError MODEL
 */
export function outputSpecs(
  { outputMetadata }: InferenceSession,
  names: readonly string[],
  { inputs, batched = true }: Signature,
  tried: readonly SampleAnswer[] | undefined,
): Pick<Signature, 'inputs' | 'outputs' | 'batched'> {
  const all = names.map((name, i) => {
    const meta = outputMetadata.find((output) => output.name === name) as ValueMetadata
    const shapes = tried?.map(({ answer }) => answer[i].shape)
    return { name, type: meta.type as ElementType, shape: wholeShape(meta, inputs, shapes) }
  })
  const hasBatch = batched && all.every(({ shape }) => shape[0] === 1 || (!tried && shape[0] === -1))
  const outputs = all.map(({ name, type, shape }) => typed(name, hasBatch ? shape.slice(1) : shape, type))
  if (hasBatch) return { inputs, outputs }
  const whole = batched ? inputs.map(({ shape, ...rest }) => ({ ...rest, shape: [1, ...shape] })) : inputs
  return { inputs: whole, outputs, batched: false }
}

/** An output's shape with the batch. Lengths come from the sample answers, unless they may depend on the query's shape or values. */
function wholeShape(
  { name, shape }: ValueMetadata,
  inputs: readonly TensorSpec[],
  shapes: readonly (readonly number[])[] | undefined,
): readonly number[] {
  const told = shape.map((n) => fixed(n) ?? -1)
  if (!shapes) return told
  const [a, b] = shapes
  if (a.length !== b.length) return told // the rank depends on the query
  if (a.includes(0) && !told.includes(-1)) {
    const todo = 'exclude this empty output with the option outputs'
    throw refused(`output '${name}'`, 'dimensions above 0', `[${a}]`, todo)
  }
  const hasOpen = inputs.some(isOpen)
  return a.map((n, axis) => {
    if (axis === 0 && n === 1 && b[0] === 1) return 1
    return n === b[axis] && (!hasOpen || told[axis] === n) && n > 0 ? n : -1
  })
}

function refused(field: string, what: string, got: string, todo: string): ApproxiferError {
  return new ApproxiferError('MODEL', `${field}: expected ${what}, got ${got}; ${todo}`)
}

/** The value of an unnamed dynamic dimension in onnxruntime-web; in onnxruntime-node it is ''. */
const UNNAMED = 0xffffffff

function fixed(dim: number | string): number | undefined {
  return typeof dim === 'number' && dim >= 0 && dim < UNNAMED ? dim : undefined
}

function shown(dims: readonly (number | string)[]): string {
  return `[${dims.map((dim) => fixed(dim) ?? (typeof dim === 'string' && dim !== '' ? dim : '?'))}]`
}

const isServed = (meta: Metadata) => meta.isTensor && (elementTypes as readonly string[]).includes(meta.type)

function checkType(meta: Metadata): void {
  if (isServed(meta)) return
  const todo = 'export the model with inputs of these types'
  throw refused(`input '${meta.name}'`, `one of ${elementTypes}`, meta.isTensor ? meta.type : 'no tensor', todo)
}

/** @param batch  number of leading batch dimensions */
function inputShape(
  { name, shape }: ValueMetadata,
  batch: 0 | 1,
  given: readonly number[] | undefined,
): readonly number[] {
  const rest = shape.slice(batch)
  if (rest.includes(0)) {
    throw refused(`input '${name}'`, 'dimensions above 0', shown(shape), 'export the model without this empty input')
  }
  const own = given ?? rest.map((dim) => fixed(dim) ?? -1)
  const fits = own.length === rest.length && rest.every((dim, i) => (fixed(dim) ?? own[i]) === own[i])
  if (fits) return own
  // In an object literal only a computed key can be called __proto__.
  const key = name === '__proto__' ? "['__proto__']" : JSON.stringify(name)
  const todo = `pass inputShapes: { ${key}: [...] }${batch ? ' without the batch dimension' : ''}`
  throw refused(`inputShapes.${name}`, `a shape that fits ${shown(rest)}`, shown(own), todo)
}
