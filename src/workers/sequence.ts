/** Where the length of a sequence of tokens stands, in models whose input `attention_mask` hides what is behind its end. */

import { blank, joinedData, partOf } from '../base/element'
import { type AnyTensor, type Signature, size, type TensorSpec } from '../base/tensor'

const MASK = 'attention_mask'

/** Of each input and output the axes, without the batch. */
export interface SequenceAxes {
  readonly inputs: readonly (readonly number[])[]
  readonly outputs: readonly (readonly number[])[]
}

/** The mask's place among the inputs, and its axis; undefined where there is none, or its length never differs. */
export function maskOf(inputs: readonly TensorSpec[]): { at: number; axis: number } | undefined {
  const at = inputs.findIndex(({ name }) => name === MASK)
  const open = inputs[at]?.shape.flatMap((n, axis) => (n < 0 ? axis : [])) ?? []
  return open.length === 1 ? { at, axis: open[0] } : undefined
}

/** What may differ where the mask does, for workers that tell no more. */
export function axesByPlace({ inputs, outputs }: Signature): SequenceAxes | undefined {
  const mask = maskOf(inputs)
  if (!mask) return undefined
  const axes = ({ shape }: TensorSpec) => (shape[mask.axis] < 0 ? [mask.axis] : [])
  return { inputs: inputs.map(axes), outputs: outputs.map(axes) }
}

/** A tensor that is so long along these axes: cut, or with zeros behind. */
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
