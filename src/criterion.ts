/** When a recovered answer counts as right: it has the model's own label, or lies within a tolerance of the model's own. */

import { type CriterionOptions, readingsOf } from './reading'
import { varianceOf } from './stats'
import { isOpen, size, type TensorSpec } from './tensor'

/** How far values of honest answers may be apart, over the size of their output, unless it is said otherwise; and how many times as far is no rounding: in between nothing is proven. */
export const ROUNDING = 1e-4
export const FAR = 30

/** An answer starts with `positions` times `classes` scores, row-major. */
export interface Labels {
  kind: 'label'
  positions: number
  classes: number
}

export interface Tolerance {
  kind: 'tolerance'
  /** Undefined: a share of how much the model's answers differ, which is learned. */
  tolerance?: number | undefined
}

/** When an output is right, by itself. */
export type OutputCriterion = Labels | Tolerance | { kind: 'equal' }

/** An output, and where in an answer's values it is; without a size it is all of them. */
export interface JudgedOutput {
  name: string
  from: number
  size?: number
  right: OutputCriterion
}

/** An answer is right where all of its outputs are. */
export interface Outputs {
  kind: 'outputs'
  outputs: readonly JudgedOutput[]
}

export type Criterion = OutputCriterion | Outputs

/** The criterion for a model with these outputs. @param field, throws  as `readingsOf` */
export function criterionOf(outputs: readonly TensorSpec[], options: CriterionOptions, field = ''): Criterion {
  const readings = readingsOf(outputs, options, field)
  if (readings.length === 1) return readings[0].right
  let to = 0
  const judged = readings.map(({ output: name, right }, i): JudgedOutput => {
    const length = isOpen(outputs[i]) ? 0 : size(outputs[i]) // nobody looks for it in a vector then
    to += length
    return { name, from: to - length, size: length, right }
  })
  return { kind: 'outputs', outputs: judged }
}

/** Each output; the only one has no name. */
export function judgedOf(criterion: Criterion): readonly JudgedOutput[] {
  return criterion.kind === 'outputs' ? criterion.outputs : [{ name: '', from: 0, right: criterion }]
}

/** The tolerance where none is stated, over the standard deviation of the model's answers. */
const TOLERATED = 0.1

/** How far off an output may be that is to be near the model's own. @param deviation  of the model's answers; undefined while it is not known */
export function toleranceOf({ tolerance }: Tolerance, deviation: number | undefined): number | undefined {
  return tolerance ?? (deviation && TOLERATED * deviation)
}

/** An output's values; a view. */
export function outputIn(answer: Float32Array, { from, size }: Pick<JudgedOutput, 'from' | 'size'>): Float32Array {
  return size === undefined ? answer : answer.subarray(from, from + size)
}

/** Some values of answers, and where each output is among them. */
export interface AnswerSample {
  answers: readonly Float32Array[]
  spans: readonly Required<Pick<JudgedOutput, 'from' | 'size'>>[]
}

/** At most `most` values of each output, evenly spread. */
export function sampleOf(
  answers: readonly Float32Array[],
  outputs: readonly JudgedOutput[],
  most: number,
): AnswerSample {
  let to = 0
  const spans: AnswerSample['spans'][number][] = []
  const places = outputs.flatMap(({ from, size = answers[0].length }) => {
    const count = Math.min(most, size)
    spans.push({ from: to, size: count })
    to += count
    return Array.from({ length: count }, (_, c) => from + Math.floor((c * size) / count))
  })
  return { answers: answers.map((answer) => Float32Array.from(places, (place) => answer[place])), spans }
}

/** Answers in units in which a value's mean variance is 1, and that of each output counts as much; of one output as they are. */
export function balanced({ answers, spans }: AnswerSample): readonly Float32Array[] {
  if (spans.length === 1) return answers
  const scales = answers[0].slice()
  for (const span of spans) {
    const variance = varianceOf(answers.map((answer) => outputIn(answer, span)))
    outputIn(scales, span).fill(Math.sqrt(scales.length / spans.length / span.size / variance))
  }
  return answers.map((answer) => answer.map((value, c) => value * scales[c]))
}

/** The first output that has labels. */
export function labelled(criterion: Criterion): (JudgedOutput & { right: Labels }) | undefined {
  return judgedOf(criterion).find((each): each is JudgedOutput & { right: Labels } => each.right.kind === 'label')
}

/** What holds for answers of which only the number of values is known. */
export function criterionFor(values: number): Criterion {
  return values > 1 ? { kind: 'label', positions: 1, classes: values } : { kind: 'tolerance' }
}

/** The label at one position: the index of the largest value, the first of equal ones. */
export function labelAt(answer: ArrayLike<number>, { classes }: Pick<Labels, 'classes'>, position = 0): number {
  const from = position * classes
  let best = from
  for (let i = from + 1; i < from + classes; i++) if (answer[i] > answer[best]) best = i
  return best - from
}

/** Whether two answers have the same label at every position. */
export function sameLabels(a: ArrayLike<number>, b: ArrayLike<number>, labels: Labels): boolean {
  for (let position = 0; position < labels.positions; position++) {
    if (labelAt(a, labels, position) !== labelAt(b, labels, position)) return false
  }
  return true
}

/** How far an answer's label leads over the runner-up and over the mean score, at the position where that is least. */
export function lead(answer: ArrayLike<number>, { positions, classes }: Labels): { margin: number; height: number } {
  let [margin, height] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let from = 0; from < positions * classes; from += classes) {
    let [first, second, sum] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]
    for (let i = from; i < from + classes; i++) {
      const value = answer[i]
      sum += value
      if (value > first) {
        second = first
        first = value
      } else if (value > second) second = value
    }
    margin = Math.min(margin, first - second)
    height = Math.min(height, first - sum / classes)
  }
  return { margin, height }
}
