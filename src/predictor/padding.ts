/**
 * Lets token sequences of different lengths share a run: each is padded with zeros, which the model's `attention_mask` hides, to the longest one of
 * its run, which is less than twice as long. Answers are cut back. A query that runs alone is not changed.
 */

import { flawOf, shapeKeyOf } from '../base/payload'
import { shownShape, type TensorList, type TensorSpec } from '../base/tensor'
import type { Together } from '../pool/batch'
import { axesByPlace, maskOf, resized, type SequenceAxes } from '../workers/sequence'
import type { ModelWorker } from '../workers/worker'

export class Padding {
  /** @throws RangeError for a model without such a mask */
  static for({ signature, sequence = axesByPlace(signature) }: ModelWorker): Padding {
    const { inputs, outputs, batched = true } = signature
    const mask = maskOf(inputs)
    if (mask && sequence && batched) return new Padding(mask.at, sequence, outputs)
    const names = inputs.map((spec) => `${spec.name} [${shownShape(spec)}]`)
    const what = "a model with batches and an input 'attention_mask' of any length, which hides zeros"
    throw new RangeError(`limits.pad: expected ${what}, got inputs ${names.join(', ')}`)
  }

  private constructor(
    private readonly mask: number,
    private readonly axes: SequenceAxes,
    private readonly outputs: readonly TensorSpec[],
  ) {}

  /** Undefined if the inputs differ in length, which a model may allow. */
  #lengthOf(query: TensorList): number | undefined {
    const { inputs } = this.axes
    const length = query[this.mask].shape[inputs[this.mask][0]]
    const isSame = inputs.every((axes, i) => axes.every((axis) => query[i].shape[axis] === length))
    return isSame ? length : undefined
  }

  /** Queries of equal keys may share a run: their lengths have the same next power of two. */
  readonly keyOf = (query: TensorList): string => {
    const length = this.#lengthOf(query)
    if (length === undefined) return shapeKeyOf(query)
    const most = length && 2 ** Math.ceil(Math.log2(length))
    const shapes = query.map(({ shape }, i) => shape.map((n, axis) => (this.axes.inputs[i].includes(axis) ? most : n)))
    return shapeKeyOf(shapes.map((shape) => ({ shape })))
  }

  /** Pads queries of one key to one length. */
  readonly together = (queries: readonly TensorList[]): Together => {
    const lengths = queries.map((query) => this.#lengthOf(query))
    const longest = Math.max(...lengths.map((length = 0) => length))
    const isShort = (i: number) => (lengths[i] ?? longest) < longest
    return {
      queries: queries.map((query, i) =>
        isShort(i) ? query.map((tensor, k) => resized(tensor, this.axes.inputs[k], longest)) : query,
      ),
      cut: (answer, i) => (isShort(i) ? this.#cut(answer, longest, lengths[i] as number) : answer),
    }
  }

  /** Anything that is not an answer is passed on, to be refused. */
  #cut(answer: unknown, from: number, to: number): unknown {
    if (flawOf(answer, this.outputs, false)) return answer
    return (answer as TensorList).map((tensor, i) => {
      const axes = this.axes.outputs[i].filter((axis) => tensor.shape[axis] === from)
      return axes.length ? resized(tensor, axes, to) : tensor
    })
  }
}
