/**
 * Callers whose queries must tell each other nothing: each tenant has groups, a memory, a calibration and a kernel of its own.
 * Workers, budgets and times are everybody's.
 */

import type { Learning } from '../query/learning'
import type { LiveRun, Service } from '../query/run'

export interface Tenant {
  readonly service: Service
  readonly learning: Learning
  /** The group that queries join. */
  filling?: LiveRun | undefined
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
    tenant?.filling?.close()
    tenant?.learning.close()
    return this.#all.delete(name)
  }

  /** All that is learned. */
  *[Symbol.iterator](): Generator<Learning> {
    for (const { learning } of this.#all.values()) yield learning
  }
}
