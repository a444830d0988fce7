/**
 * Callers whose queries must tell each other nothing: each tenant has groups, a memory, a calibration and a kernel of its own.
 * Workers, budgets and times are everybody's.
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
  /** What it learns; undefined where nothing is learned. */
  readonly learned?: MemoryService
  /** What answers that no worker gave count in, where these may be wrong so often. */
  readonly errors?: ErrorBudget | undefined
  /** Its own, around what all tenants share: what recovers, and what codes. */
  layers: Layered['layers']
  /** The same, where queries are remembered. */
  readonly memory?: MemoryService | undefined
  /** Nobody asks for it any more: what it has open comes to its end. */
  close?(): void
  /** What follows from an identity's answers so far is given no more, also of what the memory has not learned. */
  forget?(identity: Identity): void
  /** What was learned, for the option `state`. */
  save(): Promise<Uint8Array>
}

export class Tenants {
  readonly #make: (name: string) => Tenant
  readonly #forgotten: (name: string) => void
  readonly #most: number
  /** The one first that was asked longest ago. */
  readonly #all = new Map<string, Tenant>()

  /** @param most  beyond these the one is forgotten that was asked longest ago */
  /** @param forgotten  one is, by hand or since there are more */
  constructor(most: number, make: (name: string) => Tenant, forgotten: (name: string) => void = () => {}) {
    this.#make = make
    this.#most = most
    this.#forgotten = forgotten
  }

  /** A tenant, new or as it was. */
  of(name: string): Tenant {
    const known = this.#all.get(name)
    if (known && this.#all.size === 1) return known
    const tenant = known ?? this.#make(name)
    this.#all.delete(name) // and in again, as the last
    this.#all.set(name, tenant)
    const [oldest] = this.#all.keys()
    if (this.#all.size > this.#most) this.forget(oldest)
    return tenant
  }

  /** One that is known; asking so changes nothing. */
  known(name: string): Tenant | undefined {
    return this.#all.get(name)
  }

  /** What one learned; undefined where it is not known. Nobody's holds what is known of the workers as well, and is always to be had. */
  save(name: string): Promise<Uint8Array> | undefined {
    const known = this.#all.get(name)
    if (known || name !== NOBODY) return known?.save()
    const made = this.#make(name)
    return made.save().finally(() => end(made)) // else its memory would be kept for nobody
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
  /** Its fingerprint, where it is known: another one where it is replaced. */
  readonly model: { readonly fingerprint: string | undefined }
  /** Second requests for late queries, and recoveries given to them. */
  readonly hedges: Budget
  readonly recoveries: Budget
}

/** What queries are coded with, and what learns from them. */
export interface Coder extends Coded {
  /** Whether anything is coded or learned. */
  readonly learns: boolean
  readonly core: 'wasm' | 'js'
  /** Resolves when what was saved of tenants may be recalled. */
  ready(): Promise<void>
  /** What queries are mixed, remembered and compared by; undefined where none is. @throws TypeError where the user's function gives no numbers */
  vectorsOf(signature: Signature, settings: Settings): Vectors | undefined
  /** A tenant of this model that has learned what its state says, or nothing where that does not fit. */
  newTenant(name: string, shared: Shared, settings: Settings, model: ModelMarks): Tenant
}

/** Codes and learns nothing: each query goes out by itself, and the little that is computed is computed in JavaScript. */
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

/** Beneath what gives one answer to several callers, above what recovers. */
export function recalls({ given }: Pick<Shared, 'given'>): Layer | undefined {
  return given && recallable({ given })
}

/** What a tenant saves of what is known of workers: it is nobody's in particular, and saved with what that one learned. */
export function evidenceOf(name: string, { evidence }: Reputation): Persistent | undefined {
  return name === NOBODY ? evidence : undefined
}
