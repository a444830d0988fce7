/**
 * Decides when a recovered answer is right: it makes the same choice as the model's own answer (a label, tags, a ranking), or its values
 * are near the model's.
 */

import { type OutputHints, type OutputKind, outputKindsOf, type Right } from './output-kind'
import { varianceOf } from './stats'
import { isOpen, size, type TensorSpec } from './tensor'

/**
 * ROUNDING: how far the values of honest answers may differ, divided by the size of their output, unless configured. FAR: answers that
 * differ by this many times as much cannot differ by rounding alone; in between nothing is proven.
 */
export const ROUNDING = 1e-4
export const FAR = 30

/**
 * Scores of `classes` at each of `positions`. `step` (default 1) is the distance between scores of one position: more than 1 if the classes
 * are not the last axis.
 */
export interface Labels {
  kind: 'label'
  positions: number
  classes: number
  step?: number
}

/** Each value is the score of a tag, which is set above the threshold. Right: the same tags are set. */
export interface Tags {
  kind: 'labels'
  threshold: number
}

/** Each value is the score of an item. Right: the `k` items with the largest scores are the same, in the same order. */
export interface Ranking {
  kind: 'top'
  k: number
}

/** Outputs that make a choice; the magnitude of their values does not matter. */
export type Choice = Labels | Tags | Ranking

export interface Tolerance {
  kind: 'tolerance'
  /** undefined: a share of the standard deviation of the model's answers, which is learned. */
  tolerance?: number | undefined
}

/** Right: each value differs from the model's own by at most this share of it. If the model's value is 0, only 0 is right. */
export interface Relative {
  kind: 'relative'
  share: number
}

/** When a single output is right. */
export type OutputCriterion = Choice | Tolerance | Relative | { kind: 'equal' }

/** An output, and its place among an answer's values; without `size` it is all of them. */
export interface JudgedOutput {
  name: string
  from: number
  size?: number
  right: OutputCriterion
}

/** An answer is right if all of its outputs are. */
export interface Outputs {
  kind: 'outputs'
  outputs: readonly JudgedOutput[]
}

export type Criterion = OutputCriterion | Outputs

/** The criterion for a model with these outputs. @throws as `outputKindsOf` */
export function criterionOf(outputs: readonly TensorSpec[], right?: Right, hints?: readonly OutputHints[]): Criterion {
  return criterionFrom(outputs, outputKindsOf(outputs, right, hints))
}

/** The criterion for outputs whose kinds are known. */
export function criterionFrom(outputs: readonly TensorSpec[], kinds: readonly OutputKind[]): Criterion {
  if (kinds.length === 1) return kinds[0].right
  let to = 0
  const judged = kinds.map(({ output: name, right }, i): JudgedOutput => {
    const length = isOpen(outputs[i]) ? 0 : size(outputs[i]) // such an output has no place in a vector
    to += length
    return { name, from: to - length, size: length, right }
  })
  return { kind: 'outputs', outputs: judged }
}

/** All outputs of a criterion; a single output has no name. */
export function judgedOf(criterion: Criterion): readonly JudgedOutput[] {
  return criterion.kind === 'outputs' ? criterion.outputs : [{ name: '', from: 0, right: criterion }]
}

/** The tolerance if none is configured, as a share of the standard deviation of the model's answers. */
const TOLERATED = 0.1

/** How far an output may be from the model's own. @param deviation  standard deviation of the model's answers; undefined while unknown */
export function toleranceOf({ tolerance }: Tolerance, deviation: number | undefined): number | undefined {
  return tolerance ?? (deviation && TOLERATED * deviation)
}

/** An output's values, as a view. */
export function outputIn(answer: Float32Array, { from, size }: Pick<JudgedOutput, 'from' | 'size'>): Float32Array {
  return size === undefined ? answer : answer.subarray(from, from + size)
}

/** Some values of answers, and the place of each output among them. */
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

/** Scales answers so that a value's mean variance is 1 and each output counts the same. A single output stays as it is. */
export function balanced({ answers, spans }: AnswerSample): readonly Float32Array[] {
  if (spans.length === 1) return answers
  const scales = answers[0].slice()
  for (const span of spans) {
    const variance = varianceOf(answers.map((answer) => outputIn(answer, span)))
    outputIn(scales, span).fill(Math.sqrt(scales.length / spans.length / span.size / variance))
  }
  return answers.map((answer) => answer.map((value, c) => value * scales[c]))
}

/** The first output with labels. */
export function labelled(criterion: Criterion): (JudgedOutput & { right: Labels }) | undefined {
  return judgedOf(criterion).find((each): each is JudgedOutput & { right: Labels } => each.right.kind === 'label')
}

/** The criterion if only the number of values is known. */
export function criterionFor(values: number): Criterion {
  return values > 1 ? { kind: 'label', positions: 1, classes: values } : { kind: 'tolerance' }
}

export function chooses(right: Criterion): right is Choice {
  return right.kind === 'label' || right.kind === 'labels' || right.kind === 'top'
}

/** Index of the first score of a position. */
export function scoresFrom({ classes, step = 1 }: Pick<Labels, 'classes' | 'step'>, position: number): number {
  return Math.floor(position / step) * classes * step + (position % step)
}

/** The label at a position: the index of its largest value; of equal values, the first. */
export function labelAt(answer: ArrayLike<number>, labels: Pick<Labels, 'classes' | 'step'>, position = 0): number {
  const { classes, step = 1 } = labels
  const from = scoresFrom(labels, position)
  let best = from
  for (let i = from + step; i < from + classes * step; i += step) if (answer[i] > answer[best]) best = i
  return (best - from) / step
}

/** The indices of the `k` largest values in descending order; of equal values, the first comes first. */
export function topOf(answer: ArrayLike<number>, k: number): number[] {
  const found: number[] = []
  for (let i = 0; i < answer.length; i++) {
    if (found.length === k && !(answer[i] > answer[found[k - 1]])) continue
    let at = found.length === k ? k - 1 : found.length
    while (at && answer[i] > answer[found[at - 1]]) at--
    found.splice(at, 0, i)
    found.length = Math.min(found.length, k)
  }
  return found
}

/** Whether two outputs make the same choice: the label at every position, all tags, or the first items in order. */
export function sameChoice(a: ArrayLike<number>, b: ArrayLike<number>, right: Choice): boolean {
  if (right.kind === 'label') {
    for (let i = 0; i < right.positions; i++) if (labelAt(a, right, i) !== labelAt(b, right, i)) return false
    return true
  }
  if (right.kind === 'labels') {
    for (let i = 0; i < a.length; i++) if (a[i] > right.threshold !== b[i] > right.threshold) return false
    return true
  }
  const others = topOf(b, right.k)
  return topOf(a, right.k).every((item, i) => item === others[i])
}

/** Whether each value is within a share of the model's own. */
export function isWithinShare(values: ArrayLike<number>, own: ArrayLike<number>, share: number): boolean {
  for (let i = 0; i < own.length; i++) if (!(Math.abs(values[i] - own[i]) <= share * Math.abs(own[i]))) return false
  return true
}

/**
 * How clear a choice is. `margin`: the smallest distance of the chosen value to the next best, or to the threshold. `height`: the distance
 * of the best value to the mean, at the position where it is smallest.
 */
export function lead(answer: ArrayLike<number>, right: Choice): { margin: number; height: number } {
  if (right.kind === 'label') return labelLead(answer, right)
  const mean = (value: (i: number) => number) => {
    let sum = 0
    for (let i = 0; i < answer.length; i++) sum += value(i)
    return sum / answer.length
  }
  if (right.kind === 'labels') {
    const away = (i: number) => Math.abs(answer[i] - right.threshold)
    let margin = Number.POSITIVE_INFINITY
    for (let i = 0; i < answer.length; i++) margin = Math.min(margin, away(i))
    return { margin, height: mean(away) }
  }
  const best = topOf(answer, right.k + 1)
  const gaps = best.slice(1).map((item, i) => answer[best[i]] - answer[item])
  return { margin: Math.min(...gaps), height: answer[best[0]] - mean((i) => answer[i]) }
}

function labelLead(answer: ArrayLike<number>, labels: Labels): { margin: number; height: number } {
  const { positions, classes, step = 1 } = labels
  let [margin, height] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let position = 0; position < positions; position++) {
    const from = scoresFrom(labels, position)
    let [first, second, sum] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]
    for (let i = from; i < from + classes * step; i += step) {
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
