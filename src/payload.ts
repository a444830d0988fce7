/** What goes to a worker and what comes back; and the vector of a query or an answer, where the model has them. */

import { joined } from './arrays'
import { expected } from './check'
import { ApproxiferError } from './errors'
import {
  isShapeOf,
  namesOf,
  notFinite,
  type Signature,
  size,
  type Tensor,
  type TensorList,
  type TensorSpec,
} from './tensor'

/** A query's inputs or an answer's outputs, in the order of the signature. Nobody writes to them. */
export class Payload {
  readonly tensors: TensorList
  #vector: Float32Array | undefined

  constructor(tensors: TensorList) {
    this.tensors = tensors
  }

  /** Of a vector that was mixed or decoded. */
  static of(vector: Float32Array, specs: readonly TensorSpec[]): Payload {
    return new Payload(tensorsOf(vector, specs))
  }

  /** How many values there are: what a worker takes may depend on that. */
  get size(): number {
    let size = 0
    for (const { data } of this.tensors) size += data.length
    return size
  }

  /**
   * All values, as they are mixed, decoded, remembered and compared; always the same array. Only a model whose tensors are all f32 of fixed
   * shapes has vectors.
   */
  get vector(): Float32Array {
    this.#vector ??= vectorOf(this.tensors)
    return this.#vector
  }
}

/** All values, one tensor after the other; of a single one its own data. */
export function vectorOf(tensors: TensorList): Float32Array {
  if (tensors.length === 1) return tensors[0].data
  return joined(tensors.map(({ data }) => data), Float32Array) // biome-ignore format: one line
}

/** The tensors of a vector; views. */
export function tensorsOf(vector: Float32Array, specs: readonly TensorSpec[]): TensorList {
  if (specs.length === 1) return [{ data: vector, shape: specs[0].shape }]
  let at = 0
  return specs.map((spec) => {
    const from = at
    at += size(spec)
    return { data: vector.subarray(from, at), shape: spec.shape }
  })
}

/**
 * Makes payloads of what workers answer, which has to be a tensor for each output, of its shape, all finite: copies, since a worker may use
 * its buffers again.
 *
 * NaN and Inf are refused also where the model itself answers so: answers are decoded from sums, which a single one
 * of them spoils for the whole group, and nothing tells a model's own from those of a broken worker. A model that
 * means it has to say it with a number, such as -1e9 for a logit of -Inf.
 *
 * @returns a function that throws ApproxiferError PROTOCOL
 */
export function acceptAnswers({ outputs }: Pick<Signature, 'outputs'>): (answer: unknown) => Payload {
  return (answer) => {
    const flaw = flawOf(answer, outputs)
    if (flaw) throw flaw
    return new Payload((answer as TensorList).map(({ data }, i) => ({ data: data.slice(), shape: outputs[i].shape })))
  }
}

/** PROTOCOL, where what a worker answered is no such answer. */
export function flawOf(answer: unknown, outputs: readonly TensorSpec[]): ApproxiferError | undefined {
  if (!Array.isArray(answer) || answer.length !== outputs.length) {
    const got = Array.isArray(answer) ? `${answer.length} of them` : answer
    return new ApproxiferError('PROTOCOL', expected('answer', `tensors, one for each of ${namesOf(outputs)}`, got))
  }
  for (let i = 0; i < outputs.length; i++) {
    const flaw = flawOfTensor(answer[i], outputs[i])
    if (flaw) return new ApproxiferError('PROTOCOL', flaw)
  }
}

function flawOfTensor(tensor: unknown, spec: TensorSpec): string | undefined {
  const { data, shape } = (tensor ?? {}) as Partial<Tensor>
  const field = `output '${spec.name}'`
  const isShaped = shape === spec.shape || (Array.isArray(shape) && isShapeOf(shape, spec, 0))
  if (!(data instanceof Float32Array) || data.length !== size(spec) || !isShaped) {
    const got = data instanceof Float32Array ? `${data.length}` : 'none'
    return `${field}: expected ${size(spec)} float32 values, shape [${spec.shape}], got ${got}, shape [${shape}]`
  }
  const infinite = notFinite(data, field)
  const todo = 'if it is the model that answers so, clamp it there (Clip), or leave this output out (option outputs)'
  return infinite && `${infinite}, which cannot be coded; ${todo}`
}
