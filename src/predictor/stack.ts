/** The stack of layers from the pool up: what a query goes through, from the outside in. */

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
  /** undefined: it has none yet, and is refused. */
  tenantOf(query: Query): Layered | undefined
}

export function stackOf({ tenantOf, isHedged, ...options }: StackOptions): Service {
  const { clock, pool } = options
  const shared = stack(poolService(pool), ...(isHedged ? [hedge(options)] : []))
  return stack(byTenant(tenantOf, shared), limit({ clock }))
}

function byTenant(tenantOf: StackOptions['tenantOf'], shared: Service): Service {
  const services = new WeakMap<Layered, Service>()
  return (query, caller) => {
    const tenant = tenantOf(query)
    if (!tenant) return shared(query, caller)
    let own = services.get(tenant)
    if (!own) {
      own = stack(shared, ...tenant.layers)
      services.set(tenant, own)
    }
    return own(query, caller)
  }
}
