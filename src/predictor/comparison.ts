/** How often a candidate's answers agree with those of the model that serves. */

import { type Criterion, chooses, isWithinShare, judgedOf, sameChoice, toleranceOf } from '../base/criterion'
import { isEqual, realsOf } from '../base/element'
import { RunningDeviation, rmsDifference } from '../base/stats'
import type { TensorList, TensorSpec } from '../base/tensor'

export class Comparison {
  compared = 0
  agreed = 0
  readonly #criterion: Criterion
  readonly #outputs: readonly TensorSpec[]
  readonly #deviations: readonly RunningDeviation[]

  constructor(criterion: Criterion, outputs: readonly TensorSpec[]) {
    this.#criterion = criterion
    this.#outputs = outputs
    this.#deviations = outputs.map(() => new RunningDeviation())
  }

  /** Compares two answers to one query; not counted until the tolerance is known. */
  add(own: TensorList, other: TensorList): void {
    const outputs = judgedOf(this.#criterion).map((_, i) => this.#agrees(i, own, other))
    if (outputs.includes(undefined)) return
    this.compared++
    this.agreed += Number(outputs.every((agrees) => agrees))
  }

  #agrees(i: number, own: TensorList, other: TensorList): boolean | undefined {
    const { right } = judgedOf(this.#criterion)[i]
    const { type = 'float32' } = this.#outputs[i]
    const isShaped = String(own[i].shape) === String(other[i].shape)
    if (right.kind === 'equal') return isShaped && isEqual(own[i].data, other[i].data)
    const [a, b] = [own, other].map((answer) => realsOf(type, answer[i].data))
    if (chooses(right)) return isShaped && sameChoice(a, b, right)
    if (right.kind === 'relative') return isShaped && isWithinShare(b, a, right.share)
    this.#deviations[i].add(a)
    const tolerance = toleranceOf(right, this.#deviations[i].deviation)
    return tolerance === undefined ? undefined : isShaped && rmsDifference(a, b) <= tolerance
  }
}
