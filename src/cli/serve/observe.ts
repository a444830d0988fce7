/** Everything that is told of a request: a log line, metrics, a span, and reports of its groups as events. */

import type { GroupReport } from '../../serving/report'
import type { Events } from './events'
import type { Log } from './log'
import type { Metrics } from './metrics'
import type { Spans } from './spans'

export interface Observed {
  request: Request
  route: string
  model?: string
  version?: string
  status: number
  ms: number
  queries: number
  statuses: Record<string, number>
  groups: Promise<GroupReport>[]
  id?: string
  error?: unknown
}

/** @returns what the gateway calls once a request */
export function observer(log: Log, metrics: Metrics, spans: Spans, events: Events): (observed: Observed) => void {
  /** Those of several requests' queries. */
  const seen = new WeakSet<Promise<GroupReport>>()
  return (observed) => {
    const { model, groups } = observed
    metrics.request(observed)
    spans.request(observed, groups)
    logRequest(log, observed)
    if (model === undefined) return
    for (const group of groups) {
      if (seen.has(group)) continue
      seen.add(group)
      group.then((report) => {
        metrics.group(model, report)
        events.send(model, report)
      })
    }
  }
}

/** Probes come every second; they are told at 'debug'. */
function logRequest(log: Log, { route, id, model, version, status, ms, queries, statuses, error }: Observed): void {
  const level = status >= 500 ? 'error' : route === 'health' ? 'debug' : 'info'
  if (!log.isLevelEnabled(level)) return
  log[level]({
    route,
    id,
    model,
    version,
    status,
    ms: Math.round(ms * 1000) / 1000,
    rows: queries,
    statuses,
    ...reason(error),
  })
}

/** Why it failed, without what came: sentences end in ", got ...". */
function reason(error: unknown): { code?: string; reason?: string } {
  if (!(error instanceof Error)) return {}
  const { code } = error as { code?: string }
  return { ...(code !== undefined && { code }), reason: error.message.replace(/, got .*/s, '').slice(0, 300) }
}
