/**
 * Chooses how queries that are no images are compared: a scale for each value, and a kernel, by leave-one-out error. Unscaled columns in mixed
 * units say little (54 columns over four decades: 48 % of the labels right; with learned scales 79 %).
 */

import type { Criterion } from '../base/criterion'
import { MOST } from '../base/saved'
import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/space'
import { paced, perStep } from './steps'
import { kernelNames, type Metric, Study, type TriedMetric } from './study'

/** A metric is chosen by this many pairs at most, and by this many values of them together. */
const MOST_PAIRS = 512
const MOST_VALUES = 2 ** 19
/** Scales of single values are not learned for queries with more values than this: it would take minutes. */
const WIDEST = 1024
/** The most rounds of improving the scales. It ends earlier after VAIN rounds in a row without a smaller loss. */
const ROUNDS = 8
const VAIN = 3

/** The number of pairs that a metric is chosen by, for queries of `inputs` values. */
export function studied(inputs: number): number {
  return Math.min(MOST_PAIRS, Math.max(128, Math.floor(MOST_VALUES / inputs)))
}

/** Bytes that choosing a metric by `count` pairs takes: scaled rows, here and in a table, answers, and the matrices of two metrics. */
export function studyBytes(count: number, inputs: number, outputs: number): number {
  return count * (2 * 4 * (inputs + outputs) + 3 * ARRAY_BYTES + (4 * 8 + 4) * count)
}

/**
 * Tries, with each kernel, one scale for each input, standardised values, and scales from the gradients of the regression (a recursive feature
 * machine with a diagonal metric: Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024). In steps.
 *
 * @param rows     queries of equal length, at most `studied` of them
 * @param answers  the answer to each row
 * @param parts    lengths of the inputs that a query is made of
 * @param known    metrics to try as well
 * @returns the metric of the smallest loss, and the known metrics with their losses
 */
export function* chooseMetric(
  core: Core,
  rows: readonly Float32Array[],
  answers: readonly Float32Array[],
  { criterion, parts, known = [] }: { criterion: Criterion; parts: readonly number[]; known?: readonly Metric[] },
): Generator<void, { best: TriedMetric; known: TriedMetric[] }> {
  const study = new Study(core, rows, answers, criterion)
  const deviations = yield* deviationsOf(rows)
  const whole = perPart(deviations, parts)
  const standard = deviations.map((deviation, i) => 1 / (deviation || 1 / whole[i]))
  const again: TriedMetric[] = []
  for (const metric of known) again.push(yield* study.try(metric))
  const all: TriedMetric[] = [...again]
  for (const kernel of kernelNames) {
    all.push(yield* study.try({ scales: whole, kernel }))
    let last = yield* study.try({ scales: standard, kernel })
    let best = last
    const rounds = whole.length > WIDEST ? 0 : ROUNDS
    for (let round = 0, vain = 0; round < rounds && vain < VAIN; round++) {
      last = yield* study.try({ scales: yield* study.improved(last.scales, deviations), kernel })
      vain = last.loss < best.loss ? 0 : vain + 1
      if (!vain) best = last
    }
    all.push(best)
  }
  return { best: all.reduce((best, each) => (each.loss < best.loss ? each : best)), known: again }
}

/** The same scale for all values of an input: one over their common standard deviation. */
function perPart(deviations: Float32Array, parts: readonly number[]): Float32Array {
  const scales = new Float32Array(deviations.length)
  let at = 0
  for (const length of parts) {
    let square = 0
    for (let i = at; i < at + length; i++) square += deviations[i] ** 2 / length
    scales.fill(Math.min(MOST, 1 / Math.sqrt(square || 1)), at, at + length)
    at += length
  }
  return scales
}

/** A smaller number has no inverse in f32. */
const LEAST_DEVIATION = 1e-37

/** The standard deviation of each value over the rows; 0 for a value that hardly varies. In steps. */
function* deviationsOf(rows: readonly Float32Array[]): Generator<void, Float32Array> {
  const { length } = rows[0]
  const [sums, mosts, squares] = [new Float64Array(length), new Float64Array(length), new Float64Array(length)]
  yield* paced(rows.length, perStep(4 * length), (at) => {
    const row = rows[at]
    for (let i = 0; i < length; i++) {
      sums[i] += row[i]
      mosts[i] = Math.max(mosts[i], Math.abs(row[i]))
    }
  })
  yield* paced(rows.length, perStep(4 * length), (at) => {
    const row = rows[at]
    for (let i = 0; i < length; i++) squares[i] += (row[i] - sums[i] / rows.length) ** 2
  })
  return rows[0].map((_, i) => {
    const deviation = Math.sqrt(squares[i] / rows.length)
    return deviation > Math.max(1e-6 * mosts[i], LEAST_DEVIATION) ? deviation : 0
  })
}
