/** What became of a request, for logs and metrics. */

import type { Status } from '../base/prediction'
import type { Principal } from './principal'

export type Route = 'infer' | 'embeddings' | 'rerank' | 'metadata' | 'health' | 'other'

/** Whether a model is asked there. */
export const isInference = (route: Route) => ['infer', 'embeddings', 'rerank'].includes(route)

/** What became of a request. */
export interface RequestEvent {
  /** Its body has been read. */
  request: Request
  /** Who asked, where that was said. */
  principal?: Principal
  route: Route
  model?: string
  version?: string
  /** Of HTTP; 499 where the client was gone. */
  status: number
  /** From the request to its answer, reading it and writing the first 64 KiB included. */
  ms: number
  /** Rows of the batch. */
  queries: number
  /** How many of them ended how; those that failed are in none. */
  statuses: Record<Status, number>
  /** W3C Trace Context of its queries, by which their events name them: the client's, or a new one. Of requests for inference. */
  traceparent?: string
  /** The client's. */
  id?: string
  error?: string
}
