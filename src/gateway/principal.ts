/** The authenticated client of a request (its principal), and its permissions. */

import { expected } from '../base/check'
import type { Priority } from '../predictor/options'
import { clientOf } from './body'
import type { RequestEvent } from './event'
import type { RequestChoices } from './infer'
import { foreignOrigin } from './origins'
import { Refusal } from './refusal'

/** All priorities, the highest first. */
export const priorities: readonly Priority[] = ['high', 'normal', 'low']

/** The authenticated client of a request. A request without a principal may use all parameters, but not change which model version serves. */
export interface Principal {
  /** Its name in the log. */
  readonly name?: string
  /** Its key in fair queueing. Default: its name; without either, the client's address. */
  readonly caller?: string
  /** The tenant of its queries: a request may name no other. Default: the tenant that the request names */
  readonly tenant?: string
  /** Its share in fair queueing (its tenant's, if it has one): turns per turn of a caller of weight 1. */
  readonly weight?: number
  /** The highest priority of its queries, and the default. */
  readonly priority?: Priority
  /** The models that it may ask. Default: all */
  readonly models?: readonly string[]
  /** Whether it may change which model version serves: see `promote` and `refuse`. */
  readonly operator?: boolean
  /** Called with the number of a request's queries, once the request has been read. */
  onQueries?(queries: number): void
}

/** The key by which callers take turns in fair queueing and share limits. */
export function clientKeyOf({ principal, request }: Pick<RequestEvent, 'principal' | 'request'>): string | undefined {
  return principal?.caller ?? principal?.name ?? clientOf(request)?.address
}

export function mayAsk({ models }: Principal = {}, model: string): boolean {
  return !models || models.includes(model)
}

/** @throws Refusal 403 for a model that the principal may not ask, whether it exists or not */
export function checkModel(principal: Principal | undefined, model: string): void {
  if (!mayAsk(principal, model))
    throw new Refusal(
      403,
      expected('the model', `one of ${principal?.models?.join(', ')}, which its token may ask`, model),
    )
}

/**
 * Checks a request that changes which model version serves. It must be an operator's, and not from a web page of another origin
 * (CSRF): a browser sends such a request, with the user's credentials, even if the page cannot read the reply.
 *
 * @throws Refusal 403
 */
export function checkOperator({ principal, request }: Pick<RequestEvent, 'principal' | 'request'>): void {
  if (!principal?.operator) {
    throw new Refusal(
      403,
      "the request: expected an operator's, on --admin-port or with a token that has operator: true, got another",
    )
  }
  const origin = foreignOrigin(request)
  if (origin === undefined) return
  throw new Refusal(
    403,
    expected('Origin', "none or the server's own: pages of other origins may not change which model serves", origin),
  )
}

/** The choices of a request, with the principal's tenant, weight and priority. @throws Refusal 403 for choices that it does not permit */
export function permitted<T extends Pick<RequestChoices, 'tenant' | 'priority' | 'weight'>>(
  choices: T,
  { tenant, priority, weight }: Principal = {},
): T {
  const { tenant: other = tenant, priority: wanted = priority } = choices
  if (tenant !== undefined && other !== tenant) {
    throw new Refusal(403, expected('parameters.tenant', tenant ? `'${tenant}'` : 'none with this token', other))
  }
  const rank = priorities.indexOf(wanted as Priority) // the predictor refuses an unknown priority
  if (priority !== undefined && rank >= 0 && rank < priorities.indexOf(priority)) {
    throw new Refusal(403, expected('parameters.priority', `'${priority}' at most with this token`, wanted))
  }
  return {
    ...choices,
    ...(tenant !== undefined && { tenant }),
    ...(weight && { weight }),
    ...(wanted !== undefined && { priority: wanted }),
  }
}
