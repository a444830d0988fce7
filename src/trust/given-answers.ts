/**
 * Which worker gave which tenant which unproven answer, and when: if the worker is found to lie, those answers are recalled. Answers are known by
 * id; their values are not kept.
 */

import { secret } from '../base/random'
import type { Identity } from '../pool/attempt'
import { identityOf, type ModelWorker } from '../workers/worker'

/** The last answers that can be recalled: 32 MB, at 32 bytes each. */
const RETENTION = 1e6
const FIRST = 1024

/** A tenant's recalled answers, oldest first. */
export interface Recalled {
  /** The ids that predictions had (`Prediction.id`). */
  ids: number[]
  /** When each was given, in milliseconds since 1970. */
  times: number[]
}

export class GivenAnswers {
  readonly #most: number
  readonly #now: () => number
  readonly #coin: () => number
  /** An id and a time for each entry. */
  #entries = new Float64Array(2 * FIRST)
  /** The identity that gave each answer; undefined once the answer is proven or recalled. */
  readonly #identities: (string | undefined)[] = []
  readonly #tenants: string[] = []
  /** How many unproven entries each identity has, if any: others need no search. */
  readonly #unproven = new Map<Identity, number>()
  #count = 0
  recalled = 0

  /** @param coin  uniform, from 0 to 1, for ids: no id may reveal another @param now  milliseconds since 1970 @param most  entries */
  constructor(coin: () => number = secret, now: () => number = Date.now, most = RETENTION) {
    this.#coin = coin
    this.#now = now
    this.#most = most
  }

  /** An unproven answer is given. @param workers  that made it, also those that have left @returns the id for the caller, and the entry */
  give(workers: readonly ModelWorker[], tenant: string): { id: number; place: number } | undefined {
    if (!workers.length) return undefined // the memory's answer
    const id = Math.floor(this.#coin() * 2 ** 21) * 2 ** 32 + Math.floor(this.#coin() * 2 ** 32) // an integer that a float holds exactly
    let place = -1
    for (const identity of new Set(workers.map(identityOf))) place = this.add(identity, id, tenant)
    return { id, place }
  }

  /** @returns the number of the entry, counted from the first ever */
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

  /** The answer is proven right. */
  prove(place: number): void {
    if (place >= this.#count - this.#most) this.#settle(place % this.#most)
  }

  /** The entry is not unproven any more. */
  #settle(place: number): void {
    const identity = this.#identities[place]
    this.#identities[place] = undefined
    if (identity === undefined) return
    const left = (this.#unproven.get(identity) as number) - 1
    if (left) this.#unproven.set(identity, left)
    else this.#unproven.delete(identity)
  }

  /**
   * Takes out an identity's unproven answers, by tenant, the oldest first.
   *
   * @param one  only this entry
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
