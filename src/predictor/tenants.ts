/**
 * Callers whose queries must tell each other nothing: each tenant has groups, a memory, a calibration and a kernel of its own.
 * Workers, budgets and times are everybody's.
 */

import type { PaperGroup } from '../group/aaai22'
import type { CodedGroup } from '../group/coded-group'
import type { CodingContext } from '../group/context'
import { learnedModel, type Persistent, saveNothing } from '../memory/experience-state'
import type { Context } from '../query/context'
import type { Learning } from '../query/learning'
import { Scheme } from '../scheme'
import type { Signature } from '../tensor'
import type { Coded, Settings } from './settings'

/** The tenant of queries that name none. */
export const NOBODY = ''

export interface Tenant {
  readonly context: Context
  readonly learning?: Learning
  /** What was learned, for the option `state`. */
  save(): Uint8Array
  /** Where queries are coded together. */
  readonly newGroup?: (() => CodedGroup | PaperGroup) | undefined
  /** The group that queries join. */
  group?: CodedGroup | PaperGroup | undefined
}

export class Tenants {
  readonly #make: (name: string) => Tenant
  readonly #most: number
  /** The one first that was asked longest ago. */
  readonly #all = new Map<string, Tenant>()

  /** @param most  beyond these the one is forgotten that was asked longest ago */
  constructor(most: number, make: (name: string) => Tenant) {
    this.#make = make
    this.#most = most
  }

  /** A tenant, new or as it was. */
  of(name: string): Tenant {
    const known = this.#all.get(name)
    if (known && this.#all.size === 1) return known
    const tenant = known ?? this.#make(name)
    this.#all.delete(name) // and in again, as the last
    this.#all.set(name, tenant)
    if (this.#all.size > this.#most) {
      const [oldest] = this.#all.keys()
      this.forget(oldest)
    }
    return tenant
  }

  /** One that is known; asking so changes nothing. */
  known(name: string): Tenant | undefined {
    return this.#all.get(name)
  }

  /** Of all that are known. */
  get names(): string[] {
    return [...this.#all.keys()]
  }

  /** @returns whether it was known */
  forget(name: string): boolean {
    const tenant = this.#all.get(name)
    tenant?.group?.close()
    tenant?.learning?.close()
    return this.#all.delete(name)
  }

  *[Symbol.iterator](): Generator<Tenant> {
    yield* this.#all.values()
  }
}

/** The model that a tenant's answers are of. */
export interface Model {
  readonly signature: Signature
  readonly fingerprint: string | undefined
  /** Saved with what the tenant without a name has learned. */
  readonly evidence: Persistent
}

/** What all tenants share. */
export type Shared = Omit<CodingContext, 'codec' | 'copies' | 'learning'>

/** What queries are coded with, and what learns from them. */
export interface Coder extends Coded {
  readonly core: 'wasm' | 'js'
  /** A tenant that has learned what its state says. @throws RangeError for a state that does not fit */
  newTenant(name: string, shared: Shared, model: Model, settings: Settings): Tenant
}

/** Codes and learns nothing: each query goes out by itself, and the little that is computed is computed in JavaScript. */
export function noCoder(): Coder {
  const newTenant = (name: string, shared: Shared, { signature, fingerprint, evidence }: Model): Tenant => ({
    context: { ...shared, learning: undefined },
    save: () => saveNothing(learnedModel(signature, fingerprint), shared.criterion, name === NOBODY ? evidence : undefined), // biome-ignore format: one line
  })
  return { scheme: new Scheme({ queries: 1 }), code: 'systematic', core: 'js', newTenant }
}
