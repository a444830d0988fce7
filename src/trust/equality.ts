/**
 * When two answers are the same, and when they cannot both be honest. Each output is judged in a unit that neither a caller nor a worker can move:
 * the size of that output in the two answers, and in the answer to a fixed query as most workers report it. The spread of answers over queries is
 * not used: 1,000 queries with values 255 times too large once hid a lie of a tenth of the usual deviation.
 */

import { type Criterion, chooses, FAR, judgedOf, sameChoice } from '../base/criterion'
import { type ElementType, isEqual, isReal, realsOf, type TensorData } from '../base/element'
import { type Payload, standsForNone } from '../base/payload'
import type { TensorSpec } from '../base/tensor'

export interface Equality {
  readonly criterion: Criterion
  readonly outputs: readonly Pick<TensorSpec, 'type'>[]
  /** How far values of honest answers may differ, relative to the size of their output: engines and machines round differently. */
  readonly rounding: number
  /** The size of each output in the answer to a fixed query; 0 or missing where it is unknown. */
  readonly scales: readonly number[]
}

/** Values near 0 are rounded, too: an output counts as at least this share of its scale. */
const FLOOR = 0.1
/**
 * To tell whether integers are labels, this many positions are compared, evenly spread: comparing all of a mask of a million pixels and 20 classes
 * took 475 ms, these take 5.
 */
const MOST_EQUAL = 1000

/** Whether two answers are the same, labels included: otherwise a liar could decide between two classes of nearly equal score. */
export function agree(a: Payload, b: Payload, equality: Equality): boolean {
  const { outputs, criterion } = equality
  if (!isNear(a, b, equality)) return false
  return judgedOf(criterion).every(({ right }, i) => {
    const { type = 'float32' } = outputs[i]
    if (!isReal(type)) return isEqual(a.tensors[i].data, b.tensors[i].data)
    const values = (answer: Payload) => realsOf(type, answer.tensors[i].data)
    return !chooses(right) || sameChoice(values(a), values(b), right)
  })
}

/** Whether two answers are the same but for rounding. Rounding may change a label, also one that is an output of its own. */
export function isNear(a: Payload, b: Payload, equality: Equality): boolean {
  return equality.outputs.every((_, i) => isNearIn(i, a, b, equality))
}

function isNearIn(output: number, a: Payload, b: Payload, equality: Equality): boolean {
  const { type = 'float32' } = equality.outputs[output]
  const [own, other] = [a.tensors[output].data, b.tensors[output].data]
  if (!isShapedAs(a, b, output)) return false
  if (!isReal(type)) return isEqual(own, other) || isTie(output, a, b, equality)
  // The smaller of the two: no answer may widen the tolerance by being large.
  const least = Math.min(a.sizeIn(output, type), b.sizeIn(output, type))
  return isWithin(type, own, other, Math.max(least, floorOf(equality, output)), equality.rounding)
}

/**
 * Whether an answer is too far from the right one to be rounding. An output of another length is no proof: rounding may decide which boxes a
 * detector keeps. Nor are numbers without labels as long as their scale is unknown: a value near 0 has no size to compare with.
 */
export function isLie(answer: Payload, right: Payload, equality: Equality): boolean {
  const { outputs, criterion, scales } = equality
  const judged = judgedOf(criterion)
  return outputs.some(({ type = 'float32' }, i) => {
    const [own, other] = [answer.tensors[i].data, right.tensors[i].data]
    if (own.length !== other.length) return false
    if (!isShapedAs(answer, right, i)) return true
    if (!isReal(type)) return !isNearIn(i, answer, right, equality)
    if (!scales[i] && !(judged[i] && chooses(judged[i].right))) return false
    const size = Math.max(right.sizeIn(i, type), scales[i] ?? 0)
    return size > 0 && !isWithin(type, own, other, size, FAR * equality.rounding)
  })
}

/**
 * Compares an answer with several that agree, of which at least one is right. `deviant`: it differs from each of them by more than rounding, but
 * not enough to be a lie. It must differ from each: one of two that agree may be a liar's, placed so that an honest third answer is too far from
 * it.
 */
export function findingOf(
  answer: Payload,
  agreeing: readonly Payload[],
  equality: Equality,
): 'right' | 'lie' | 'deviant' | 'unclear' {
  const [own] = agreeing
  if (agree(answer, own, equality)) return 'right'
  if (isLie(answer, own, equality)) return 'lie'
  return agreeing.some((each) => isNear(answer, each, equality)) ? 'unclear' : 'deviant'
}

/** Whether an output has more values in one answer than in the other: no proof, but rounding rarely does that. */
export function isOtherwiseLong(a: Payload, b: Payload): boolean {
  return a.tensors.some(({ data }, i) => data.length !== b.tensors[i].data.length)
}

/**
 * Whether the integers are labels (the positions of the largest scores, from 0), and the labels of both answers have equal scores but for rounding:
 * then either label is right.
 */
function isTie(output: number, a: Payload, b: Payload, { outputs, rounding }: Equality): boolean {
  if (!outputs[output].type?.includes('int')) return false
  const { data: labels, shape } = a.tensors[output]
  const right = b.tensors[output].data
  return outputs.some(({ type = 'float32' }, i) => {
    const { data, shape: all } = b.tensors[i]
    const isLast = isSame(all.slice(0, -1), shape)
    if (!isReal(type) || !all.length || !(isLast || isSame(all.slice(1), shape))) return false
    const scores = realsOf(type, data)
    const classes = isLast ? all[all.length - 1] : all[0]
    const least = -2 * rounding * b.sizeIn(i, type)
    const scoreOf = (label: number, at: number) => scores[isLast ? at * classes + label : label * labels.length + at]
    const isLargest = (label: number, at: number) => {
      if (!(label >= 0 && label < classes)) return false
      for (let c = 0; c < classes; c++) if (!(scoreOf(label, at) - scoreOf(c, at) >= least)) return false
      return true
    }
    const every = Math.ceil(labels.length / MOST_EQUAL)
    for (let at = 0; at < labels.length; at++) {
      if (labels[at] === right[at] && at % every) continue
      if (!isLargest(Number(labels[at]), at) || !isLargest(Number(right[at]), at)) return false
    }
    return true
  })
}

/** Whether two shapes are the same but for dimensions of 1. */
function isSame(one: readonly number[], other: readonly number[]): boolean {
  return String(one.filter((length) => length !== 1)) === String(other.filter((length) => length !== 1))
}

const floorOf = ({ scales }: Equality, output: number) => FLOOR * (scales[output] ?? 0)

function isShapedAs(a: Payload, b: Payload, output: number): boolean {
  const [own, other] = [a.tensors[output].shape, b.tensors[output].shape]
  return own === other || String(own) === String(other)
}

/**
 * Whether every value is within a share of the size: one wrong value among many counts as much as all. Placeholders (-1e9 instead of -Inf) are not
 * part of the size, and may differ by a share of their own value.
 */
function isWithin(type: ElementType, a: TensorData, b: TensorData, size: number, share: number): boolean {
  if (a.length !== b.length) return false
  const [own, other] = [realsOf(type, a), realsOf(type, b)]
  for (let i = 0; i < own.length; i++) {
    const off = Math.abs(own[i] - other[i])
    if (off <= share * size || Object.is(own[i], other[i])) continue
    const larger = Math.max(own[i], other[i])
    if (!(standsForNone(larger, size) && off <= -share * larger)) return false
  }
  return true
}
