/** When a recovered answer counts as right: it has the model's own label, or lies within a tolerance of the model's own. */

import { checkWord, expected } from './check'
import { isReal } from './element'
import { isOpen, shownShape, size, type TensorSpec } from './tensor'

/** `last`: a label is the index of the largest value along the last axis. `none`: the outputs have no label. */
export type LabelAxis = 'last' | 'none'

export const labelAxes: readonly LabelAxis[] = ['last', 'none']

export interface CriterionOptions {
  /**
   * Where the first output has its labels; a recovered answer is right if it has all of the model's own. Default: 'last'
   * for a vector of scores (exactly one axis longer than 1), else 'none': an argmax over pixels or boxes means nothing.
   */
  labelAxis?: LabelAxis | undefined
  /**
   * Where there is no label: a recovered answer is right if the root mean square difference of its values to the
   * model's own, all outputs together, is at most this. Default: a tenth of the standard deviation of the model's answers.
   */
  tolerance?: number | undefined
}

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

export type Criterion = Labels | Tolerance

/**
 * The criterion for a model with these outputs.
 *
 * @param field  what stands in front of the options' names in errors
 * @throws RangeError for an option out of range, or one that this model's outputs do not allow
 */
export function criterionOf(
  outputs: readonly TensorSpec[],
  { labelAxis, tolerance }: CriterionOptions,
  field = '',
): Criterion {
  const [{ name, shape, type }] = outputs
  const isFixed = isReal(type) && !isOpen({ shape })
  const axes = shape.slice(0, shape.findLastIndex((n) => n > 1) + 1) // [10, 1, 1] has its scores along the first
  const vector = isFixed && axes.length > 0 && axes.slice(0, -1).every((n) => n === 1)
  const axis = checkWord(`${field}labelAxis`, labelAxis ?? (vector ? 'last' : 'none'), labelAxes)
  if (tolerance !== undefined) checkTolerance(`${field}tolerance`, tolerance)
  if (axis === 'none') return { kind: 'tolerance', tolerance }
  if (tolerance !== undefined) {
    throw new RangeError(
      `${field}tolerance: expected none for outputs with labels (labelAxis 'last'), got ${tolerance}`,
    )
  }
  const classes = axes.at(-1)
  if (!isFixed) {
    const got = `${type ?? 'float32'} [${shownShape({ shape })}]`
    throw new RangeError(`${field}labelAxis: expected 'none' for output '${name}' of ${got}, got 'last'`)
  }
  if (classes === undefined) {
    throw new RangeError(`${field}labelAxis: expected 'none' for output '${name}' of one value, got 'last'`)
  }
  return { kind: 'label', positions: size({ shape }) / classes, classes }
}

export function checkTolerance(field: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && value < Number.MAX_VALUE) return value
  throw new RangeError(expected(field, 'a number above 0', value))
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
