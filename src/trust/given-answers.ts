/** Who gave the last answers to which tenants, when, and what ids callers have of them: what is not proven of a liar's can be recalled. Not the answers. */

/** Entries that it begins with room for. */
const FIRST = 1024

/** Of a tenant: the first given first. */
export interface Recalled {
  /** `Prediction.id`. */
  ids: number[]
  /** When each was given, in milliseconds since 1970. */
  times: number[]
}

export class GivenAnswers {
  readonly #most: number
  readonly #now: () => number
  /** Of each entry its id and its time. */
  #entries = new Float64Array(2 * FIRST)
  /** Undefined: it is proven, or recalled. */
  readonly #identities: (string | undefined)[] = []
  readonly #tenants: string[] = []
  #count = 0
  /** Ids that were recalled so far. */
  recalled = 0

  /** @param most  entries; 32 bytes each @param now  milliseconds since 1970 */
  constructor(most: number, now: () => number = Date.now) {
    this.#most = most
    this.#now = now
  }

  /** @returns the place of the entry, counted from the first that ever was */
  add(identity: string, id: number, tenant: string): number {
    const place = this.#count++ % this.#most
    if (2 * place >= this.#entries.length) {
      const entries = new Float64Array(Math.min(2 * this.#most, 2 * this.#entries.length))
      entries.set(this.#entries)
      this.#entries = entries
    }
    this.#entries.set([id, this.#now()], 2 * place)
    this.#identities[place] = identity
    this.#tenants[place] = tenant
    return this.#count - 1
  }

  /** It is right. */
  prove(place: number): void {
    if (place >= this.#count - this.#most) this.#identities[place % this.#most] = undefined
  }

  /** Of an identity's answers that are kept and not proven, the first first, by tenant; they are forgotten. */
  recall(identity: string): Map<string, Recalled> {
    const recalled = new Map<string, Recalled>()
    for (let i = Math.max(0, this.#count - this.#most); i < this.#count; i++) {
      const place = i % this.#most
      if (this.#identities[place] !== identity) continue
      this.#identities[place] = undefined
      const tenant = this.#tenants[place]
      const { ids, times } = recalled.get(tenant) ?? { ids: [], times: [] }
      if (!ids.length) recalled.set(tenant, { ids, times })
      ids.push(this.#entries[2 * place])
      times.push(this.#entries[2 * place + 1])
      this.recalled++
    }
    return recalled
  }
}
