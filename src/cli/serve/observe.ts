/** Reports requests: in the log, in metrics, as spans, and as events. */

import { setImmediate } from 'node:timers/promises'
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import pino from 'pino'
import { noAnswers } from '../../base/prediction'
import { type RecallEvent, rounded, type WorkerEvent } from '../../events'
import { clientOf } from '../../gateway/body'
import type { RequestEvent } from '../../gateway/event'
import { pathOf } from '../../gateway/routes'
import { PROBE } from '../../oip/write'
import type { EventFeed } from './events'
import type { QueryRecord, RequestJournal } from './journal'
import type { Metrics } from './metrics'
import type { logLevels } from './options'
import type { RefusedRequest } from './tokens'

/** @param isModel  whether a model of this name exists: a label of any other name would let clients create metrics without end */
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

/** The most characters of a client's text in a log line. */
const MOST_CHARACTERS = 200
/** The most rows of a request, and the most workers and attempts of a row, in a log line. */
const MOST_ANSWERS = 20

/** Reports requests that were refused by their token, before they reached the gateway. */
export function refusals(log: Log, metrics: Metrics): (refused: RefusedRequest) => void {
  return ({ request, status, reason, name }) => {
    metrics.refused(status)
    const [path, address] = [cut(pathOf(request)), clientOf(request)?.address]
    log.info({ route: 'refused', principal: name, method: request.method, path, address, status, reason })
  }
}

/** The most ids in a log line or an event: a million ids would be 17 MB. */
const MOST_IDS = 1000

/** Reports that unproven answers of an ejected worker are recalled, in pieces, so that slow readers keep up. */
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

/** Reports a worker that has joined a model, or left it. */
export function tellMember(log: Log, model: string, { event, worker }: WorkerEvent): void {
  log.info({ model, worker }, event === 'joined' ? 'a worker has joined' : 'a worker has left')
}

/** Writes a request's log line; for health probes, which come every second, at level 'debug'. */
function logRequest(log: Log, event: RequestEvent, records: readonly QueryRecord[]): void {
  const { route, principal, id, model, version, status, ms, queries, error } = event
  const statuses = Object.fromEntries(Object.entries(event.statuses).filter(([, count]) => count))
  const level = route === 'health' ? 'debug' : status >= 500 ? 'error' : 'info'
  if (!log.isLevelEnabled(level)) return
  const reason = error?.replace(/, got .*/s, '') // a client's values must not be logged
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
    answers: records.length ? records.slice(0, MOST_ANSWERS).map(answerOf) : undefined,
    trace: event.traceparent?.split('-')[1],
    reason,
    probe: event.request.headers.has(PROBE) || undefined,
  })
}

const NO_ANSWERS = noAnswers()

/** A query as log lines and spans show it: its status, its attempts at workers and, if it was recovered, the source, the cause and the confidence. */
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
  return text?.slice(0, MOST_CHARACTERS)
}

const headers = {
  get: (request: Request, name: string) => request.headers.get(name) ?? undefined,
  keys: () => [],
}

/** OpenTelemetry: a span per request, with an event per row. An OpenTelemetry SDK in the process exports them. */
export class Spans {
  readonly #tracer = trace.getTracer('approxifer')
  /** The spans of inference requests under way. */
  readonly #open = new WeakMap<Request, Span>()

  /** Begins a request's span. @returns its W3C Trace Context, for the workers; undefined where no SDK records it */
  begin(request: Request): string | undefined {
    const parent = propagation.extract(context.active(), request, headers)
    const span = this.#tracer.startSpan('infer', { kind: SpanKind.SERVER }, parent)
    this.#open.set(request, span)
    if (!span.isRecording()) return undefined
    const { traceId, spanId, traceFlags } = span.spanContext()
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
  }

  ended({ request, route, model, version, status, ms, queries }: RequestEvent, records: readonly QueryRecord[]): void {
    const end = Date.now()
    const name = model === undefined ? route : `${route} ${model}`
    const span = this.#open.get(request) ?? this.#begun(request, end - ms) // `begin` is called for inference only
    span.updateName(name)
    span.setAttributes({
      'http.request.method': request.method,
      'http.response.status_code': status,
      'approxifer.queries': queries,
      ...(model !== undefined && { 'approxifer.model': model }),
      ...(version !== undefined && { 'approxifer.version': version }),
    })
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    for (const record of span.isRecording() ? records.slice(0, MOST_ANSWERS) : []) {
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

/** The log is written in pieces of at least this many bytes. */
const CHUNK = 4096
/** The most bytes that wait while stdout's reader does not read. Further lines are lost: otherwise memory would run out. */
const MOST_WAITING = 16 * 1024 * 1024
const FLUSH_MS = 200

export type Log = pino.Logger

export interface Logging {
  log: Log
  flush(): void
}

/** A log on stdout: a line of JSON for each request and each notable event. It never contains inputs or outputs. */
export function openLog(level: (typeof logLevels)[number]): Logging {
  const out = pino.destination({
    dest: 1,
    sync: false,
    minLength: CHUNK,
    maxLength: MOST_WAITING,
    periodicFlush: FLUSH_MS,
  })
  out.on('error', () => {}) // stdout's reader is gone
  const settings: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name) => ({ level: name }) },
    serializers: { err: pino.stdSerializers.errWithCause }, // `err` would append the causes' messages, which ours contain already
  }
  const log = pino(settings, out)
  return {
    log,
    flush: () => {
      try {
        out.flushSync()
      } catch {} // stdout is not open yet, or its reader is gone
    },
  }
}
