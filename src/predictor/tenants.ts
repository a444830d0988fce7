/**
 * Tenants, whose queries must reveal nothing to each other: each has its own groups, memory, calibration and kernel. Workers, budgets and service
 * times are shared.
 */

import type { Clock } from '../base/clock'
import { Scheme } from '../base/scheme'
import type { Signature } from '../base/tensor'
import type { ErrorBudget } from '../layers/error-budget'
import type { Budget } from '../layers/query-share'
import { recallable } from '../layers/recallable'
import { learnedModel, type ModelMarks, type Persistent, saveNothing } from '../memory/experience-state'
import type { MemoryService } from '../memory/service'
import type { Identity } from '../pool/attempt'
import type { Layer } from '../service'
import type { Reputation } from '../trust/reputation'
import type { Dependencies } from './dependencies'
import type { Coded, Settings } from './settings'
import type { Layered } from './stack'
import type { Vectors } from './vectors'

/** The tenant of queries that name none. */
export const NOBODY = ''

export interface Tenant {
  /** Its memory; undefined if nothing is learned. */
  readonly learned?: MemoryService
  /** The error budget of answers without workers, if these may be wrong. */
  readonly errors?: ErrorBudget | undefined
  /** Its own layers, for recovery and coding. */
  layers: Layered['layers']
  /** Its memory, if it holds pairs. */
  readonly memory?: MemoryService | undefined
  /** The tenant is forgotten: its open groups end. */
  close?(): void
  /** Withdraws what follows from an identity's answers so far, also from those that the memory has not learned yet. */
  forget?(identity: Identity): void
  /** The learned state, for the option `state`. */
  save(): Promise<Uint8Array>
}

export class Tenants {
  readonly #make: (name: string) => Tenant
  readonly #forgotten: (name: string) => void
  readonly #most: number
  /** The least recently used first. */
  readonly #all = new Map<string, Tenant>()

  /** @param most  beyond, the least recently used tenant is forgotten */
  /** @param forgotten  called when a tenant is forgotten */
  constructor(most: number, make: (name: string) => Tenant, forgotten: (name: string) => void = () => {}) {
    this.#make = make
    this.#most = most
    this.#forgotten = forgotten
  }

  of(name: string): Tenant {
    const known = this.#all.get(name)
    if (known && this.#all.size === 1) return known
    const tenant = known ?? this.#make(name)
    this.#all.delete(name) // reinserted as the most recently used
    this.#all.set(name, tenant)
    const [oldest] = this.#all.keys()
    if (this.#all.size > this.#most) this.forget(oldest)
    return tenant
  }

  /** A known tenant; does not count as a use. */
  known(name: string): Tenant | undefined {
    return this.#all.get(name)
  }

  /**
   * A tenant's learned state; undefined for an unknown tenant. The nameless tenant's state also has the workers' records, and can always be saved.
   */
  save(name: string): Promise<Uint8Array> | undefined {
    const known = this.#all.get(name)
    if (known || name !== NOBODY) return known?.save()
    const made = this.#make(name)
    return made.save().finally(() => end(made)) // else its memory's thread would stay
  }

  get names(): string[] {
    return [...this.#all.keys()]
  }

  /** @returns whether it was known */
  forget(name: string): boolean {
    const tenant = this.#all.get(name)
    if (tenant) end(tenant)
    this.#forgotten(name)
    return this.#all.delete(name)
  }

  *[Symbol.iterator](): Generator<Tenant> {
    yield* this.#all.values()
  }
}

function end(tenant: Tenant): void {
  tenant.close?.()
  tenant.learned?.close()
}

/** What all tenants share. */
export interface Shared extends Dependencies {
  readonly clock: Clock
  /** The model's fingerprint, if it is known; changes when the model is replaced. */
  readonly model: { readonly fingerprint: string | undefined }
  /** Budgets of hedges, and of recoveries for late queries. */
  readonly hedges: Budget
  readonly recoveries: Budget
}

/** Codes queries, and makes tenants that learn from them. */
export interface Coder extends Coded {
  /** Whether anything is coded or learned. */
  readonly learns: boolean
  readonly core: 'wasm' | 'js'
  /** Resolves when the saved states of tenants are loaded. */
  ready(): Promise<void>
  /**
   * The vectors that queries are mixed, remembered and compared by; undefined if none of this is done. @throws TypeError if the user's function
   * returns no numbers
   */
  vectorsOf(signature: Signature, settings: Settings): Vectors | undefined
  /** Makes a tenant, with what its saved state has learned, unless that does not fit this model. */
  newTenant(name: string, shared: Shared, settings: Settings, model: ModelMarks): Tenant
}

/** Codes and learns nothing: each query is sent by itself, and the few computations run in JavaScript. */
export function noCoder(): Coder {
  return {
    ...{ scheme: new Scheme({ queries: 1 }), code: 'systematic', core: 'js', learns: false },
    ready: async () => {},
    vectorsOf: () => undefined,
    newTenant(name, shared, _settings, model) {
      const { signature, criterion, trust } = shared
      const save = async () => saveNothing(learnedModel(signature, model), criterion, evidenceOf(name, trust))
      return { layers: () => ({ recallable: recalls(shared) }), save }
    },
  }
}

/** The layer that makes answers recallable: below the layer that shares calls, above the one that recovers. */
export function recalls({ given }: Pick<Shared, 'given'>): Layer | undefined {
  return given && recallable({ given })
}

/** The workers' records, which are saved with the nameless tenant's state only. */
export function evidenceOf(name: string, { evidence }: Reputation): Persistent | undefined {
  return name === NOBODY ? evidence : undefined
}
