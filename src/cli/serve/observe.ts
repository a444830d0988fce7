/** Everything that is told of a request: a log line, metrics, a span, an event. */

import { setImmediate } from 'node:timers/promises'
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import pino from 'pino'
import { noAnswers } from '../../base/prediction'
import { type RecallEvent, rounded } from '../../events'
import { clientOf } from '../../gateway/body'
import type { RequestEvent } from '../../gateway/event'
import { pathOf } from '../../gateway/routes'
import { PROBE } from '../../oip/write'
import type { EventFeed } from './events'
import type { QueryRecord, RequestJournal } from './journal'
import type { Metrics } from './metrics'
import type { logLevels } from './options'
import type { RefusedRequest } from './tokens'

/** @param isModel  whether there is a model of this name: others, which anybody may invent, are no label */
export function observer(
  log: Log,
  metrics: Metrics,
  spans: Spans,
  events: EventFeed,
  journal: Pick<RequestJournal, 'take'>,
  isModel: (name: string) => boolean,
): (event: RequestEvent) => void {
  return (event) => {
    const model = event.model !== undefined && isModel(event.model) ? event.model : ''
    const queries = journal.take(event.traceparent)
    metrics.request(event, model)
    spans.ended(event, queries)
    logRequest(log, event, queries)
    events.request(model, event, queries)
  }
}

const MOST_TOLD = 200
/** Of a request's rows, and of an answer's workers, those that stand in its log line. */
const MOST_ANSWERS = 20

/** Of requests that nobody looked at. */
export function refusals(log: Log, metrics: Metrics): (refused: RefusedRequest) => void {
  return ({ request, status, reason, name }) => {
    metrics.refused(status)
    const [path, address] = [cut(pathOf(request)), clientOf(request)?.address]
    log.info({ route: 'refused', principal: name, method: request.method, path, address, status, reason })
  }
}

/** Ids in a line and an event: a million would be 17 MB. */
const MOST_IDS = 1000

/** Answers of an ejected worker that nothing has proven, in pieces, so that readers can keep up. */
export async function tellRecall(
  log: Log,
  events: EventFeed,
  model: string,
  { event, at: _, worker, identity, tenant, ids, times }: RecallEvent,
): Promise<void> {
  for (let from = 0; from < ids.length; from += MOST_IDS) {
    const [some, given] = [ids, times].map((all) => all.slice(from, from + MOST_IDS))
    const part = { worker, identity, tenant, ids: some, times: given, of: ids.length }
    log.warn({ model, ...part }, 'answers of a worker that lied are recalled')
    events.tell(model, { event, at: performance.now(), ...part })
    await setImmediate()
  }
}

/** Probes come every second; they are told at 'debug'. */
function logRequest(log: Log, event: RequestEvent, told: readonly QueryRecord[]): void {
  const { route, principal, id, model, version, status, ms, queries, error } = event
  const statuses = Object.fromEntries(Object.entries(event.statuses).filter(([, count]) => count))
  const level = route === 'health' ? 'debug' : status >= 500 ? 'error' : 'info'
  if (!log.isLevelEnabled(level)) return
  const reason = error?.replace(/, got .*/s, '') // what came is nobody's business
  log[level]({
    route,
    principal: principal?.name,
    id: cut(id),
    model: cut(model),
    version: cut(version),
    status,
    ms: rounded(ms),
    rows: queries,
    statuses,
    answers: told.length ? told.slice(0, MOST_ANSWERS).map(answerOf) : undefined,
    trace: event.traceparent?.split('-')[1],
    reason,
    probe: event.request.headers.has(PROBE) || undefined,
  })
}

const NO_ANSWERS = noAnswers()

/** Of a query: how it ended, who was asked for it, why, and what came of it; of a recovered one what it was made from, why, and how sure that is. */
function answerOf({ query, ended, recovered, attempts }: QueryRecord) {
  const { status, confidence, workers = [], reused, queuedMs, ranMs } = ended ?? {}
  const isSure = status === undefined || !(status in NO_ANSWERS) || confidence === 1
  return {
    query,
    status,
    ...(!isSure && { confidence: confidence === undefined ? 'unknown' : rounded(confidence) }),
    ...(recovered && { recovered: recovered.why, from: recovered.source }),
    ...(reused && { reused }),
    ...(workers.length && { workers: workers.slice(0, MOST_ANSWERS) }),
    queuedMs,
    ranMs,
    ...(attempts.length && { attempts: attempts.slice(0, MOST_ANSWERS) }),
  }
}

function cut(text: string | undefined): string | undefined {
  return text?.slice(0, MOST_TOLD)
}

const headers = {
  get: (request: Request, name: string) => request.headers.get(name) ?? undefined,
  keys: () => [],
}

/** A span per request and an event per row: they go wherever the process has an SDK of OpenTelemetry send them. */
export class Spans {
  readonly #tracer = trace.getTracer('approxifer')
  /** Of requests for inference under way. */
  readonly #open = new WeakMap<Request, Span>()

  /** Begins a request's span. @returns its W3C Trace Context, for the workers; undefined where nobody records it */
  begin(request: Request): string | undefined {
    const parent = propagation.extract(context.active(), request, headers)
    const span = this.#tracer.startSpan('infer', { kind: SpanKind.SERVER }, parent)
    this.#open.set(request, span)
    if (!span.isRecording()) return undefined
    const { traceId, spanId, traceFlags } = span.spanContext()
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
  }

  ended({ request, route, model, version, status, ms, queries }: RequestEvent, told: readonly QueryRecord[]): void {
    const end = Date.now()
    const name = model === undefined ? route : `${route} ${model}`
    const span = this.#open.get(request) ?? this.#begun(request, end - ms) // one that is not for inference
    span.updateName(name)
    span.setAttributes({
      'http.request.method': request.method,
      'http.response.status_code': status,
      'approxifer.queries': queries,
      ...(model !== undefined && { 'approxifer.model': model }),
      ...(version !== undefined && { 'approxifer.version': version }),
    })
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    for (const record of span.isRecording() ? told.slice(0, MOST_ANSWERS) : []) {
      const { attempts = [], ...answer } = answerOf(record)
      span.addEvent('row', { ...answer, attempts: attempts.map(({ worker, why, was }) => `${worker}, ${why}: ${was}`) })
    }
    span.end(end)
  }

  #begun(request: Request, startTime: number): Span {
    const parent = propagation.extract(context.active(), request, headers)
    return this.#tracer.startSpan('other', { kind: SpanKind.SERVER, startTime }, parent)
  }
}

/** Bytes written at once, and those that may wait for a reader that does not read: lines beyond are lost, not the server. */
const CHUNK = 4096
const MOST_WAITING = 16 * 1024 * 1024
const FLUSH_MS = 200

export type Log = pino.Logger

export interface Logging {
  log: Log
  flush(): void
}

/** One line of JSON per request and per thing worth knowing, to stdout. Never what a query or an answer was. */
export function openLog(level: (typeof logLevels)[number]): Logging {
  const out = pino.destination({
    dest: 1,
    sync: false,
    minLength: CHUNK,
    maxLength: MOST_WAITING,
    periodicFlush: FLUSH_MS,
  })
  out.on('error', () => {}) // nobody reads any more
  const settings: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name) => ({ level: name }) },
    serializers: { err: pino.stdSerializers.errWithCause }, // the other adds the causes' words to ours, which have them already
  }
  const log = pino(settings, out)
  return {
    log,
    flush: () => {
      try {
        out.flushSync()
      } catch {} // not open yet, or nobody reads any more
    },
  }
}
