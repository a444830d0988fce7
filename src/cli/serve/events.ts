/**
 * /events: a stream (server-sent events) of what happens to queries, workers, models and requests, in batches ten times a second. It contains
 * no inputs, outputs, or error messages of workers. The last ten seconds are kept for clients that connect later.
 */

import type { PredictorEvent, RecallEvent } from '../../events'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { QueryRecord } from './journal'
import { type Connection, problem } from './listen'
import { tokenOf } from './tokens'

/** The interval between two batches, ms. */
const EVERY_MS = 100
/** A batch with this many events of a model is sent at once. */
const MOST_IN_BATCH = 4000
/** How many events become JSON at a time: objects that wait longer cost as much garbage collection as writing them. */
const WRITTEN = 100
/** How long events are kept for clients that connect later, ms. */
const KEPT_MS = 10_000
/** The most events that are kept: some 6 MB. */
const MOST_KEPT = 50_000
/** The most bytes that wait for a slow client. Beyond, its connection is cut. */
const MOST_BEHIND = 4 * 1024 * 1024
const MOST_CLIENTS = 32
/** Clients that are written to in a row: 32 took a millisecond, for which requests waited ten times a second. */
const WRITES = 4
/** The interval of comments that keep proxies from closing a stream without events. */
const HEARTBEAT_MS = 15_000

/** The event of an answered request. `queries`: the numbers that the events of its queries carry. */
interface RequestTold {
  readonly event: 'request'
  readonly at: number
  readonly id: string | undefined
  readonly status: number
  readonly ms: number
  readonly rows: number
  readonly queries: readonly number[]
  readonly traceparent: string | undefined
}

/** A part of a recall of many answers; `of`: how many answers all parts have together. */
type RecallTold = RecallEvent & { readonly of: number }

type ServerEvent = PredictorEvent | RequestTold | RecallTold

/** The next batch of one model: events that wait to be sent. */
class WaitingEvents {
  readonly #model: string
  #events: ServerEvent[] = []
  #written: string[] = []
  count = 0
  /** The time of the latest event. */
  at = 0

  constructor(model: string) {
    this.#model = model
  }

  push(event: ServerEvent): void {
    this.count++
    this.at = event.at
    if (this.#events.push(event) === WRITTEN) this.#write()
  }

  #write(): void {
    if (this.#events.length) this.#written.push(JSON.stringify(this.#events).slice(1, -1))
    this.#events = []
  }

  /** The batch as a server-sent event. */
  get text(): string {
    this.#write()
    return `event: batch\ndata: {"model":${JSON.stringify(this.#model)},"events":[${this.#written}]}\n\n`
  }
}

/** A batch that was sent, and the time of its latest event. */
interface KeptBatch {
  readonly model: string
  readonly bytes: Uint8Array
  readonly count: number
  readonly at: number
}

interface Client {
  /** The model whose events the client wants; null: all models. */
  readonly model: string | null
  /** The token of the client's request, if it had one. */
  readonly token: string | undefined
  readonly stream: ReadableStreamDefaultController<Uint8Array>
  readonly connection: Connection
}

export class EventFeed {
  readonly #clients = new Set<Client>()
  readonly #encoder = new TextEncoder()
  readonly #heartbeat
  /** The next batch of each model. */
  readonly #waiting = new Map<string, WaitingEvents>()
  #timer: NodeJS.Timeout | undefined
  /** The batches of the last ten seconds, the oldest first. */
  #kept: KeptBatch[] = []
  #keptCount = 0
  /** What is being sent, the oldest first, and to whom it still has to go. */
  readonly #sending: { readonly bytes: Uint8Array; readonly clients: Client[] }[] = []

  constructor(private readonly onDrop: () => void) {
    this.#heartbeat = setInterval(() => this.#send(this.#encoder.encode(': still here\n\n')), HEARTBEAT_MS).unref()
  }

  get clients(): number {
    return this.#clients.size
  }

  /** A stream of events from now on. '?since=TIME' also sends the kept batches from that time on; '?model=NAME' limits it to one model. */
  response(request: Request, connection: Connection): Response {
    if (this.#clients.size >= MOST_CLIENTS) {
      return problem(503, `events: expected at most ${MOST_CLIENTS} clients, got one more`, { 'retry-after': '60' })
    }
    const { searchParams } = new URL(request.url)
    const model = searchParams.get('model')
    const since = momentOf(searchParams.get('since'))
    if (Number.isNaN(since)) {
      const got = JSON.stringify(searchParams.get('since'))
      return problem(400, `since: expected milliseconds since 1970 or a time as 2026-12-01T12:00:00Z, got ${got}`)
    }
    let client: Client | undefined
    const body = new ReadableStream<Uint8Array>(
      {
        start: (stream) => {
          this.#flush() // otherwise the next batch would contain events from before the request
          client = { model, token: tokenOf(request, connection), stream, connection }
          stream.enqueue(this.#encoder.encode(': approxifer events\n\n'))
          for (const batch of this.#kept)
            if (batch.at >= since && (model === null || batch.model === model)) stream.enqueue(batch.bytes)
          this.#clients.add(client)
        },
        cancel: () => {
          if (client) this.#clients.delete(client)
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MOST_BEHIND }),
    )
    return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } })
  }

  /** Adds an event. @param event  is changed: its time becomes milliseconds since 1970 */
  tell(model: string, event: PredictorEvent | RecallTold): void {
    ;(event as { at: number }).at = sinceEpoch(event.at)
    this.#push(model, event)
  }

  request(model: string, event: RequestEvent, records: readonly QueryRecord[]): void {
    const { route, id, status, ms, queries: rows, traceparent } = event
    if (!isInference(route)) return
    const queries = records.map(({ query }) => query)
    const at = sinceEpoch(performance.now())
    this.#push(model, { event: 'request', at, id, status, ms, rows, queries, traceparent })
  }

  /** Ends the streams of clients whose token is no longer valid. */
  keep(may: (token: string | undefined) => boolean): void {
    for (const client of this.#clients) {
      if (may(client.token)) continue
      this.#clients.delete(client)
      client.stream.close()
    }
  }

  close(): void {
    clearInterval(this.#heartbeat)
    this.#flush()
    while (this.#sending.length) this.#sendSome(MOST_CLIENTS)
    this.keep(() => false)
  }

  #push(model: string, event: ServerEvent): void {
    let waiting = this.#waiting.get(model)
    if (!waiting) {
      waiting = new WaitingEvents(model)
      this.#waiting.set(model, waiting)
    }
    waiting.push(event)
    if (waiting.count >= MOST_IN_BATCH) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), EVERY_MS).unref()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [model, waiting] of this.#waiting) {
      const bytes = this.#encoder.encode(waiting.text)
      const { count, at } = waiting
      this.#kept.push({ model, bytes, count, at })
      this.#keptCount += count
      this.#send(bytes, model)
    }
    this.#waiting.clear()
    const oldest = sinceEpoch(performance.now()) - KEPT_MS
    let gone = 0
    for (const { count, at } of this.#kept) {
      if (this.#keptCount <= MOST_KEPT && at >= oldest) break
      this.#keptCount -= count
      gone++
    }
    if (gone) this.#kept = this.#kept.slice(gone)
  }

  /** Sends bytes to the clients that want this model's events, or to all: a few at a time, and requests in between. */
  #send(bytes: Uint8Array, model?: string): void {
    const clients = [...this.#clients].filter(
      (each) => model === undefined || each.model === null || each.model === model,
    )
    if (clients.length && this.#sending.push({ bytes, clients }) === 1) this.#sendSome()
  }

  #sendSome(most = WRITES): void {
    const [batch] = this.#sending
    if (!batch) return
    for (const client of batch.clients.splice(0, most)) this.#sendTo(client, batch.bytes)
    if (!batch.clients.length) this.#sending.shift()
    if (this.#sending.length) setImmediate(() => this.#sendSome())
  }

  /** A client that reads too slowly is cut off. */
  #sendTo(client: Client, bytes: Uint8Array): void {
    if (!this.#clients.has(client)) return
    if ((client.stream.desiredSize ?? 0) >= bytes.length) client.stream.enqueue(bytes)
    else {
      this.#clients.delete(client)
      client.connection.destroy()
      this.onDrop()
    }
  }
}

/** Milliseconds since 1970, rounded: with more digits, writing a batch takes twice as long. The order of events shows in the batch. */
function sinceEpoch(ms: number): number {
  return Math.round(performance.timeOrigin + ms)
}

/** Parses '?since='. @returns milliseconds since 1970; Infinity without a value, NaN for a value that is no time */
function momentOf(text: string | null): number {
  if (text === null) return Number.POSITIVE_INFINITY
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : Date.parse(text)
}
