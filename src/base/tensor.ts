/** Tensors: inputs and outputs of a model, and callers' queries. */

import { checkNames, expected, outOfRange, wrongType } from './check'
import { copyOf, type ElementType, heldIn, isHeldAs, isReal, type TensorData } from './element'

/** Row-major values of one query or answer, without a batch dimension. */
export interface Tensor<Data extends TensorData = Float32Array> {
  data: Data
  shape: readonly number[]
  /** Element type; default float32. */
  type?: ElementType
}

export type AnyTensor = Tensor<TensorData>

/** A tensor for each input or output of a model, in the order of its signature. */
export type TensorList = readonly AnyTensor[]

/** Tensors by name. Values of other types than float32 are narrowed by `tensor.type`, as in `tensor as Tensor<BigInt64Array>`. */
export type Tensors = Record<string, Tensor>

/** Name, type and shape, without the batch dimension, of one input or output of a model. */
export interface TensorSpec {
  name: string
  /** A length of -1 may vary between queries. */
  shape: readonly number[]
  /** Default float32. */
  type?: ElementType
}

/** Inputs and outputs of a model for one query. */
export interface Signature {
  inputs: readonly TensorSpec[]
  outputs: readonly TensorSpec[]
  /**
   * false: the model has no batch dimension, and shapes are complete. Default: all inputs and outputs have a batch dimension in front,
   * which the shapes here leave out.
   */
  batched?: boolean
}

/**
 * One input of a query: row-major values in the typed array of their type, or an array of strings; alone or with a shape, which
 * onnxruntime's tensors call `dims`. The shape is the model's without the batch dimension, or with one of 1.
 */
export type QueryTensor =
  | TensorData
  | {
      readonly data: TensorData
      readonly shape?: readonly number[]
      readonly dims?: readonly number[]
      readonly type?: string
    }

/** A query: its tensors by name or, for a model with one input, that tensor alone. */
export type QueryTensors = QueryTensor | Readonly<Record<string, QueryTensor>>

/** Larger values would overflow when queries are mixed, and spoil the others of the group. */
const MOST = 1e36

/** Number of values; NaN if a length may vary. */
export function size({ shape }: Pick<TensorSpec, 'shape'>): number {
  let product = 1
  for (const n of shape) product *= n < 0 ? Number.NaN : n
  return product
}

export function rowLength(specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, spec) => sum + size(spec), 0)
}

/** The shape of a vector: that of its only tensor, or its length if it joins several. */
export function rowShape(specs: readonly TensorSpec[]): readonly number[] {
  return specs.length === 1 ? specs[0].shape : [rowLength(specs)]
}

/** Whether a length varies between queries. */
export function isOpen({ shape }: Pick<TensorSpec, 'shape'>): boolean {
  return shape.some((n) => n < 0)
}

/** Whether tensors form a float32 vector that can be mixed: all are float32, of fixed shapes. */
export function isVector(specs: readonly TensorSpec[]): boolean {
  return specs.every((spec) => (spec.type ?? 'float32') === 'float32' && !isOpen(spec))
}

/** Whether tensors can be read as a vector: all are float16, float32 or float64, of fixed shapes. */
export function isReadAsVector(specs: readonly TensorSpec[]): boolean {
  return specs.every((spec) => isReal(spec.type) && !isOpen(spec))
}

/**
 * A query's tensors in the order of the model's inputs.
 *
 * @param isMixed  whether it will be mixed with others, which NaN and Inf would spoil
 * @param copy  copies the values
 * @throws TypeError or RangeError naming the field, what was expected and what was given, for a missing or unknown name, a wrong type or
 * shape; if the query is mixed, also for NaN and Inf
 */
export function toTensors(
  query: QueryTensors,
  specs: readonly TensorSpec[],
  isMixed = isVector(specs),
  copy: (data: TensorData) => TensorData = copyOf,
): TensorList {
  const named = byName(query, specs)
  return specs.map((spec) => {
    const own: unknown = Object.hasOwn(named, spec.name) ? named[spec.name] : undefined
    const { data, shape } = checkTensor(own, spec, `query.${spec.name}`, isMixed)
    return tensorOf(spec, copy(data), shape)
  })
}

/** A spec without a type if that is float32. */
export function typed(name: string, shape: readonly number[], type: ElementType = 'float32'): TensorSpec {
  return type === 'float32' ? { name, shape } : { name, shape, type }
}

export function tensorOf({ type, shape: fixed }: TensorSpec, data: TensorData, shape = fixed): AnyTensor {
  return type === undefined || type === 'float32' ? { data, shape } : { data, shape, type }
}

/** Tensors by name, each with a buffer and a shape of its own, owned by the caller. */
export function toNamed(tensors: TensorList, specs: readonly TensorSpec[]): Tensors {
  const own = ({ data, shape }: AnyTensor, spec: TensorSpec) => tensorOf(spec, copyOf(data), [...shape]) as Tensor
  if (specs.length === 1) return { [specs[0].name]: own(tensors[0], specs[0]) } // takes half as long
  // Assignment would make a tensor named __proto__ the prototype.
  return Object.fromEntries(specs.map((spec, i) => [spec.name, own(tensors[i], spec)]))
}

function byName(query: QueryTensors, specs: readonly TensorSpec[]): Record<string, unknown> {
  if (typeof query !== 'object' || query === null) throw wrongType(expected('query', 'tensors', query))
  const isText = specs.some(({ type }) => type === 'string')
  if (Array.isArray(query) && !isText)
    throw wrongType(expected('query', 'a Float32Array, a tensor, or tensors by name', query))
  const isData = (value: unknown) => ArrayBuffer.isView(value) || (isText && Array.isArray(value))
  const single = specs.length === 1 || !specs.some(({ name }) => name === 'data')
  if (isData(query) || (single && isData((query as { data?: unknown }).data))) {
    if (specs.length === 1) return { [specs[0].name]: query }
    throw wrongType(`query: expected one tensor for each of ${namesOf(specs)}, got a single one`)
  }
  const unknown = Object.keys(query).find((name) => !specs.some((spec) => spec.name === name))
  if (unknown !== undefined) throw wrongType(`query: expected inputs ${namesOf(specs)}, got '${unknown}'`)
  return query as Record<string, unknown>
}

function checkTensor(
  value: unknown,
  spec: TensorSpec,
  field: string,
  isMixed: boolean,
): { data: TensorData; shape: readonly number[] } {
  const { type = 'float32' } = spec
  const isAlone = ArrayBuffer.isView(value) || Array.isArray(value)
  const data: unknown = isAlone ? value : (value as { data?: unknown } | undefined)?.data
  if (!isHeldAs(type, data)) throw wrongType(expected(field, heldIn(type), data))
  const shape = isAlone ? inferred(spec, data.length) : checkShape(value as AnyTensor, spec, field, data.length)
  if (!shape) {
    const todo = 'say which in { data, shape }'
    throw wrongType(`${field}: expected values with their shape, [${shownShape(spec)}], got none; ${todo}`)
  }
  if (data.length !== size({ shape })) {
    throw outOfRange(`${field}: expected ${size({ shape })} values (shape [${shownShape(spec)}]), got ${data.length}`)
  }
  const wrong = isMixed && notFinite(data as Float32Array, field, MOST)
  if (wrong) throw outOfRange(wrong)
  return { data, shape }
}

/** The shape of `count` values; undefined if several are possible. Values that do not fit are reported later. */
function inferred({ shape }: TensorSpec, count: number): readonly number[] | undefined {
  const open = shape.filter((n) => n < 0).length
  if (!open) return shape
  if (open > 1) return undefined
  const length = count / shape.reduce((product, n) => (n < 0 ? product : product * n), 1)
  return shape.map((n) => (n < 0 ? Math.ceil(length) : n))
}

/** A shape that is stated has to be right: values in another order would be answered, wrongly. */
function checkShape(tensor: Exclude<QueryTensor, TensorData>, spec: TensorSpec, field: string, count: number) {
  const isPlain = Object.getPrototypeOf(tensor) === Object.prototype // tensors of other libraries have more properties
  if (isPlain) checkNames(field, tensor, ['data', 'shape', 'dims', 'type'])
  const { type = spec.type ?? 'float32' } = tensor
  if (type !== (spec.type ?? 'float32')) throw wrongType(expected(`${field}.type`, `'${spec.type ?? 'float32'}'`, type))
  const given = [tensor.shape, tensor.dims].filter((shape) => shape !== undefined)
  for (const shape of given) {
    if (isShapeOf(shape, spec, 1)) continue
    const right = [shownShape(spec), ['1', shownShape(spec)].filter(Boolean).join()].join('] or [')
    throw outOfRange(`${field}: expected shape [${right}], got [${shape}]`)
  }
  const [shape] = given
  if (!shape || !isOpen(spec)) return shape ? spec.shape : inferred(spec, count)
  return shape.slice(shape.length - spec.shape.length)
}

/** For errors: a length that may vary is '?'. */
export function shownShape({ shape }: Pick<TensorSpec, 'shape'>): string {
  return String(shape.map((n) => (n < 0 ? '?' : n)))
}

/** Whether a shape is the model's. @param batch  1: a batch dimension of 1 may precede it */
export function isShapeOf(shape: readonly number[], spec: Pick<TensorSpec, 'shape'>, batch: 0 | 1): boolean {
  const extra = shape.length - spec.shape.length
  if (extra !== 0 && !(extra === batch && shape[0] === 1)) return false
  return spec.shape.every((n, axis) => (n < 0 ? shape[extra + axis] >= 0 : shape[extra + axis] === n))
}

export function allFinite(row: Float32Array): boolean {
  return notFinite(row, '') === undefined
}

/** Describes the first value that is NaN, infinite or larger than `most`. */
export function notFinite(data: Float32Array, field: string, most = Number.MAX_VALUE): string | undefined {
  for (let i = nearFirstBeyond(data, most); i < data.length; i++) {
    if (Math.abs(data[i]) <= most) continue
    const what = Number.isFinite(data[i]) ? `values up to ${most} in size` : 'finite values'
    return `${field}: expected ${what}, got ${data[i]} at ${i}`
  }
}

/** An index at most seven before the first value that is NaN or larger in magnitude. Eight values at a time take half the time. */
function nearFirstBeyond(data: Float32Array, most: number): number {
  const { abs } = Math
  let i = 0
  for (; i + 7 < data.length; i += 8) {
    const first =
      abs(data[i]) <= most && abs(data[i + 1]) <= most && abs(data[i + 2]) <= most && abs(data[i + 3]) <= most
    if (!first || !(abs(data[i + 4]) <= most && abs(data[i + 5]) <= most)) return i
    if (!(abs(data[i + 6]) <= most && abs(data[i + 7]) <= most)) return i
  }
  return i
}

export function namesOf(specs: readonly TensorSpec[]): string {
  return specs.map((spec) => `'${spec.name}'`).join(', ')
}
