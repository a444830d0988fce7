/** The stack of layers from the pool up: what a query goes through, from the outside in. */

import type { Clock } from '../clock'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import { type RecoverOptions, recover } from '../layers/recover'
import type { Payload } from '../payload'
import type { Pool } from '../pool/pool'
import { type Layer, type Query, type Service, stack } from '../service'
import type { Tenant } from './tenants'

export interface StackOptions extends Omit<HedgeOptions, 'pool'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
  /** Whose a query is, and what its late or lost answers are recovered from; absent where they are not. */
  readonly tenantOf?: ((query: Query) => Tenant) | undefined
  readonly recovery?: ((tenant: Tenant) => Omit<RecoverOptions, 'clock' | 'lateness'> | undefined) | undefined
}

export function stackOf({ tenantOf, recovery, ...options }: StackOptions): Service {
  const { clock, pool, lateness } = options
  const all = stack(poolService(pool), hedge(options))
  const recovers = (tenant: Tenant): Layer[] => {
    const own = recovery?.(tenant)
    return own ? [recover({ ...own, clock, lateness })] : []
  }
  const ofTenant = tenantOf ? byTenant(tenantOf, (tenant) => stack(all, ...recovers(tenant))) : all
  return stack(ofTenant, limit({ clock }))
}

/** Each tenant's own services. */
function byTenant(tenantOf: (query: Query) => Tenant, make: (tenant: Tenant) => Service): Service {
  const services = new WeakMap<Tenant, Service>()
  return (query, caller) => {
    const tenant = tenantOf(query)
    const known = services.get(tenant) ?? make(tenant)
    services.set(tenant, known)
    return known(query, caller)
  }
}
