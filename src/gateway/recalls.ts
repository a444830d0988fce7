/** The recalled answers of a model, for clients that poll them. */

import { Deque } from '../base/arrays'
import { expected } from '../base/check'
import type { RecallEvent } from '../events'
import { Refusal } from './refusal'

/** The most ids that are kept of a model; beyond, the oldest are forgotten. */
const MOST_IDS = 1_000_000
/** The most pieces that are kept of a model. */
const MOST_PIECES = 65_536
/** The most ids of a piece, and of a reply, which then takes a millisecond to write. */
const MOST_IDS_A_PIECE = 10_000

/** Ids that were recalled together. */
interface Piece {
  /** When, in milliseconds since 1970. No two pieces have the same time, so that a client can ask for what came after it. */
  at: number
  tenant: string
  ids: readonly number[]
}

export interface TenantRecalls {
  /** Earlier recalls are not known: they were forgotten, or came before the server's start. */
  from: string
  /** The value of `since` for the next poll. */
  until: string
  /** The ids of recalled answers, in the order of their recall. */
  ids: readonly number[]
  /** Whether a next poll will give more at once. */
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

  /** The recalls of a tenant. @param since  `until` of the client's last poll. @throws Refusal 400 */
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
