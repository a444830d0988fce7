/** The stack of layers from the pool up: what a query goes through, from the outside in. */

import type { Clock } from '../clock'
import { agree, type Witnesses } from '../layers/agree'
import { type AuditOptions, audit } from '../layers/audit'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import type { MemoryService } from '../memory/service'
import type { Payload } from '../payload'
import type { Pool } from '../pool/pool'
import { type Layer, type Query, type Service, stack } from '../service'

/** Workers that a query may take down at least: with more the fault is its own. */
const MOST_DOWNS = 2

/** Whose a query is: each tenant has layers of its own, and what its answers taught. */
export interface Layered {
  readonly layers: readonly Layer[]
  readonly memory?: MemoryService | undefined
}

export interface StackOptions extends Omit<HedgeOptions, 'pool' | 'compares' | 'mostDowns'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
  /** What is believed of workers. Default: all. */
  readonly trust?: (Witnesses & AuditOptions['trust']) | undefined
  /** What workers' faults a query has to live with. Default: none. */
  readonly scheme?: { readonly byzantine: number; readonly stragglers: number }
  /** Whether the model's first answers speak against how they are read. Default: nothing does. */
  readonly isDoubted?: () => boolean
  /** undefined: it has none yet, and is refused. */
  tenantOf(query: Query): Layered | undefined
}

export function stackOf({ tenantOf, trust, scheme, isDoubted = () => false, ...options }: StackOptions): Service {
  const { clock, pool } = options
  const { byzantine: liars, stragglers } = scheme ?? { byzantine: 0, stragglers: 0 }
  const compares = trust !== undefined && liars > 0
  const mostDowns = Math.max(MOST_DOWNS, stragglers + liars + 1)
  const memoryOf = (query: Query) => tenantOf(query)?.memory
  const proven = compares
    ? agree({ ...options, trust, liars, mostDowns, memoryOf, isDoubted })
    : trust && audit({ trust })
  const shared = stack(poolService(pool), ...(proven ? [proven] : []), hedge({ ...options, compares, mostDowns }))
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
