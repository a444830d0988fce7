/**
 * Callers whose queries must tell each other nothing: each tenant has groups, a memory, a calibration and a kernel of its own.
 * Workers, budgets and times are everybody's.
 */

import type { Codec } from '../codec/codec'
import type { PaperGroup } from '../group/aaai22'
import type { CodedGroup } from '../group/coded-group'
import type { CodingContext } from '../group/context'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions, type Persistent } from '../memory/experience'
import { Learning } from '../query/learning'
import type { Signature } from '../tensor'
import type { Settings } from './settings'

/** The tenant of queries that name none. */
export const NOBODY = ''

export interface Tenant {
  readonly context: CodingContext
  readonly learning: Learning
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
    tenant?.learning.close()
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
  readonly codec: Codec
  /** Saved with what the tenant without a name has learned. */
  readonly evidence: Persistent
}

/** A tenant that has learned what its state says. @throws RangeError for a state that does not fit */
export function newTenant(
  name: string,
  shared: Omit<CodingContext, 'codec' | 'learning'>,
  settings: Settings,
  { signature, fingerprint, codec: first, evidence }: Model,
): Tenant {
  const { limits, states, memory, warn } = settings
  const { tenants } = limits
  const state = Object.hasOwn(states, name) ? states[name] : undefined // one may be named __proto__
  delete states[name] // it is taken up once: what is forgotten later stays so
  const codec = first.another()
  const bytes = Math.floor((memory ? (memory.bytes ?? DEFAULT_BYTES) : DEFAULT_BYTES) / tenants)
  const learned = {
    criterion: shared.criterion,
    fingerprint,
    kernels: codec.kernels,
    evidence: name === NOBODY ? evidence : undefined, // it is nobody's in particular
    warn,
    memory: codec.code === 'systematic' && (tenants > 1 && memory !== false ? { ...memory, bytes } : memory),
  }
  const learning = new Learning(experience(codec, signature, settings, learned, state), shared.clock, warn, 1 / tenants)
  const context = { ...shared, codec, learning: codec.code === 'systematic' ? learning : undefined }
  return { context, learning }
}

function experience(
  codec: Codec,
  signature: Signature,
  { unfit, warn }: Settings,
  options: ExperienceOptions,
  state: Uint8Array | undefined,
): Experience {
  try {
    return new Experience(codec.core, signature, { ...options, state })
  } catch (error) {
    if (state === undefined || unfit === 'refuse') throw error
    warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
    return new Experience(codec.core, signature, options)
  }
}
