/** Computes the dual coefficients of all pairs in one go, where sweeps over the blocks of the kernel matrix would take many times as long. */

import type { Core } from '../core/core'
import type { KernelMatrix } from '../core/kernel-matrix'
import { inverted } from './matrix-inverse'
import { PRODUCTS, paced, perStep } from './steps'

/**
 * Solves (K + noise I) X = Y - mean for the pairs at some places, a few outputs at a time: one inverse serves all of them. In steps.
 *
 * @param matrix   K; its shares of these pairs are written over
 * @param answers  Y, of all pairs
 */
export function* solvedAtOnce(
  core: Core,
  matrix: KernelMatrix,
  noise: number,
  places: readonly number[],
  answers: readonly Float32Array[],
  mean: Float64Array,
): Generator<void> {
  const n = places.length
  const inverse = yield* inverseOf(matrix, noise, places)
  const width = 12 * Math.max(1, Math.floor(PRODUCTS / (12 * n * n)))
  const some = Math.max(1, Math.floor(PRODUCTS / (n * width)))
  for (let first = 0; first < mean.length; first += width) {
    const outputs: [number, number] = [first, Math.min(first + width, mean.length)]
    const rest = places.map((place) => centred(answers[place], mean, outputs))
    for (let from = 0; from < n; from += some) {
      const shares = places.slice(from, from + some).map((place) => matrix.shares(place, outputs))
      core.combine(inverse.subarray(from * n, (from + some) * n), rest, shares)
      yield
    }
  }
}

/** An answer's values first .. last - 1 minus the mean; a loop, since `map` takes twenty times as long. */
function centred(answer: Float32Array, mean: Float64Array, [first, last]: [number, number]): Float32Array {
  const rest = new Float32Array(last - first)
  for (let c = first; c < last; c++) rest[c - first] = answer[c] - mean[c]
  return rest
}

/** (K + noise I)^-1 of the pairs at these places, row-major. */
function* inverseOf(matrix: KernelMatrix, noise: number, places: readonly number[]): Generator<void, Float32Array> {
  const n = places.length
  const inverse = new Float64Array(n * n)
  yield* paced(n, perStep(4 * n), (i) => {
    const row = matrix.get(places[i], Math.max(...places) + 1)
    for (let j = 0; j < n; j++) inverse[i * n + j] = row[places[j]] / 65535 + (i === j ? noise : 0)
  })
  yield* inverted(inverse, n)
  return Float32Array.from(inverse)
}
