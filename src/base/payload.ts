/** What goes to a worker and what comes back; and the vector of a query or an answer, where the model has them. */

import { expected } from './check'
import { checksum } from './checksum'
import type { ElementType, TensorData } from './element'
import { copyOf, filled, isHeldAs, isNumeric, isReal, isShared, joinedData, realsOf } from './element'
import { ApproxiferError, shown } from './errors'
import type { AnyTensor, Signature, TensorList, TensorSpec } from './tensor'
import { isOpen, isReadAsVector, isShapeOf, isVector, namesOf, notFinite, shownShape, size, tensorOf } from './tensor'

/** A query's inputs or an answer's outputs, in the order of the signature. Nobody writes to them. */
export class Payload {
  readonly tensors: TensorList
  /** Payloads of equal keys may go through a model in one run: '' where all shapes are fixed. */
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

  /** Of a vector that was mixed or decoded. */
  static of(vector: Float32Array, specs: readonly TensorSpec[]): Payload {
    return new Payload(tensorsOf(vector, specs))
  }

  /** The payload itself; a copy where its memory is reused once its query is done. For callers that keep it longer. */
  kept(): Payload {
    return this.tensors.some(({ data }) => isShared(data)) ? this.copy() : this
  }

  copy(): Payload {
    const tensors = this.tensors.map((tensor) => ({ ...tensor, data: copyOf(tensor.data) }))
    return new Payload(tensors, this.shapeKey, this.#vectorOf)
  }

  /** How many values there are: what a worker takes may depend on that. */
  get size(): number {
    let size = 0
    for (const { data } of this.tensors) size += data.length
    return size
  }

  /** How large its values of an output are, found once: answers are compared several times. */
  sizeIn(output: number, type: ElementType): number {
    this.#sizes ??= []
    this.#sizes[output] ??= sizeOf(type, this.tensors[output].data)
    return this.#sizes[output]
  }

  /** Of its values and shapes: equal for equal payloads, and hardly ever for others. Found once. */
  get digest(): string {
    this.#digest ??= digestOf(this.tensors)
    return this.#digest
  }

  /**
   * What is mixed, decoded, remembered and compared; always the same array. All values, where all tensors are real numbers of fixed shapes;
   * of other queries what the user makes of them (`memory.features`).
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

/** All values of real tensors, one tensor after the other; of a single one of float32 its own data. Half and double floats are copied, and rounded. */
export function vectorOf(tensors: TensorList): Float32Array {
  if (tensors.length === 1) return float32Of(tensors[0])
  return joinedData(tensors.map(float32Of)) as Float32Array
}

function float32Of({ type = 'float32', data }: AnyTensor): Float32Array {
  return type === 'float32' ? (data as Float32Array) : Float32Array.from(realsOf(type, data))
}

/** The tensors of a vector; views of it where they are float32. */
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
 * Makes payloads of what workers answer, which has to be a tensor for each output, of its type and shape: copies, since a worker may use its
 * buffers again.
 *
 * Where answers are mixed NaN and Inf are refused, also where the model itself answers so: answers are decoded from sums, which
 * a single one of them spoils for the whole group, and nothing tells a model's own from those of a broken worker. A model that means it has
 * to say it with a number, such as -1e9 for a logit of -Inf.
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

/** Whether its queries and answers are vectors as they are, which can be mixed and decoded. */
export function hasVectors({ inputs, outputs, batched = true }: Signature): boolean {
  return batched && isVector(inputs) && isVector(outputs)
}

/** Whether they can be read as vectors, which is enough to remember them. */
export function areReadAsVectors({ inputs, outputs, batched = true }: Signature): boolean {
  return batched && isReadAsVector(inputs) && isReadAsVector(outputs)
}

/** PROTOCOL, where a worker's answer does not fit these outputs. @param mustBeFinite  whether NaN and Inf are refused */
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

/** A value at or below its negative, and this many times larger than all others, stands for none: -1e4, -1e9 or the least float for a logit of -Inf. */
const MASK = 1000

/** @param size  of the other values */
export function standsForNone(value: number, size: number): boolean {
  return value <= -MASK && -value > MASK * size
}

/** The root mean square of an output's finite values, but for those that stand for none; 0 of what is no real number. */
export function sizeOf(type: ElementType, data: TensorData): number {
  if (!isReal(type)) return 0
  const values = realsOf(type, data)
  let [least, most] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue
    least = Math.min(least, values[i])
    most = Math.max(most, values[i])
  }
  // All that are of the size of the least one are left out: -1e9 and -1e9 + 3.
  const others = least <= -MASK ? sizeBetween(values, least / 10, most) : 0
  return others && standsForNone(least, others) ? others : sizeBetween(values, least, most)
}

/** Of the values in between; in units of the largest, whose square may be beyond all numbers. */
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

/** Of each output. */
export function sizesOf(answer: TensorList, outputs: readonly Pick<TensorSpec, 'type'>[]): number[] {
  return outputs.map(({ type = 'float32' }, i) => sizeOf(type, answer[i].data))
}
