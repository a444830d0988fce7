/** Who gave the last answers to which tenants, and what ids callers have of them: what is not proven of a liar's can be recalled. Not the answers. */

/** Entries that it begins with room for. */
const FIRST = 1024

export class GivenAnswers {
  readonly #most: number
  #ids = new Float64Array(FIRST)
  /** Undefined: it is proven, or recalled. */
  readonly #identities: (string | undefined)[] = []
  readonly #tenants: string[] = []
  #count = 0
  /** Ids that were recalled so far. */
  recalled = 0

  /** @param most  entries; 24 bytes each */
  constructor(most: number) {
    this.#most = most
  }

  /** @returns the place of the entry, counted from the first that ever was */
  add(identity: string, id: number, tenant: string): number {
    const place = this.#count++ % this.#most
    if (place >= this.#ids.length) {
      const ids = new Float64Array(Math.min(this.#most, 2 * this.#ids.length))
      ids.set(this.#ids)
      this.#ids = ids
    }
    this.#ids[place] = id
    this.#identities[place] = identity
    this.#tenants[place] = tenant
    return this.#count - 1
  }

  /** It is right. */
  prove(place: number): void {
    if (place >= this.#count - this.#most) this.#identities[place % this.#most] = undefined
  }

  /** Of an identity's answers that are kept and not proven, the first first, by tenant; they are forgotten. */
  recall(identity: string): Map<string, number[]> {
    const recalled = new Map<string, number[]>()
    for (let i = Math.max(0, this.#count - this.#most); i < this.#count; i++) {
      const place = i % this.#most
      if (this.#identities[place] !== identity) continue
      this.#identities[place] = undefined
      const tenant = this.#tenants[place]
      const ids = recalled.get(tenant) ?? []
      if (!ids.length) recalled.set(tenant, ids)
      ids.push(this.#ids[place])
      this.recalled++
    }
    return recalled
  }
}
