/** Which answers of a model were recalled: clients ask from time to time whether any of theirs are among them. */

import { Deque } from '../base/arrays'
import { expected } from '../base/check'
import type { RecallEvent } from '../events'
import { Refusal } from './refusal'

/** Ids that are kept of a model, and the pieces that they come in: the oldest are forgotten. */
const MOST_IDS = 1_000_000
const MOST_PIECES = 65_536
/** Ids of a piece, and of a reply: a millisecond to write. */
const MOST_IDS_A_PIECE = 10_000

interface Piece {
  /** Milliseconds since 1970, as those below; each piece has its own, so that whoever has read it asks for what came after. */
  at: number
  tenant: string
  ids: readonly number[]
}

export interface TenantRecalls {
  /** Recalls up to then are not known here: they are forgotten, or were before the start. */
  from: string
  /** What to ask for next time. */
  until: string
  /** The first recalled first. */
  ids: readonly number[]
  /** Whether there are others after these. */
  more: boolean
}

export class Recalls {
  readonly #pieces = new Deque<Piece>()
  readonly #now: () => number
  #from: number
  #last: number
  #count = 0

  /** @param now  milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now
    this.#from = this.#last = now()
  }

  add({ tenant = '', ids }: Pick<RecallEvent, 'tenant' | 'ids'>): void {
    for (let i = 0; i < ids.length; i += MOST_IDS_A_PIECE) {
      this.#last = Math.max(this.#last + 1, this.#now())
      this.#pieces.push({ at: this.#last, tenant, ids: ids.slice(i, i + MOST_IDS_A_PIECE) })
    }
    this.#count += ids.length
    while (this.#count > MOST_IDS || this.#pieces.size > MOST_PIECES) {
      const { at, ids } = this.#pieces.first as Piece
      this.#pieces.shift()
      this.#count -= ids.length
      this.#from = at
    }
  }

  /** @param since  `until` of what was read last. @throws Refusal 400 */
  read(tenant: string, since?: string): TenantRecalls {
    const after = since === undefined ? this.#from : Date.parse(since)
    if (!Number.isFinite(after))
      throw new Refusal(400, expected('since', 'a time, such as 2030-01-31T12:00:00.000Z', since))
    const all = [...this.#pieces].filter((piece) => piece.at > after && piece.tenant === tenant)
    let count = 0
    const listed = all.filter(({ ids }) => {
      count += ids.length
      return count <= MOST_IDS_A_PIECE
    })
    const until = new Date(listed.at(-1)?.at ?? after).toISOString()
    const from = new Date(this.#from).toISOString()
    return { from, until, ids: listed.flatMap(({ ids }) => ids), more: listed.length < all.length }
  }
}
