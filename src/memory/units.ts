/**
 * The units in which answers are remembered. Outputs that are judged by relative errors are remembered as logarithms, since the errors of answers with a
 * long tail grow with the answers. All other outputs are remembered as they are.
 */

import { type JudgedOutput, outputIn } from '../base/criterion'

/** Logarithms are of values over this: at 0 the scale is linear, since 0 has no logarithm. */
const LEAST = 1e-6

export const logarithm = (value: number) => Math.sign(value) * Math.log1p(Math.abs(value) / LEAST)
const exponential = (value: number) => Math.sign(value) * LEAST * Math.expm1(Math.abs(value))

/** Returns a copy if an output changes, else the answer itself. */
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
