/** The event of an answered request, for logs and metrics. */

import type { Status } from '../base/prediction'
import type { Principal } from './principal'

export type Route = 'infer' | 'embeddings' | 'rerank' | 'metadata' | 'health' | 'other'

/** Whether requests of this route run a model. */
export const isInference = (route: Route) => ['infer', 'embeddings', 'rerank'].includes(route)

/** An answered request. */
export interface RequestEvent {
  /** The request, whose body has been consumed. */
  request: Request
  /** The authenticated client, if there is one. */
  principal?: Principal
  route: Route
  model?: string
  version?: string
  /** The HTTP status; 499 where the client left before the reply. */
  status: number
  /** Time from the request to its reply, including reading the body and writing the first 64 KiB. */
  ms: number
  /** The number of queries: rows of the batch. */
  queries: number
  /** How many queries were answered with each status; failed queries are not counted. */
  statuses: Record<Status, number>
  /** For inference: the W3C Trace Context of its queries, which their events carry. It is the client's, or a new one. */
  traceparent?: string
  /** The id that the client gave the request. */
  id?: string
  error?: string
}
