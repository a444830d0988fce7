/** Finds and resizes the sequence axis of token models, whose input `attention_mask` marks the positions that count. */

import { blank, joinedData, partOf } from '../base/element'
import { type AnyTensor, type Signature, size, type TensorSpec } from '../base/tensor'

const MASK = 'attention_mask'

/** The axes that have the sequence's length, for each input and each output; the batch axis is not counted. */
export interface SequenceAxes {
  readonly inputs: readonly (readonly number[])[]
  readonly outputs: readonly (readonly number[])[]
}

/**
 * The index of `attention_mask` among the inputs, and its axis of dynamic length; undefined if there is no such input, or its
 * length is fixed.
 */
export function maskOf(inputs: readonly TensorSpec[]): { at: number; axis: number } | undefined {
  const at = inputs.findIndex(({ name }) => name === MASK)
  const open = inputs[at]?.shape.flatMap((n, axis) => (n < 0 ? axis : [])) ?? []
  return open.length === 1 ? { at, axis: open[0] } : undefined
}

/** Guesses the sequence axes of a worker that reports none: each dynamic axis at the same position as the mask's. */
export function axesByPlace({ inputs, outputs }: Signature): SequenceAxes | undefined {
  const mask = maskOf(inputs)
  if (!mask) return undefined
  const axes = ({ shape }: TensorSpec) => (shape[mask.axis] < 0 ? [mask.axis] : [])
  return { inputs: inputs.map(axes), outputs: outputs.map(axes) }
}

/** Cuts a tensor to `length` along these axes, or pads it with zeros at the end. */
export function resized({ data, shape, ...rest }: AnyTensor, axes: readonly number[], length: number): AnyTensor {
  let [values, own] = [data, shape]
  for (const axis of axes) {
    const [count, each] = [size({ shape: own.slice(0, axis) }), size({ shape: own.slice(axis + 1) })]
    const [from, to] = [own[axis] * each, length * each]
    const behind = blank(values, Math.max(0, to - from))
    const parts = Array.from({ length: count }, (_, i) => [partOf(values, i * from, Math.min(from, to)), behind])
    if (count) values = joinedData(parts.flat())
    own = own.map((n, i) => (i === axis ? length : n))
  }
  return { ...rest, data: values, shape: own }
}
