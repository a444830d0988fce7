/** The identity behind a request, as the server authenticated it, and what it may do. */

import { expected } from '../base/check'
import type { Priority } from '../predictor/options'
import { clientOf } from './body'
import type { RequestEvent } from './event'
import type { RequestChoices } from './infer'
import { Refusal } from './refusal'

/** The highest first. */
export const priorities: readonly Priority[] = ['high', 'normal', 'low']

/** Without one a request may what its parameters say, and change nothing of what serves. */
export interface Principal {
  /** What the log calls it. */
  readonly name?: string
  /** What tells it from others that ask, where it has no name of its own; else the address does. */
  readonly caller?: string
  /** Whose its queries are: its requests may name no other. Default: whom they name */
  readonly tenant?: string
  /** Of its tenant, or of it where it has none, where queries of several wait: turns that it has for one of another's. */
  readonly weight?: number
  /** The highest that its queries may have, and what they have where they say nothing. */
  readonly priority?: Priority
  /** All that it may ask. */
  readonly models?: readonly string[]
  /** It may change which model serves: see `promote` and `refuse`. */
  readonly operator?: boolean
  /** Told how many queries a request of its has, when it has been read. */
  onQueries?(queries: number): void
}

/** Who asks: callers take turns, and have a part each of what there is room for. */
export function clientKeyOf({ principal, request }: Pick<RequestEvent, 'principal' | 'request'>): string | undefined {
  return principal?.caller ?? principal?.name ?? clientOf(request)?.address
}

export function mayAsk({ models }: Principal = {}, model: string): boolean {
  return !models || models.includes(model)
}

/** @throws Refusal 403, whether there is such a model or not */
export function checkModel(principal: Principal | undefined, model: string): void {
  if (!mayAsk(principal, model))
    throw new Refusal(
      403,
      expected('the model', `one of ${principal?.models?.join(', ')}, which its token may ask`, model),
    )
}

/**
 * Of a request that changes what serves. A page of another origin has a browser send one that may reach the server, and bring what the
 * browser knows, though the page reads no answer: none is an operator's, whichever origins may ask.
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
  const origin = request.headers.get('origin')
  if (origin === null || hostOf(origin) === hostOf(request.url)) return
  throw new Refusal(403, expected('Origin', "none or the server's own: no page of another changes what serves", origin))
}

/** Schemes may differ: behind a proxy with TLS the server knows nothing of that. */
function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

/** What a request chooses, where it may. @throws Refusal 403 */
export function permitted<T extends Pick<RequestChoices, 'tenant' | 'priority' | 'weight'>>(
  choices: T,
  { tenant, priority, weight }: Principal = {},
): T {
  const { tenant: other = tenant, priority: wanted = priority } = choices
  if (tenant !== undefined && other !== tenant) {
    throw new Refusal(403, expected('parameters.tenant', tenant ? `'${tenant}'` : 'none with this token', other))
  }
  const rank = priorities.indexOf(wanted as Priority) // of none the predictor says what it may be
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
