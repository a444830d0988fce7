/** The stack of layers above the pool: what a query goes through, from the outside in. */

import { expected } from '../base/check'
import type { Clock } from '../base/clock'
import type { Warn } from '../base/notices'
import type { Payload } from '../base/payload'
import type { agree, Witnesses } from '../layers/agree'
import { type AuditOptions, audit } from '../layers/audit'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import type { SampleOptions, sample } from '../layers/sample'
import type { VouchOptions, vouch } from '../layers/vouch'
import type { MemoryService } from '../memory/service'
import type { Pool } from '../pool/pool'
import { type Layer, type Query, type Service, SettledCall, stack } from '../service'
import { fenced } from './fence'

/** Workers that may crash or fail on a query, at least, or beyond the liars of the scheme; then the query itself is at fault. */
const MOST_DOWNS = 2
const MORE_FAILURES = 3

/** The layers that each tenant has for itself; with the paper's scheme only one. */
export interface TenantLayers {
  readonly recallable?: Layer | undefined
  readonly recover?: Layer | undefined
  readonly parity?: Layer | undefined
  readonly paper?: Layer | undefined
}

/**
 * The layers that answer without workers. Each query has a coin of its own before equal ones share a call: else one toss would decide for all of
 * them.
 */
export interface ReuseLayers {
  readonly cache: Layer
  readonly remember?: Layer | undefined
  readonly coalesce: Layer
}

/** The layers and the memory of a query's tenant. */
export interface Layered {
  /** Makes the tenant's own layers. @param workers  sends a query to one worker, without a hedge */
  layers(workers: Service): TenantLayers
  readonly memory?: MemoryService | undefined
}

/** Layers for fleets with liars; only the one that is needed is loaded. */
export interface TrustLayers {
  readonly agree?: typeof agree | undefined
  readonly sample?: typeof sample | undefined
  readonly vouch?: typeof vouch | undefined
}

export interface StackOptions extends Omit<HedgeOptions, 'pool' | 'compares' | 'mostDowns' | 'mostFailures'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
  /** Whether queries are hedged; the paper's scheme sends no query twice. */
  readonly isHedged: boolean
  readonly sampled?: SampleOptions['sampling'] | undefined
  readonly openTrust?: VouchOptions['trust'] | undefined
  /** Returns the layers to use, given the standard ones. */
  readonly layers?: ((own: readonly Layer[]) => readonly Layer[]) | undefined
  /** Called with what the user's layers throw. */
  warn?: Warn
  readonly trustLayers?: TrustLayers | undefined
  /** Which workers are trusted. Default: all. */
  readonly trust?: (Witnesses & AuditOptions['trust']) | undefined
  /** How many faulty workers a query has to cope with. Default: none. */
  readonly scheme?: { readonly byzantine: number; readonly stragglers: number }
  /** Whether the model's first answers contradict the assumed meaning of its outputs. Default: no. */
  readonly isDoubted?: () => boolean
  readonly reuse?: ReuseLayers | undefined
  /** Undefined: the tenant does not exist yet, and the query is refused. */
  tenantOf(query: Query): Layered | undefined
}

/** @throws TypeError if `layers` returns anything but layers */
export function stackOf({
  tenantOf,
  isHedged,
  layers,
  trust,
  sampled,
  openTrust,
  scheme = { byzantine: 0, stragglers: 0 },
  isDoubted = () => false,
  reuse,
  warn = () => {},
  trustLayers: { agree, sample, vouch } = {},
  ...options
}: StackOptions): Service {
  const { clock, pool } = options
  const memoryOf = (query: Query) => tenantOf(query)?.memory
  const workers = poolService(pool)
  const parities = sampled && sample ? stack(workers, sample({ sampling: sampled })) : workers
  const compares = trust !== undefined && scheme.byzantine > 0
  const audits = trust !== undefined && !compares && !sampled && !openTrust
  const { byzantine: liars, stragglers } = scheme
  const most = { mostDowns: Math.max(MOST_DOWNS, stragglers + liars + 1), mostFailures: stragglers + MORE_FAILURES }
  const own = [
    limit({ clock }),
    reuse?.cache,
    reuse?.remember,
    reuse?.coalesce,
    byTenant(tenantOf, parities, ({ recallable, paper, recover, parity }) => [recallable, paper, recover, parity]),
    compares && agree?.({ ...options, trust, liars, mostDowns: most.mostDowns, memoryOf, isDoubted }),
    sampled && sample?.({ sampling: sampled, memoryOf }),
    audits && audit({ trust }),
    isHedged && hedge({ ...options, ...most, compares }),
    openTrust && vouch?.({ trust: openTrust, pool }),
  ].filter((each) => typeof each === 'function')
  const all = layers ? layers(own) : own
  if (!Array.isArray(all) || !all.every((each) => typeof each === 'function'))
    throw new TypeError(expected('layers', 'a function that gives an array of layers', all))
  return stack(workers, ...all.map((each) => (own.includes(each) ? each : fenced(each, warn))))
}

/** @param parities  the service for coded queries, which belong to no caller @param order  the outermost first */
function byTenant(
  tenantOf: StackOptions['tenantOf'],
  parities: Service,
  order: (layers: TenantLayers) => readonly (Layer | undefined)[],
): Layer {
  return (next) => {
    const services = new WeakMap<Layered, Service>()
    return (query, caller) => {
      const tenant = tenantOf(query)
      if (!tenant) {
        if (!query.refusal) return next(query, caller)
        return new SettledCall(caller, { kind: 'failure', error: query.refusal, blame: 'load' })
      }
      let own = services.get(tenant)
      if (!own) {
        own = stack(next, ...order(tenant.layers(parities)).filter((layer) => layer !== undefined))
        services.set(tenant, own)
      }
      return own(query, caller)
    }
  }
}
