/** Caches the model's own answers by their queries, within a number of bytes; the oldest entries go first. */

import { Bag } from '../base/arrays'
import { heldBytes, isEqual } from '../base/element'
import type { Payload } from '../base/payload'
import type { Identity } from '../pool/attempt'
import type { Origin } from '../service'
import type { Repeats } from './savings'

/** Bytes of an entry besides the values of its query and answer. */
const OVERHEAD = 1000
/** Entries that stay even where equal queries are too rare to pay: a worker is asked for them again where the model may have been replaced. */
const WITNESSES = 8

export interface Kept {
  readonly tenant: string
  readonly query: Payload
  readonly answer: Payload
  readonly by: Origin
  readonly bytes: number
}

/** A query under way whose answer may be cached. */
export interface Keeping {
  /** Written by `Bag` alone. */
  place: number
  readonly tenant: string
  /** Since it was sent, its tenant, a worker that may have answered it, or the model was removed: its answer must not be cached. */
  isForgotten: boolean
}

export interface ExactCacheOptions {
  bytes: number
  /** If undefined, answers are cached however rare equal queries are. */
  repeats?: Repeats | undefined
}

export class ExactCache {
  readonly #most: ExactCacheOptions
  /** In order of age, oldest first. */
  readonly #all = new Map<string, Kept>()
  /** An iterator that is kept: a new one skips thousands of deleted entries each time. */
  #oldest = this.#all.keys()
  #bytes = 0
  /** Queries under way whose answers may be cached. */
  readonly open = new Bag<Keeping>()

  constructor(options: ExactCacheOptions) {
    this.#most = options
  }

  /** Looks up a query that has come, and counts whether queries repeat. */
  find(key: string, payload: Payload): Kept | undefined {
    const { repeats } = this.#most
    repeats?.saw(key, bytesOf(payload))
    if (repeats?.isOn === false && this.#all.size > WITNESSES) this.#keepWitnesses()
    return this.of(key, payload)
  }

  /** Looks up a query without counting it. */
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

  /** A cached answer of an identity that meets the condition, each time another one. */
  another(isWanted: (identity: Identity) => boolean): { key: string; kept: Kept } | undefined {
    for (const [key, kept] of this.#all) {
      if (!isWanted(kept.by.identity as Identity)) continue
      this.#all.delete(key) // deleted and set again, so that it is the last
      this.#all.set(key, kept)
      return { key, kept }
    }
  }

  #keepWitnesses(): void {
    let drop = this.#all.size - WITNESSES
    for (const key of this.#all.keys()) if (drop-- > 0) this.drop(key)
  }

  /** @param kept  the query is copied; nobody may write to the answer */
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

  /** Removes an identity's answers or a tenant's queries. Answers to open queries are not cached either, since they may be that identity's. */
  forget({ identity, tenant }: { identity?: Identity; tenant?: string }): void {
    for (const [key, kept] of this.#all) {
      if (kept.tenant === tenant || (identity !== undefined && kept.by.identity === identity)) this.drop(key)
    }
    for (const keeping of this.open.all) {
      if (identity !== undefined || keeping.tenant === tenant) keeping.isForgotten = true
    }
  }
}

/** Key of a tenant's query. The name stands last, since it may contain any character. */
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
