/**
 * When two answers are the same, and when they cannot both be honest. Each output is judged by itself, in a unit that no caller and no worker
 * moves: the size of that output in the very answers that are compared, and in the answer to a fixed query, as most workers tell it or give it. How
 * much answers differ from query to query decides nothing: 1,000 queries with values 255 times too large once made a lie of a tenth of the usual
 * deviation pass for everybody.
 */

import { type Criterion, chooses, FAR, judgedOf, sameChoice } from '../base/criterion'
import { type ElementType, isEqual, isReal, realsOf, type TensorData } from '../base/element'
import { type Payload, standsForNone } from '../base/payload'
import type { TensorSpec } from '../base/tensor'

export interface Equality {
  readonly criterion: Criterion
  readonly outputs: readonly Pick<TensorSpec, 'type'>[]
  /** How far honest values may be apart, over the size of their output: engines and machines round in their own ways. */
  readonly rounding: number
  /** Of each output its size in the answer to a fixed query; 0 or none where that is not known. */
  readonly scales: readonly number[]
}

/** Values near 0 are rounded all the same: an output counts as large as this share of its scale. */
const FLOOR = 0.1
/** Positions of equal integers that are looked at, evenly spread, to tell whether the integers are labels: all of a mask of a million pixels and 20 classes took 475 ms, these take 5. */
const MOST_EQUAL = 1000

/** Whether two answers are the same; what they choose as well: a liar could else tip the scales between two near ones. */
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

/** Whether two answers are the same but for rounding, which may tip a label, be it an output of its own. */
export function isNear(a: Payload, b: Payload, equality: Equality): boolean {
  return equality.outputs.every((_, i) => isNearIn(i, a, b, equality))
}

function isNearIn(output: number, a: Payload, b: Payload, equality: Equality): boolean {
  const { type = 'float32' } = equality.outputs[output]
  const [own, other] = [a.tensors[output].data, b.tensors[output].data]
  if (!isShapedAs(a, b, output)) return false
  if (!isReal(type)) return isEqual(own, other) || isTie(output, a, b, equality)
  // By the smaller of the two: no answer may decide by its size what is the same for others.
  const least = Math.min(a.sizeIn(output, type), b.sizeIn(output, type))
  return isWithin(type, own, other, Math.max(least, floorOf(equality, output)), equality.rounding)
}

/**
 * Whether an answer is no rounding of a right one. Outputs of another length prove nothing: rounding may tip which boxes a detector
 * keeps. Nor do numbers without labels before their scale is known: a value near 0 has no size to go by.
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
 * What an answer is beside several that agree, of which one at least is right. `deviant`: it is beyond rounding from each of them, and no lie.
 * From each: among two that agree may be a liar's, just so far from the other one that a third, as right as that, is too far from the liar's.
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

/** Whether an output of one has more values than the other's: no proof, but rounding tips that seldom. */
export function isOtherwiseLong(a: Payload, b: Payload): boolean {
  return a.tensors.some(({ data }, i) => data.length !== b.tensors[i].data.length)
}

/** Whether integers are labels, each the place of the largest of its scores, counted from 0, and told ones are as large but for rounding: it may be either's. */
function isTie(output: number, a: Payload, b: Payload, { outputs, rounding }: Equality): boolean {
  if (!outputs[output].type?.includes('int')) return false
  const { data: told, shape } = a.tensors[output]
  const right = b.tensors[output].data
  return outputs.some(({ type = 'float32' }, i) => {
    const { data, shape: all } = b.tensors[i]
    const isLast = isSame(all.slice(0, -1), shape)
    if (!isReal(type) || !all.length || !(isLast || isSame(all.slice(1), shape))) return false
    const scores = realsOf(type, data)
    const classes = isLast ? all[all.length - 1] : all[0]
    const least = -2 * rounding * b.sizeIn(i, type)
    const scoreOf = (label: number, at: number) => scores[isLast ? at * classes + label : label * told.length + at]
    const isLargest = (label: number, at: number) => {
      if (!(label >= 0 && label < classes)) return false
      for (let c = 0; c < classes; c++) if (!(scoreOf(label, at) - scoreOf(c, at) >= least)) return false
      return true
    }
    const every = Math.ceil(told.length / MOST_EQUAL)
    for (let at = 0; at < told.length; at++) {
      if (told[at] === right[at] && at % every) continue
      if (!isLargest(Number(told[at]), at) || !isLargest(Number(right[at]), at)) return false
    }
    return true
  })
}

/** Whether shapes are the same but for lengths of 1. */
function isSame(one: readonly number[], other: readonly number[]): boolean {
  return String(one.filter((length) => length !== 1)) === String(other.filter((length) => length !== 1))
}

const floorOf = ({ scales }: Equality, output: number) => FLOOR * (scales[output] ?? 0)

function isShapedAs(a: Payload, b: Payload, output: number): boolean {
  const [own, other] = [a.tensors[output].shape, b.tensors[output].shape]
  return own === other || String(own) === String(other)
}

/**
 * Whether no value is further off than a share of the size: of many values one that is counts as much as all. Those that stand for none (-1e9 in the place of -Inf), by
 * which the size does not go, may be off by a share of their own.
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
