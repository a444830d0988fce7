/** The stack of layers from the pool up: what a query goes through, from the outside in. */

import { expected } from '../check'
import type { Clock } from '../clock'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import type { Payload } from '../payload'
import type { Pool } from '../pool/pool'
import { type Layer, type Query, type Service, stack } from '../service'

/** Whose a query is: each tenant has layers of its own. */
export interface Layered {
  readonly layers: readonly Layer[]
}

export interface StackOptions extends Omit<HedgeOptions, 'pool'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
  /** Not with the paper's scheme, which asks nobody twice. */
  readonly isHedged: boolean
  /** Those to go through, from those that queries would go through. */
  readonly layers?: ((own: readonly Layer[]) => readonly Layer[]) | undefined
  /** What answers queries that no worker is asked for: `cache`, `remember`, `coalesce`. */
  readonly unasked?: readonly Layer[] | undefined
  /** undefined: it has none yet, and is refused. */
  tenantOf(query: Query): Layered | undefined
}

/** @throws TypeError where `layers` gives anything but layers */
export function stackOf({ tenantOf, isHedged, layers, unasked = [], ...options }: StackOptions): Service {
  const { clock, pool } = options
  const own = [limit({ clock }), ...unasked, byTenant(tenantOf), ...(isHedged ? [hedge(options)] : [])]
  const all = layers ? layers(own) : own
  if (!Array.isArray(all) || !all.every((each) => typeof each === 'function'))
    throw new TypeError(expected('layers', 'a function that gives an array of layers', all))
  return stack(poolService(pool), ...all)
}

function byTenant(tenantOf: StackOptions['tenantOf']): Layer {
  return (next) => {
    const services = new WeakMap<Layered, Service>()
    return (query, caller) => {
      const tenant = tenantOf(query)
      if (!tenant) return next(query, caller)
      let own = services.get(tenant)
      if (!own) {
        own = stack(next, ...tenant.layers)
        services.set(tenant, own)
      }
      return own(query, caller)
    }
  }
}
