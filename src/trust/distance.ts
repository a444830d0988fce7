/** The distance of an answer from the memory's prediction, by which workers are suspected. */

import { judgedOf, outputIn } from '../base/criterion'
import type { Recovered } from '../base/prediction'
import { rmsDifference, rootMeanSquare } from '../base/stats'
import { inUnits } from '../memory/units'
import type { Equality } from './equality'

/** Smaller errors count as this large. */
const LEAST = 1e-9

/** The mean over all outputs of the distance divided by the error that the memory expected, which counts at least as large as the tolerance. */
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
