/** What is sent to a worker and what comes back, and the vector of a query or an answer, for models that have vectors. */

import { expected } from './check'
import { checksum } from './checksum'
import type { ElementType, TensorData } from './element'
import { copyOf, filled, isHeldAs, isNumeric, isReal, isShared, joinedData, realsOf } from './element'
import { ApproxiferError, shown } from './errors'
import type { AnyTensor, Signature, TensorList, TensorSpec } from './tensor'
import { isOpen, isReadAsVector, isShapeOf, isVector, namesOf, notFinite, shownShape, size, tensorOf } from './tensor'

/** A query's inputs or an answer's outputs, in the order of the signature. Read-only. */
export class Payload {
  readonly tensors: TensorList
  /** Payloads with equal keys may share a run of the model; '' if all shapes are fixed. */
  readonly shapeKey: string
  readonly #vectorOf: (tensors: TensorList) => Float32Array
  #vector: Float32Array | undefined
  #sizes: number[] | undefined
  #digest: string | undefined

  constructor(tensors: TensorList, shapeKey = '', vector = vectorOf) {
    this.tensors = tensors
    this.shapeKey = shapeKey
    this.#vectorOf = vector
  }

  /** The payload of a vector that was mixed or decoded. */
  static of(vector: Float32Array, specs: readonly TensorSpec[]): Payload {
    return new Payload(tensorsOf(vector, specs))
  }

  /** The payload itself, or a copy if its memory is reused once its query is done. For callers that keep it longer. */
  kept(): Payload {
    return this.tensors.some(({ data }) => isShared(data)) ? this.copy() : this
  }

  copy(): Payload {
    const tensors = this.tensors.map((tensor) => ({ ...tensor, data: copyOf(tensor.data) }))
    return new Payload(tensors, this.shapeKey, this.#vectorOf)
  }

  /** The number of values, on which a worker's time may depend. */
  get size(): number {
    let size = 0
    for (const { data } of this.tensors) size += data.length
    return size
  }

  /** The size (see `sizeOf`) of an output. Cached, since answers are compared several times. */
  sizeIn(output: number, type: ElementType): number {
    this.#sizes ??= []
    this.#sizes[output] ??= sizeOf(type, this.tensors[output].data)
    return this.#sizes[output]
  }

  /** A digest of values and shapes: equal for equal payloads, and almost never for different ones. Cached. */
  get digest(): string {
    this.#digest ??= digestOf(this.tensors)
    return this.#digest
  }

  /**
   * The values that are mixed, decoded, remembered and compared; always the same array. All values if all tensors are real numbers of fixed
   * shapes; else the user's function computes it (`memory.features`).
   */
  get vector(): Float32Array {
    this.#vector ??= this.#vectorOf(this.tensors)
    return this.#vector
  }
}

function digestOf(tensors: TensorList): string {
  let digest = ''
  for (const { data, shape } of tensors) {
    const bytes = isNumeric(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new TextEncoder().encode(JSON.stringify(data))
    digest += `${checksum(bytes)} ${shape} `
  }
  return digest
}

/** Equal for tensors of equal shapes. */
export function shapeKeyOf(tensors: readonly Pick<AnyTensor, 'shape'>[]): string {
  return tensors.map(({ shape }) => shape.join()).join(';')
}

/** Concatenates all values of real tensors. A single float32 tensor gives its own data; half and double floats are copied and rounded. */
export function vectorOf(tensors: TensorList): Float32Array {
  if (tensors.length === 1) return float32Of(tensors[0])
  return joinedData(tensors.map(float32Of)) as Float32Array
}

function float32Of({ type = 'float32', data }: AnyTensor): Float32Array {
  return type === 'float32' ? (data as Float32Array) : Float32Array.from(realsOf(type, data))
}

/** Splits a vector into tensors; views of it for float32. */
export function tensorsOf(vector: Float32Array, specs: readonly TensorSpec[]): TensorList {
  let at = 0
  return specs.map((spec) => {
    const values = specs.length === 1 ? vector : vector.subarray(at, at + size(spec))
    at += values.length
    return tensorOf(spec, asReals(values, spec.type))
  })
}

function asReals(values: Float32Array, type: TensorSpec['type'] = 'float32'): TensorData {
  return type === 'float32' ? values : filled(type as 'float16' | 'float64', values.length, (i) => values[i])
}

/**
 * Makes payloads of workers' answers, which must have a tensor of the right type and shape for each output. Values are copied, since a
 * worker may reuse its buffers.
 *
 * If answers are mixed, NaN and Inf are refused, even if the model itself gives them: answers are decoded from sums, which a single such
 * value spoils for the whole group, and nothing distinguishes the model's own from those of a broken worker. A model should say Inf with a
 * number, such as -1e9 for a logit of -Inf.
 *
 * @returns a function that throws ApproxiferError PROTOCOL
 */
export function acceptAnswers({ outputs }: Signature, isMixed: boolean): (answer: unknown) => Payload {
  const areOpen = outputs.map(isOpen)
  return (answer) => {
    const flaw = flawOf(answer, outputs, isMixed)
    if (flaw) throw flaw
    const tensors = answer as TensorList
    return new Payload(
      tensors.map(({ data, shape }, i) => tensorOf(outputs[i], copyOf(data), areOpen[i] ? shape : undefined)),
    )
  }
}

/** Whether queries and answers are float32 vectors, which can be mixed and decoded. */
export function hasVectors({ inputs, outputs, batched = true }: Signature): boolean {
  return batched && isVector(inputs) && isVector(outputs)
}

/** Whether queries and answers can be read as vectors, which suffices to remember them. */
export function areReadAsVectors({ inputs, outputs, batched = true }: Signature): boolean {
  return batched && isReadAsVector(inputs) && isReadAsVector(outputs)
}

/** The error PROTOCOL if a worker's answer does not fit these outputs. @param mustBeFinite  whether NaN and Inf are refused */
export function flawOf(
  answer: unknown,
  outputs: readonly TensorSpec[],
  mustBeFinite: boolean,
): ApproxiferError | undefined {
  if (!Array.isArray(answer) || answer.length !== outputs.length) {
    const got = Array.isArray(answer) ? `${answer.length} of them` : answer
    return new ApproxiferError('PROTOCOL', expected('answer', `tensors, one for each of ${namesOf(outputs)}`, got))
  }
  for (let i = 0; i < outputs.length; i++) {
    const flaw = flawOfTensor(answer[i], outputs[i], mustBeFinite)
    if (flaw) return new ApproxiferError('PROTOCOL', flaw)
  }
}

function flawOfTensor(tensor: unknown, spec: TensorSpec, mustBeFinite: boolean): string | undefined {
  const { type = 'float32' } = spec
  const { data, shape } = (tensor ?? {}) as Partial<AnyTensor>
  const field = `output '${spec.name}'`
  const isShaped = shape === spec.shape || (Array.isArray(shape) && isShapeOf(shape, spec, 0))
  const isHeld = isHeldAs(type, data)
  if (!isHeld || !isShaped || data.length !== size({ shape: shape as readonly number[] })) {
    const what = isOpen(spec) ? `${type} values` : `${size(spec)} ${type} values`
    const got = isHeld ? `${data.length}` : shown(data)
    return `${field}: expected ${what}, shape [${shownShape(spec)}], got ${got}, shape [${shape}]`
  }
  const infinite = mustBeFinite && type === 'float32' && notFinite(data as Float32Array, field)
  const todo = 'if it is the model that answers so, clamp it there (Clip), or leave this output out (option outputs)'
  return infinite ? `${infinite}, which cannot be coded or remembered; ${todo}` : undefined
}

/**
 * A value of at most -MASK, and this many times larger in magnitude than all others, is a mask: -1e4, -1e9 or the least float for a logit
 * of -Inf.
 */
const MASK = 1000

/** Whether a value is a mask. @param size  of the other values */
export function standsForNone(value: number, size: number): boolean {
  return value <= -MASK && -value > MASK * size
}

/** The size of an output: the root mean square of its finite values without masks; 0 if the type is no real number. */
export function sizeOf(type: ElementType, data: TensorData): number {
  if (!isReal(type)) return 0
  const values = realsOf(type, data)
  let [least, most] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue
    least = Math.min(least, values[i])
    most = Math.max(most, values[i])
  }
  // Masks may vary: all values near the least one are left out, such as -1e9 and -1e9 + 3.
  const others = least <= -MASK ? sizeBetween(values, least / 10, most) : 0
  return others && standsForNone(least, others) ? others : sizeBetween(values, least, most)
}

/** Root mean square of the values within the bounds. It is computed in units of the largest, whose square may overflow. */
function sizeBetween(values: ArrayLike<number>, least: number, most: number): number {
  const unit = Math.max(most, -least)
  let [sum, count] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    if (!(values[i] >= least && values[i] <= most)) continue
    sum += (values[i] / unit) ** 2
    count++
  }
  return count && unit ? unit * Math.sqrt(sum / count) : 0
}

/** The size of each output. */
export function sizesOf(answer: TensorList, outputs: readonly Pick<TensorSpec, 'type'>[]): number[] {
  return outputs.map(({ type = 'float32' }, i) => sizeOf(type, answer[i].data))
}
