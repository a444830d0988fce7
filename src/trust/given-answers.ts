/** Who gave the last unproven answers to which tenants, when, and what ids callers have of them: what is not proven of a liar's can be recalled. Not the answers. */

import { secret } from '../base/random'
import type { Identity } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'

/** Answers given last of which those of a convict can be recalled: 32 MB, at 32 bytes each. */
const RETENTION = 1e6
/** Entries that it begins with room for. */
const FIRST = 1024

/** Of a tenant: the first given first. */
export interface Recalled {
  /** `Prediction.id`. */
  ids: number[]
  /** When each was given, in milliseconds since 1970. */
  times: number[]
}

/** Answers of a worker that lied, or deviates, which nothing has proven: who was given them may want to take back what followed. Each tenant's are told by themselves. */
export interface Recall extends Recalled {
  worker: string
  identity: Identity
  /** Whose queries they answered, where that was said. */
  tenant?: string
}

export class GivenAnswers {
  readonly #most: number
  readonly #now: () => number
  readonly #coin: () => number
  /** Of each entry its id and its time. */
  #entries = new Float64Array(2 * FIRST)
  /** Undefined: it is proven, or recalled. */
  readonly #identities: (string | undefined)[] = []
  readonly #tenants: string[] = []
  /** Unproven entries of each identity that has any: of the others nothing is looked for. */
  readonly #unproven = new Map<Identity, number>()
  #count = 0
  /** Ids that were recalled so far. */
  recalled = 0

  /** @param coin  uniform, from 0 to 1, for ids: one must not tell of others @param now  milliseconds since 1970 @param most  entries */
  constructor(coin: () => number = secret, now: () => number = Date.now, most = RETENTION) {
    this.#coin = coin
    this.#now = now
    this.#most = most
  }

  /** One is given that is not proven. @param workers  that made it, also those that have left @returns what its caller knows it by, and where that is kept */
  give(workers: readonly ModelWorker[], tenant: string): { id: number; place: number } | undefined {
    if (!workers.length) return undefined // it is the memory's
    const id = Math.floor(this.#coin() * 2 ** 21) * 2 ** 32 + Math.floor(this.#coin() * 2 ** 32) // a whole number that floats hold
    let place = -1
    for (const identity of new Set(workers.map(identityOf))) place = this.add(identity, id, tenant)
    return { id, place }
  }

  /** @returns the place of the entry, counted from the first that ever was */
  add(identity: Identity, id: number, tenant: string): number {
    const place = this.#count++ % this.#most
    if (2 * place >= this.#entries.length) {
      const entries = new Float64Array(Math.min(2 * this.#most, 2 * this.#entries.length))
      entries.set(this.#entries)
      this.#entries = entries
    }
    this.#entries.set([id, this.#now()], 2 * place)
    this.#settle(place)
    this.#identities[place] = identity
    this.#unproven.set(identity, (this.#unproven.get(identity) ?? 0) + 1)
    this.#tenants[place] = tenant
    return this.#count - 1
  }

  /** It is right. */
  prove(place: number): void {
    if (place >= this.#count - this.#most) this.#settle(place % this.#most)
  }

  /** Its entry is an answer of its identity's that is unproven no more. */
  #settle(place: number): void {
    const identity = this.#identities[place]
    this.#identities[place] = undefined
    if (identity === undefined) return
    const left = (this.#unproven.get(identity) as number) - 1
    if (left) this.#unproven.set(identity, left)
    else this.#unproven.delete(identity)
  }

  /**
   * Of an identity's answers that are kept and not proven, the first first, by tenant; they are forgotten.
   *
   * @param one  the place of the only one that is meant
   */
  recall(identity: Identity, one?: number): Map<string, Recalled> {
    const recalled = new Map<string, Recalled>()
    if (!this.#unproven.has(identity)) return recalled
    const first = Math.max(one ?? 0, this.#count - this.#most)
    const end = one === undefined ? this.#count : one + 1
    for (let i = first; i < end; i++) {
      const place = i % this.#most
      if (this.#identities[place] !== identity) continue
      this.#settle(place)
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
