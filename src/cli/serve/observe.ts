/** Everything that is told of a request: a log line, metrics, a span, and reports of its groups as events. */

import { setImmediate } from 'node:timers/promises'
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import pino from 'pino'
import type { GroupReport } from '../../base/prediction'
import { clientOf } from '../../gateway/body'
import type { RequestEvent } from '../../gateway/event'
import { pathOf } from '../../gateway/routes'
import { PROBE } from '../../oip/write'
import type { Recall } from '../../trust/given-answers'
import type { Events } from './events'
import type { Metrics } from './metrics'
import type { logLevels } from './options'
import type { RefusedRequest } from './tokens'

/** Groups of a request whose reports are told at one go, a millisecond of it: a request of 10,000 rows has as many groups. */
const AT_ONCE = 100

/** @param isModel  whether there is a model of this name: others, which anybody may invent, are no label */
export function observer(
  log: Log,
  metrics: Metrics,
  spans: Spans,
  events: Events,
  isModel: (name: string) => boolean,
): (event: RequestEvent) => void {
  /** A group may have queries of several requests. */
  const numbers = new WeakMap<Promise<GroupReport>, number>()
  let groups = 0
  const numberOf = (group: Promise<GroupReport>, model: string) => {
    const known = numbers.get(group)
    if (known !== undefined) return known
    const number = ++groups
    numbers.set(group, number)
    group.then((report) => {
      metrics.group(model, report)
      events.send(model, report, number)
    })
    return number
  }
  const tell = async (event: RequestEvent, model: string) => {
    const own: number[] = []
    for (const group of event.groups) {
      if (own.length && own.length % AT_ONCE === 0) await setImmediate()
      own.push(numberOf(group, model))
    }
    events.request(model, event, own)
  }
  return (event) => {
    const model = event.model !== undefined && isModel(event.model) ? event.model : ''
    metrics.request(event, model)
    spans.request(event)
    logRequest(log, event)
    void tell(event, model)
  }
}

const MOST_TOLD = 200

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

/** Answers of a convict that nothing has proven, in pieces, so that readers can keep up. */
export async function tellRecall(
  log: Log,
  events: Events,
  model: string,
  { ids, times, ...who }: Recall,
): Promise<void> {
  for (let from = 0; from < ids.length; from += MOST_IDS) {
    const [some, given] = [ids, times].map((all) => all.slice(from, from + MOST_IDS))
    const part = { model, ...who, ids: some, times: given, of: ids.length }
    log.warn(part, 'answers of a worker that lied are recalled')
    events.recall(part)
    await setImmediate()
  }
}

/** Probes come every second; they are told at 'debug'. */
function logRequest(log: Log, event: RequestEvent): void {
  const { route, principal, id, model, version, status, ms, queries, statuses, error } = event
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
    ms: Math.round(ms * 1000) / 1000,
    rows: queries,
    statuses,
    reason,
    probe: event.request.headers.has(PROBE) || undefined,
  })
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
      for (const { row, worker, outcome, ms, error } of [...new Set(reports)].flatMap(({ rows }) => rows)) {
        span.addEvent('row', { row, worker, outcome, ms, ...(error && { error: error.code }) })
      }
      span.end(end)
    })
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
