/** How far an answer is from what a memory says: what suspicion goes by. */

import { judgedOf, outputIn } from '../base/criterion'
import type { Recovered } from '../base/prediction'
import { rmsDifference, rootMeanSquare } from '../base/stats'
import { inUnits } from '../memory/units'
import type { Equality } from './equality'

/** No error is smaller. */
const LEAST = 1e-9

/** The distance over the error that the memory expected, over all outputs; no error is smaller than what counts as the same. */
export function distanceFrom(
  { answer: said, error = 0, errors }: Pick<Recovered, 'answer' | 'error' | 'errors'>,
  answer: Float32Array,
  { criterion, rounding }: Pick<Equality, 'criterion' | 'rounding'>,
): number {
  const distances = judgedOf(criterion).map((each, i) => {
    const [expected, own] = [said, answer].map((values) => outputIn(inUnits(values, [each]), each))
    const least = Math.max(rounding * rootMeanSquare(own), LEAST)
    return rmsDifference(expected, own) / Math.max(errors?.[i] ?? error, least)
  })
  return rootMeanSquare(distances)
}
