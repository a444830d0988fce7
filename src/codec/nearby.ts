/**
 * Which rows of a large group a query is recovered from. Kriging solves for all rows at once, which takes time with their third power:
 * half a second for a thousand. Rows that are far away hardly count: from the nearest 64 of 80 to 250 rows as many labels were right or
 * more, and errors were smaller (docs/research.md). Geostatistics calls it a moving neighbourhood.
 */

import type { Core } from '../core/core'
import { unitRow } from './codes'
import type { Survivors } from './decoders'

/** Rows that some queries are recovered from, at most. */
export const NEIGHBOURS = 64
/** Queries that share them. */
export const TOGETHER = 16
/** Multiplications that the search may take: of many rows only some values are compared, evenly spread. */
const PRODUCTS = 2 ** 17

interface Row {
  readonly weights: Float64Array
  readonly data: Float32Array
}

/** Positions of the rows that are near, and what a decoder is told of them: points of a group of their own. */
export interface Neighbourhood extends Pick<Survivors, 'rows' | 'wanted' | 'gram'> {
  near: readonly number[]
}

/**
 * The rows that mix some queries, and those nearest to them.
 *
 * @param queries  their numbers in the group, at most TOGETHER
 * @param data     of these
 */
export function neighbourhood(
  core: Core,
  rows: readonly Row[],
  queries: readonly number[],
  data: readonly Float32Array[],
): Neighbourhood {
  const near = nearest(rows, queries, data)
  const points = [...near.map((at) => rows[at].data), ...data]
  const units = near.map((_, i) => unitRow(points.length, i))
  return { near, rows: units, wanted: queries.map((_, i) => near.length + i), gram: () => core.gram(points) }
}

/** Positions, ascending: of each query as many. */
function nearest(rows: readonly Row[], queries: readonly number[], data: readonly Float32Array[]): number[] {
  const mixing = rows.flatMap(({ weights }, at) => (queries.some((query) => weights[query]) ? at : []))
  const chosen = new Set(mixing.length > NEIGHBOURS / 2 ? [] : mixing) // with the paper's code all are mixed
  const ranked = data.map((query) => closest(rows, query, data.length))
  for (let rank = 0; rank < NEIGHBOURS; rank++) {
    for (const order of ranked) {
      if (chosen.size < NEIGHBOURS) chosen.add(order[rank])
    }
  }
  return [...chosen].sort((a, b) => a - b)
}

/** The NEIGHBOURS closest rows, the closest first. @param among  queries for which this is done */
function closest(rows: readonly Row[], query: Float32Array, among: number): number[] {
  const step = Math.ceil((query.length * rows.length * among) / PRODUCTS)
  const distances = Float64Array.from(rows, ({ data }) => {
    let sum = 0
    for (let i = 0; i < query.length; i += step) sum += (data[i] - query[i]) ** 2
    return sum
  })
  const farthest = distances.slice().sort()[NEIGHBOURS - 1]
  const close = [...distances.keys()].filter((at) => distances[at] <= farthest)
  return close.sort((a, b) => distances[a] - distances[b])
}
