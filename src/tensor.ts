/** Tensors, and the way from named tensors to one flat row and back. */

import { joined } from './arrays'
import { checkNames, expected } from './check'
import { ApproxiferError } from './errors'

/** Row-major f32 values of one answer, without a batch dimension. */
export interface Tensor {
  data: Float32Array
  shape: readonly number[]
}

export type Tensors = Record<string, Tensor>

/** Name and shape, without the batch dimension, of one input or output of a model. */
export interface TensorSpec {
  name: string
  shape: readonly number[]
}

/** What a model takes and gives for one query. A row is its tensors' data, one after the other, in this order. */
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

/** The shape of a row: that of its one tensor, or its length where there are several. */
export function rowShape(specs: readonly TensorSpec[]): readonly number[] {
  return specs.length === 1 ? specs[0].shape : [rowLength(specs)]
}

/**
 * A query's values as one row, which the caller of this function owns.
 *
 * @param given  whether the query is his as well: of a single tensor its own data is the row then, else it is only read
 * @throws TypeError or RangeError naming field, expected and got, for a missing or unknown name, a wrong
 *   type, a wrong shape, a NaN or an Inf
 */
export function toRow(query: QueryTensors, specs: readonly TensorSpec[], given = false): Float32Array {
  const named = byName(query, specs)
  const dataOf = (spec: TensorSpec) => {
    const own: unknown = Object.hasOwn(named, spec.name) ? named[spec.name] : undefined
    return checkTensor(own, spec, `query.${spec.name}`)
  }
  if (specs.length > 1) return joined(specs.map(dataOf), Float32Array)
  return given ? dataOf(specs[0]) : dataOf(specs[0]).slice()
}

/** The named tensors of a row; each has a buffer and a shape of its own, owned by the caller. */
export function fromRow(row: Float32Array, specs: readonly TensorSpec[]): Tensors {
  let at = 0
  const entries = specs.map((spec): [string, Tensor] => {
    const from = at
    at += size(spec)
    return [spec.name, { data: row.slice(from, at), shape: [...spec.shape] }]
  })
  return Object.fromEntries(entries) // by assignment, a tensor named __proto__ would become the prototype
}

/**
 * A worker's answer, if it is one: a Float32Array of the right length, all finite.
 *
 * NaN and Inf are refused also where the model itself answers so: answers are decoded from sums, which a single one
 * of them spoils for the whole group, and nothing tells a model's own from those of a broken worker. A model that
 * means it has to say it with a number, such as -1e9 for a logit of -Inf.
 *
 * @param length  of the row
 * @param specs   the outputs it is made of, so that the message can name the one at fault
 * @throws ApproxiferError PROTOCOL
 */
export function checkAnswer(answer: unknown, length: number, specs: readonly TensorSpec[] = []): Float32Array {
  const wrong = !(answer instanceof Float32Array)
    ? expected('answer', 'Float32Array', answer)
    : answer.length !== length
      ? `answer: expected ${length} values, got ${answer.length}`
      : spoilt(answer, specs)
  if (wrong) throw new ApproxiferError('PROTOCOL', wrong)
  return answer as Float32Array
}

/** Makes answers of what workers give, for a pool: copies, since a worker may use its buffer again. They throw PROTOCOL. */
export function acceptAnswers({ outputs }: Pick<Signature, 'outputs'>): (answer: unknown) => Float32Array {
  const length = rowLength(outputs)
  return (answer) => checkAnswer(answer, length, outputs).slice()
}

function spoilt(answer: Float32Array, specs: readonly TensorSpec[]): string | undefined {
  const where = notFinite(answer, 'answer')
  if (!where) return undefined
  let at = 0
  for (const spec of specs) {
    const own = notFinite(answer.subarray(at, at + size(spec)), `output '${spec.name}'`)
    const todo = 'if it is the model that answers so, clamp it there (Clip), or leave this output out (option outputs)'
    if (own) return `${own}, which cannot be coded; ${todo}`
    at += size(spec)
  }
  return where
}

function byName(query: QueryTensors, specs: readonly TensorSpec[]): Record<string, unknown> {
  if (typeof query !== 'object' || query === null) throw new TypeError(expected('query', 'tensors', query))
  if (Array.isArray(query))
    throw new TypeError(expected('query', 'a Float32Array, a tensor, or tensors by name', query))
  const single = specs.length === 1 || !specs.some(({ name }) => name === 'data')
  if (ArrayBuffer.isView(query) || (single && ArrayBuffer.isView(query.data))) {
    if (specs.length === 1) return { [specs[0].name]: query }
    throw new TypeError(`query: expected one tensor for each of ${names(specs)}, got a single one`)
  }
  const unknown = Object.keys(query).find((name) => !specs.some((spec) => spec.name === name))
  if (unknown !== undefined) throw new TypeError(`query: expected inputs ${names(specs)}, got '${unknown}'`)
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
    if (!shape || isShapeOf(shape, spec)) continue
    const right = [spec.shape, [1, ...spec.shape]].join('] or [')
    throw new RangeError(`${field}: expected shape [${right}], got [${shape}]`)
  }
}

/** As the model has it, with or without a batch dimension of 1. */
function isShapeOf(shape: readonly number[], spec: TensorSpec): boolean {
  const extra = shape.length - spec.shape.length
  if (extra !== 0 && !(extra === 1 && shape[0] === 1)) return false
  return spec.shape.every((n, axis) => shape[extra + axis] === n)
}

/** Whether no value is NaN or infinite. */
export function allFinite(row: Float32Array): boolean {
  return notFinite(row, '') === undefined
}

function notFinite(data: Float32Array, field: string, most = Number.MAX_VALUE): string | undefined {
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

function names(specs: readonly TensorSpec[]): string {
  return specs.map((spec) => `'${spec.name}'`).join(', ')
}
