/** The stack of layers from the pool up: what a query goes through, from the outside in. */

import { expected } from '../check'
import type { Clock } from '../clock'
import type { agree, Witnesses } from '../layers/agree'
import { type AuditOptions, audit } from '../layers/audit'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import type { SampleOptions, sample } from '../layers/sample'
import type { VouchOptions, vouch } from '../layers/vouch'
import type { MemoryService } from '../memory/service'
import type { Payload } from '../payload'
import type { Pool } from '../pool/pool'
import { type Layer, type Query, type Service, stack } from '../service'

/** Workers that a query may take down, and that may fail on it, at least or beyond those that the scheme allows for: with more the fault is its own. */
const MOST_DOWNS = 2
const MORE_FAILURES = 3

/** Whose a query is: each tenant has layers of its own, and what its answers taught. */
export interface Layered {
  /** @param workers  attempts that nobody hedges are asked of it */
  layers(workers: Service): readonly Layer[]
  readonly memory?: MemoryService | undefined
}

/** What only fleets need in which some may lie: the one that is needed is loaded. */
export interface TrustLayers {
  readonly agree?: typeof agree | undefined
  readonly sample?: typeof sample | undefined
  readonly vouch?: typeof vouch | undefined
}

export interface StackOptions extends Omit<HedgeOptions, 'pool' | 'compares' | 'mostDowns' | 'mostFailures'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
  /** Not with the paper's scheme, which asks nobody twice. */
  readonly isHedged: boolean
  /** Where answers are given as they come, and some are audited. */
  readonly sampled?: SampleOptions['sampling'] | undefined
  /** Where anybody may join. */
  readonly strangers?: VouchOptions['trust'] | undefined
  /** Those to go through, from those that queries would go through. */
  readonly layers?: ((own: readonly Layer[]) => readonly Layer[]) | undefined
  readonly trustLayers?: TrustLayers | undefined
  /** What is believed of workers. Default: all. */
  readonly trust?: (Witnesses & AuditOptions['trust']) | undefined
  /** What workers' faults a query has to live with. Default: none. */
  readonly scheme?: { readonly byzantine: number; readonly stragglers: number }
  /** Whether the model's first answers speak against how they are read. Default: nothing does. */
  readonly isDoubted?: () => boolean
  /** What answers queries that no worker is asked for: `cache`, `remember`, `coalesce`. */
  readonly unasked?: readonly Layer[] | undefined
  /** undefined: it has none yet, and is refused. */
  tenantOf(query: Query): Layered | undefined
}

/** @throws TypeError where `layers` gives anything but layers */
export function stackOf({
  tenantOf,
  isHedged,
  layers,
  trust,
  sampled,
  strangers,
  scheme,
  isDoubted = () => false,
  unasked = [],
  trustLayers: { agree, sample, vouch } = {},
  ...options
}: StackOptions): Service {
  const { clock, pool } = options
  const { byzantine: liars, stragglers } = scheme ?? { byzantine: 0, stragglers: 0 }
  const compares = agree !== undefined && trust !== undefined && liars > 0
  const most = { mostDowns: Math.max(MOST_DOWNS, stragglers + liars + 1), mostFailures: stragglers + MORE_FAILURES }
  const memoryOf = (query: Query) => tenantOf(query)?.memory
  const workers = poolService(pool)
  const sampledBy = sampled && sample
  const parities = sampledBy ? stack(workers, sampledBy({ sampling: sampled })) : workers
  const own = [limit({ clock }), ...unasked, byTenant(tenantOf, parities)]
  if (sampledBy) own.push(sampledBy({ sampling: sampled, memoryOf }))
  else if (compares) own.push(agree({ ...options, trust, liars, mostDowns: most.mostDowns, memoryOf, isDoubted }))
  else if (trust && !strangers) own.push(audit({ trust }))
  if (isHedged) own.push(hedge({ ...options, ...most, compares }))
  if (strangers && vouch) own.push(vouch({ trust: strangers, pool }))
  const all = layers ? layers(own) : own
  if (!Array.isArray(all) || !all.every((each) => typeof each === 'function'))
    throw new TypeError(expected('layers', 'a function that gives an array of layers', all))
  return stack(workers, ...all)
}

/** @param parities  asked of coded queries that are nobody's */
function byTenant(tenantOf: StackOptions['tenantOf'], parities: Service): Layer {
  return (next) => {
    const services = new WeakMap<Layered, Service>()
    return (query, caller) => {
      const tenant = tenantOf(query)
      if (!tenant) return next(query, caller)
      let own = services.get(tenant)
      if (!own) {
        own = stack(next, ...tenant.layers(parities))
        services.set(tenant, own)
      }
      return own(query, caller)
    }
  }
}
