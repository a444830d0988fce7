/** Finds the axes of a model's inputs and outputs that have the length of the masked sequence. */

import type { InferenceSession } from 'onnxruntime-web'
import type { Signature, TensorList } from '../../base/tensor'
import { maskOf, resized, type SequenceAxes } from '../sequence'
import { areAlike, type SampleAnswer } from './samples'

/**
 * Input axes are found by the name of the mask's dimension, or its position if it has no name. Output axes are found by running sequences
 * of two lengths, since exporters invent their names.
 *
 * @param sample  its mask hides nothing
 * @param run  runs the model
 * @returns false if the model has no such mask, or padding with zeros changes its answers
 */
export async function sequenceAxes(
  session: InferenceSession,
  { inputs, outputs, batched = true }: Signature,
  { query }: SampleAnswer,
  run: (batch: TensorList) => Promise<TensorList>,
): Promise<SequenceAxes | false> {
  const mask = maskOf(inputs)
  const length = mask && query[mask.at].shape[mask.axis + 1]
  if (!mask || !length || !batched) return false
  const own = inputAxes(session, inputs, mask)
  const sized = (all: TensorList, axes: SequenceAxes['inputs'], to: number) =>
    all.map((tensor, i) =>
      resized(
        tensor,
        axes[i].map((axis) => axis + 1),
        to,
      ),
    )
  try {
    const other = length > 1 ? length / 2 : 2
    const [short, long] = [Math.min(length, other), Math.max(length, other)]
    const second = await run(sized(query, own, short))
    const padded = await run(sized(sized(query, own, short), own, long))
    const follows = (i: number, axis: number) => padded[i].shape[axis] === long && second[i].shape[axis] === short
    const axes = outputs.map(({ shape }, i) => shape.flatMap((_, axis) => (follows(i, axis + 1) ? axis : [])))
    const isHidden = areAlike(outputs, second, sized(padded, axes, short))
    return isHidden && { inputs: own, outputs: axes }
  } catch {
    return false
  }
}

function inputAxes(
  { inputMetadata }: InferenceSession,
  inputs: Signature['inputs'],
  mask: { at: number; axis: number },
): number[][] {
  const names = inputMetadata.map((meta) => (meta.isTensor ? meta.shape.slice(1) : []))
  const name = names[mask.at][mask.axis]
  const isIt = (i: number, axis: number) =>
    typeof name === 'string' && name ? names[i][axis] === name : axis === mask.axis
  return inputs.map(({ shape }, i) => shape.flatMap((n, axis) => (n < 0 && isIt(i, axis) ? axis : [])))
}
