/**
 * A span per request and an event per row, through OpenTelemetry's API: they go wherever the process has an SDK send them, and nowhere
 * without one.
 */

import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { RequestEvent } from '../../gateway/event'
import type { GroupReport } from '../../query/report'

const headers = {
  get: (request: Request, name: string) => request.headers.get(name) ?? undefined,
  keys: () => [],
}

export class Spans {
  readonly #tracer = trace.getTracer('approxifer')

  /** The request was answered just now. The span ends then, though it is told of when its groups are complete. */
  request({ request, route, model, version, status, ms, queries, groups }: RequestEvent): void {
    const end = Date.now()
    const parent = propagation.extract(context.active(), request, headers)
    const name = model === undefined ? route : `${route} ${model}`
    const span = this.#tracer.startSpan(name, { kind: SpanKind.SERVER, startTime: end - ms }, parent)
    if (!span.isRecording()) return span.end(end)
    span.setAttributes({
      'http.request.method': request.method,
      'http.response.status_code': status,
      'approxifer.queries': queries,
      ...(model !== undefined && { 'approxifer.model': model }),
      ...(version !== undefined && { 'approxifer.version': version }),
    })
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    Promise.all(groups).then((reports) => {
      for (const report of new Set(reports)) this.#rows(span, report)
      span.end(end)
    })
  }

  #rows(span: Span, { rows }: GroupReport): void {
    for (const { row, worker, outcome, ms, error } of rows) {
      span.addEvent('row', { row, worker, outcome, ms, ...(error && { error: error.code }) })
    }
  }
}
