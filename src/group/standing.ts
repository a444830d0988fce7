/** How many of a group's rows are answered, and how many it takes to decode it. */

import { type Asked, isLive } from '../query/asked'
import type { Query } from '../query/query'
import type { Scheme } from '../scheme'

export class Standing {
  /** Rows of the code with an answer. */
  readonly #answered = new Set<number>()
  /** Rows that were made, of the queries and beside them. */
  #made = 0

  /** The group has closed. */
  made(rows: number): void {
    this.#made = rows
  }

  /** @returns whether it had no answer */
  answer(row: number): boolean {
    const { size } = this.#answered
    return this.#answered.add(row).size > size
  }

  /** Whether enough has come: rows that were never made need no answer, since nothing was unanswered that they could tell of. */
  isEnough(scheme: Scheme): boolean {
    return this.#answered.size >= this.#needed(scheme)
  }

  /** Whether fewer answers can come than it takes. @param parities  attempts that are no query's */
  isHopeless(scheme: Scheme, members: readonly Query[], parities: readonly Asked[]): boolean {
    const live = (all: readonly Asked[]) => all.filter((asked) => asked.row < scheme.workers && isLive(asked)).length
    let lacking = this.#needed(scheme) - this.#answered.size - live(parities)
    for (const { asked, inquiry } of members) {
      if (lacking <= 0) return false
      lacking -= inquiry.isLost ? 0 : Math.max(1, live(asked))
    }
    return lacking > 0
  }

  #needed({ quorum, workers }: Scheme): number {
    return Math.max(0, quorum - (workers - this.#made))
  }
}
