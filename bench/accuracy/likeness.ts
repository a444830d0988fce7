/** Grouping by likeness: groups of similar queries decode better. */

import type { Core, RowTable } from '../../src/core/core'
import type { Grouping } from '../../src/evaluate/experiment'

/** Pools of so many groups of K queries, ordered by likeness and cut. @param width  values in a query */
export function byLikeness(core: Core, width: number, K: number, groups: number): Grouping {
  const likeness = new Likeness(core, width, groups * K)
  return { groups, order: (rows) => likeness.order(rows) }
}

/** Orders pools of queries so that neighbours are alike. Keeps one table for all pools. */
export class Likeness {
  readonly #table: RowTable

  /**
   * @param width  values in a query
   * @param most   queries in the largest pool
   */
  constructor(core: Core, width: number, most: number) {
    this.#table = core.table(width, most)
  }

  /**
   * A nearest-neighbour path: from the first query always to the nearest that is left, over the raw values.
   * At most n steps with a pass over what is left each; cut into groups of K it keeps like queries together.
   *
   * @returns the queries' indices in the order of the path
   */
  order(queries: readonly Float32Array[]): number[] {
    const left = [...queries.keys()]
    queries.forEach((query, i) => {
      this.#table.set(i, query)
    })
    const path: number[] = []
    let at = 0
    while (left.length) {
      const current = left[at]
      path.push(current)
      const last = left.pop() as number
      if (!left.length) break
      if (at < left.length) {
        left[at] = last // the last one moves into the gap, so that one pass sees all that are left
        this.#table.set(at, queries[last])
      }
      const distances = this.#table.distances(queries[current], left.length)
      at = 0
      for (let i = 1; i < left.length; i++) if (distances[i] < distances[at]) at = i
    }
    return path
  }
}
