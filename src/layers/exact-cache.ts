/** The model's own answers, by their queries, as many as there is room for. */

import { Bag } from '../base/arrays'
import { heldBytes, isEqual } from '../base/element'
import type { Payload } from '../base/payload'
import type { Identity } from '../pool/attempt'
import type { Origin } from '../service'
import type { Repeats } from './savings'

/** Bytes that an answer takes beside its values and those of its query. */
const OVERHEAD = 1000
/** Answers that are kept even where equal queries are too seldom to pay: to ask for again, where it is in doubt whether the model is the same. */
const WITNESSES = 8

export interface Kept {
  readonly tenant: string
  readonly query: Payload
  readonly answer: Payload
  readonly by: Origin
  readonly bytes: number
}

/** A query that is asked, whose answer may be kept. */
export interface Keeping {
  /** Written by the bag alone. */
  place: number
  readonly tenant: string
  /** Its tenant was forgotten since it was asked, an identity that may have answered it, or the model. */
  isForgotten: boolean
}

export interface ExactCacheOptions {
  bytes: number
  /** undefined: they are kept, however seldom queries are equal. */
  repeats?: Repeats | undefined
}

export class ExactCache {
  readonly #most: ExactCacheOptions
  /** The one first that was kept longest ago. */
  readonly #all = new Map<string, Kept>()
  /** Goes on where it was: one from the start passes what was deleted, thousands of places with each that is kept. */
  #oldest = this.#all.keys()
  #bytes = 0
  /** Queries that are asked. */
  readonly open = new Bag<Keeping>()

  constructor(options: ExactCacheOptions) {
    this.#most = options
  }

  /** For a query that came. */
  find(key: string, payload: Payload): Kept | undefined {
    const { repeats } = this.#most
    repeats?.saw(key, bytesOf(payload))
    if (repeats?.isOn === false && this.#all.size > WITNESSES) this.#keepWitnesses()
    return this.of(key, payload)
  }

  /** What is kept for a query that came before. */
  of(key: string, payload: Payload): Kept | undefined {
    const kept = this.#all.get(key)
    return kept && isSame(kept.query, payload) ? kept : undefined
  }

  has(key: string, kept: Kept): boolean {
    return this.#all.get(key) === kept
  }

  get hasRoom(): boolean {
    return this.#most.repeats?.isOn !== false || this.#all.size < WITNESSES
  }

  /** One by an identity for which that holds; the next time another one. */
  another(isWanted: (identity: Identity) => boolean): { key: string; kept: Kept } | undefined {
    for (const [key, kept] of this.#all) {
      if (!isWanted(kept.by.identity as Identity)) continue
      this.#all.delete(key) // and in again, as the last
      this.#all.set(key, kept)
      return { key, kept }
    }
  }

  #keepWitnesses(): void {
    let drop = this.#all.size - WITNESSES
    for (const key of this.#all.keys()) if (drop-- > 0) this.drop(key)
  }

  /** @param kept  its query is copied; nobody writes to its answer */
  keep(key: string, { query, ...rest }: Omit<Kept, 'bytes'>): void {
    this.drop(key)
    const own = query.copy()
    const kept = { ...rest, query: own, bytes: OVERHEAD + bytesOf(own) + bytesOf(rest.answer) }
    this.#all.set(key, kept)
    this.#bytes += kept.bytes
    while (this.#bytes > this.#most.bytes) {
      const { value, done } = this.#oldest.next()
      if (done) this.#oldest = this.#all.keys()
      else this.drop(value)
    }
  }

  drop(key: string): void {
    this.#bytes -= this.#all.get(key)?.bytes ?? 0
    this.#all.delete(key)
  }

  clear(): void {
    this.#all.clear()
    this.#bytes = 0
    this.#oldest = this.#all.keys()
    for (const keeping of this.open.all) keeping.isForgotten = true
  }

  /**
   * Removes an identity's answers or a tenant's queries; answers to open queries are not cached any more either, since they may be that identity's.
   */
  forget({ identity, tenant }: { identity?: Identity; tenant?: string }): void {
    for (const [key, kept] of this.#all) {
      if (kept.tenant === tenant || (identity !== undefined && kept.by.identity === identity)) this.drop(key)
    }
    for (const keeping of this.open.all) {
      if (identity !== undefined || keeping.tenant === tenant) keeping.isForgotten = true
    }
  }
}

/** Of equal queries of one tenant, whose name stands last: it may have blanks. */
export function keyOf(tenant: string, payload: Payload): string {
  return payload.digest + tenant
}

export function isSame(a: Payload, b: Payload): boolean {
  return a.tensors.every(({ data, shape }, i) => {
    const other = b.tensors[i]
    return String(shape) === String(other.shape) && isEqual(data, other.data)
  })
}

function bytesOf({ tensors }: Payload): number {
  return tensors.reduce((sum, { data }) => sum + heldBytes(data), 0)
}
