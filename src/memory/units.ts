/**
 * What answers are remembered in. Outputs that are judged by relative errors: their logarithms, since where answers have a long tail errors grow with
 * them. All others: as they are.
 */

import { type JudgedOutput, outputIn } from '../base/criterion'

/** Values of this size and less count as 0, which has no logarithm. */
const LEAST = 1e-6

export const logarithm = (value: number) => Math.sign(value) * Math.log1p(Math.abs(value) / LEAST)
const exponential = (value: number) => Math.sign(value) * LEAST * Math.expm1(Math.abs(value))

/** A copy where an output changes, else the answer itself. */
function changed(answer: Float32Array, judged: readonly JudgedOutput[], change: (value: number) => number) {
  const relative = judged.filter(({ right }) => right.kind === 'relative')
  if (!relative.length) return answer
  const copy = answer.slice()
  for (const output of relative) {
    const values = outputIn(copy, output)
    for (let i = 0; i < values.length; i++) values[i] = change(values[i])
  }
  return copy
}

export const inUnits = (answer: Float32Array, judged: readonly JudgedOutput[]) => changed(answer, judged, logarithm)
export const outOfUnits = (answer: Float32Array, judged: readonly JudgedOutput[]) =>
  changed(answer, judged, exponential)
