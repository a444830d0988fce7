/** Tensors: what a model takes and gives, and the queries of callers. */

import { checkNames, expected } from './check'

/** Row-major f32 values of one query or answer, without a batch dimension. */
export interface Tensor {
  data: Float32Array
  shape: readonly number[]
}

/** A tensor for each input or output of a model, in the order of its signature. */
export type TensorList = readonly Tensor[]

export type Tensors = Record<string, Tensor>

/** Name and shape, without the batch dimension, of one input or output of a model. */
export interface TensorSpec {
  name: string
  shape: readonly number[]
}

/** What a model takes and gives for one query. */
export interface Signature {
  inputs: readonly TensorSpec[]
  outputs: readonly TensorSpec[]
}

/**
 * One input of a query: row-major f32 values, alone or with their shape, which onnxruntime's tensors call `dims`. The shape is the model's
 * without the batch dimension, or with one of 1.
 */
export type QueryTensor =
  | Float32Array
  | { readonly data: Float32Array; readonly shape?: readonly number[]; readonly dims?: readonly number[] }

/** A query: its tensors by name; or, for a model with one input, just that one. */
export type QueryTensors = QueryTensor | Record<string, QueryTensor>

/** Larger values of a query would overflow where queries are mixed, and take the others of the group with them. */
const MOST = 1e36

export function size(spec: Pick<TensorSpec, 'shape'>): number {
  return spec.shape.reduce((product, n) => product * n, 1)
}

export function rowLength(specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, spec) => sum + size(spec), 0)
}

/** The shape of a vector: that of its one tensor, or its length where there are several. */
export function rowShape(specs: readonly TensorSpec[]): readonly number[] {
  return specs.length === 1 ? specs[0].shape : [rowLength(specs)]
}

/**
 * A query's tensors in the order of the model's inputs.
 *
 * @param given  whether the query is the caller's of this function, so that it need not be copied
 * @throws TypeError or RangeError naming field, expected and got, for a missing or unknown name, a wrong
 *   type, a wrong shape, a NaN or an Inf
 */
export function toTensors(query: QueryTensors, specs: readonly TensorSpec[], given = false): TensorList {
  const named = byName(query, specs)
  return specs.map((spec) => {
    const own: unknown = Object.hasOwn(named, spec.name) ? named[spec.name] : undefined
    const data = checkTensor(own, spec, `query.${spec.name}`)
    return { data: given ? data : data.slice(), shape: spec.shape }
  })
}

/** Tensors by their names; each has a buffer and a shape of its own, owned by the caller. */
export function toNamed(tensors: TensorList, specs: readonly TensorSpec[]): Tensors {
  const entries = specs.map(({ name }, i): [string, Tensor] => {
    const { data, shape } = tensors[i]
    return [name, { data: data.slice(), shape: [...shape] }]
  })
  return Object.fromEntries(entries) // by assignment, a tensor named __proto__ would become the prototype
}

function byName(query: QueryTensors, specs: readonly TensorSpec[]): Record<string, unknown> {
  if (typeof query !== 'object' || query === null) throw new TypeError(expected('query', 'tensors', query))
  if (Array.isArray(query))
    throw new TypeError(expected('query', 'a Float32Array, a tensor, or tensors by name', query))
  const single = specs.length === 1 || !specs.some(({ name }) => name === 'data')
  if (ArrayBuffer.isView(query) || (single && ArrayBuffer.isView(query.data))) {
    if (specs.length === 1) return { [specs[0].name]: query }
    throw new TypeError(`query: expected one tensor for each of ${namesOf(specs)}, got a single one`)
  }
  const unknown = Object.keys(query).find((name) => !specs.some((spec) => spec.name === name))
  if (unknown !== undefined) throw new TypeError(`query: expected inputs ${namesOf(specs)}, got '${unknown}'`)
  return query as Record<string, unknown>
}

function checkTensor(value: unknown, spec: TensorSpec, field: string): Float32Array {
  const data: unknown = ArrayBuffer.isView(value) ? value : (value as { data?: unknown } | undefined)?.data
  if (!(data instanceof Float32Array)) throw new TypeError(expected(field, 'a Float32Array', data))
  if (data !== value) checkShape(value as Exclude<QueryTensor, Float32Array>, spec, field)
  if (data.length !== size(spec)) {
    throw new RangeError(`${field}: expected ${size(spec)} values (shape [${spec.shape}]), got ${data.length}`)
  }
  const wrong = notFinite(data, field, MOST)
  if (wrong) throw new RangeError(wrong)
  return data
}

/** What is said of a tensor's shape has to be true: values in another order would be answered, wrongly. */
function checkShape(tensor: Exclude<QueryTensor, Float32Array>, spec: TensorSpec, field: string): void {
  const isPlain = Object.getPrototypeOf(tensor) === Object.prototype // another library's tensors have more
  if (isPlain) checkNames(field, tensor, ['data', 'shape', 'dims'])
  for (const shape of [tensor.shape, tensor.dims]) {
    if (!shape || isShapeOf(shape, spec, 1)) continue
    const right = [spec.shape, [1, ...spec.shape]].join('] or [')
    throw new RangeError(`${field}: expected shape [${right}], got [${shape}]`)
  }
}

/** As the model has it. @param batch  1: perhaps with a batch dimension of 1 */
export function isShapeOf(shape: readonly number[], spec: TensorSpec, batch: 0 | 1): boolean {
  const extra = shape.length - spec.shape.length
  if (extra !== 0 && !(extra === batch && shape[0] === 1)) return false
  return spec.shape.every((n, axis) => shape[extra + axis] === n)
}

/** Whether no value is NaN or infinite. */
export function allFinite(row: Float32Array): boolean {
  return notFinite(row, '') === undefined
}

/** What is wrong with the first value that is NaN, infinite or larger than `most`. */
export function notFinite(data: Float32Array, field: string, most = Number.MAX_VALUE): string | undefined {
  for (let i = nearFirstBeyond(data, most); i < data.length; i++) {
    if (Math.abs(data[i]) <= most) continue
    const what = Number.isFinite(data[i]) ? `values up to ${most} in size` : 'finite values'
    return `${field}: expected ${what}, got ${data[i]} at ${i}`
  }
}

/** At most seven before the first value that is larger in size, or NaN. Eight at a time take half the time of one after the other. */
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
