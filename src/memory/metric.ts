/**
 * How queries that are no images are compared: a scale for each value, and a kernel, by leave-one-out error. Columns in
 * mixed units, of which a few matter, tell little as they are (54 columns over four decades: 48 % of the labels right,
 * 79 % so).
 */

import type { Criterion } from '../base/criterion'
import { MOST } from '../base/saved'
import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/space'
import { paced, perStep } from './steps'
import { kernelNames, type Metric, Study, type TriedMetric } from './study'

/** Pairs, and values of them all, that a metric is chosen by, at most. */
const MOST_PAIRS = 512
const MOST_VALUES = 2 ** 19
/** With more values in a query than this their scales are not learned one by one: it would take minutes. */
const WIDEST = 1024
/** Rounds in which scales are improved; after VAIN in a row that bring nothing it ends. */
const ROUNDS = 8
const VAIN = 3

/** How many pairs can be studied, where a query has `inputs` values. */
export function studied(inputs: number): number {
  return Math.min(MOST_PAIRS, Math.max(128, Math.floor(MOST_VALUES / inputs)))
}

/** Bytes to study `count` pairs: rows under one metric, here and in a table, answers, and matrices of two metrics. */
export function studyBytes(count: number, inputs: number, outputs: number): number {
  return count * (2 * 4 * (inputs + outputs) + 3 * ARRAY_BYTES + (4 * 8 + 4) * count)
}

/**
 * The best, with every kernel, of one scale for each input, standardised values, and scales by the gradients of the
 * regression (a recursive feature machine with a diagonal metric: Radhakrishnan, Beaglehole, Pandit, Belkin, Science
 * 2024). In steps.
 *
 * @param rows     queries of equal length, at most `studied` of them
 * @param answers  to them
 * @param parts    lengths of the inputs that a query is made of
 * @param known    metrics to try as well
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

/** One over the deviation of all values of an input together. */
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

/** Values of a row that are looked at in one go. */
const PIECE = 4096
/** A smaller number has no inverse in f32. */
const LEAST_DEVIATION = 1e-37

/** Standard deviation of each value over the rows; 0 for one that hardly varies. In steps. */
function* deviationsOf(rows: readonly Float32Array[]): Generator<void, Float32Array> {
  const { length } = rows[0]
  const [sums, mosts, squares] = [new Float64Array(length), new Float64Array(length), new Float64Array(length)]
  const pieces = Math.ceil(length / PIECE)
  const each = (f: (row: Float32Array, from: number, to: number) => void) =>
    paced(rows.length * pieces, perStep(4 * Math.min(length, PIECE)), (at) => {
      const from = (at % pieces) * PIECE
      f(rows[Math.floor(at / pieces)], from, Math.min(length, from + PIECE))
    })
  yield* each((row, from, to) => {
    for (let i = from; i < to; i++) {
      sums[i] += row[i]
      mosts[i] = Math.max(mosts[i], Math.abs(row[i]))
    }
  })
  yield* each((row, from, to) => {
    for (let i = from; i < to; i++) squares[i] += (row[i] - sums[i] / rows.length) ** 2
  })
  return rows[0].map((_, i) => {
    const deviation = Math.sqrt(squares[i] / rows.length)
    return deviation > Math.max(1e-6 * mosts[i], LEAST_DEVIATION) ? deviation : 0
  })
}
