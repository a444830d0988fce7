/** How much a model's answers differ from each other: the standard deviation of each output. */

import { type Criterion, type JudgedOutput, judgedOf, outputIn } from '../base/criterion'
import * as saved from '../base/saved'
import { type DeviationState, RunningDeviation, savedDeviation } from '../base/stats'

export class Deviations {
  readonly #outputs: readonly JudgedOutput[]
  readonly #all: readonly RunningDeviation[]

  constructor(criterion: Criterion, states: readonly DeviationState[] = []) {
    this.#outputs = judgedOf(criterion)
    this.#all = this.#outputs.map((_, i) => new RunningDeviation(states[i]))
  }

  static over(criterion: Criterion, answers: readonly Float32Array[]): Deviations {
    const deviations = new Deviations(criterion)
    for (const answer of answers) deviations.add(answer)
    return deviations
  }

  add(answer: Float32Array): void {
    for (let i = 0; i < this.#all.length; i++) this.#all[i].add(outputIn(answer, this.#outputs[i]))
  }

  /** The standard deviation of an output's values; undefined before 30 answers. */
  of(output: number): number | undefined {
    return this.#all[output].deviation
  }

  /** Whether any output is far from all earlier values of it. */
  isOutlier(answer: Float32Array): boolean {
    return this.#all.some((each, i) => each.isOutlier(outputIn(answer, this.#outputs[i])))
  }

  save(): DeviationState[] {
    return this.#all.map((each) => each.save())
  }
}

/** @param values  the number of values in an answer, if known  @throws RangeError for a state that `save` never made */
export function savedDeviations(field: string, value: unknown, criterion: Criterion, values?: number) {
  const outputs = judgedOf(criterion)
  const states = saved.list(field, value, outputs.length, outputs.length)
  return outputs.map(({ size = values }, i) => savedDeviation(`${field}[${i}]`, states[i], size))
}
