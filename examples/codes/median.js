/**
 * The paper's rows and decoder; a class votes for the E survivors farthest from the survivors' median.
 * The authors' script Workstation_MNIST_Error_Median_Decoder.py, whose positions among the survivors are workers' numbers here.
 */

import { mostVoted } from './algebra.js'
import * as paper from './berrut.js'

/** As in the scripts: one fewer than in the paper. */
export const workers = (k, s, e) => paper.workers(k, s, e) - Number(e > 0)
export const needs = (k, s, e) => workers(k, s, e) - s
export const { encode, decode } = paper

export function locate(outputs, survivors, e) {
  return mostVoted(outputs, survivors, e, (y) => {
    const sorted = [...y].sort((a, b) => a - b)
    const median = (sorted[(y.length - 1) >> 1] + sorted[y.length >> 1]) / 2
    return y.map((value) => -Math.abs(value - median))
  })
}
