/** The stack of layers from the pool up: what a query goes through, from the outside in. */

import type { Clock } from '../clock'
import { type HedgeOptions, hedge } from '../layers/hedge'
import { limit } from '../layers/limit'
import { poolService } from '../layers/pool-service'
import type { Payload } from '../payload'
import type { Pool } from '../pool/pool'
import { type Service, stack } from '../service'

export interface StackOptions extends Omit<HedgeOptions, 'pool'> {
  readonly clock: Clock
  readonly pool: Pool<Payload, Payload>
}

export function stackOf({ clock, pool, lateness, budget, counts }: StackOptions): Service {
  return stack(poolService(pool), limit({ clock }), hedge({ clock, lateness, budget, pool, counts }))
}
