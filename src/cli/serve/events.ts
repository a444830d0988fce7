/**
 * /events: what happens to queries, workers, models and requests, ten times a second. Without inputs, outputs, or workers' own words. The last ten
 * seconds are kept for who comes later.
 */

import type { PredictorEvent, RecallEvent } from '../../events'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { QueryRecord } from './journal'
import { type Connection, problem } from './listen'
import { tokenOf } from './tokens'

/** How often clients are told, ms. */
const EVERY_MS = 100
/** Events of a model that are told without waiting for that; and that are written at a time: objects that live for longer take the garbage collector as long as writing them. */
const AT_ONCE = 4000
const WRITTEN = 100
/** How long events are kept for clients that come later, ms; and how many at most: some 6 MB. */
const KEPT_MS = 10_000
const MOST_KEPT = 50_000
/** Bytes that may wait for a client; one that is further behind is dropped. */
const MOST_BEHIND = 4 * 1024 * 1024
const MOST_CLIENTS = 32
/** Between two comments that keep proxies from closing a stream without events. */
const HEARTBEAT_MS = 15_000

/** What a request came to. `queries`: their numbers, by which events tell of them. */
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

/** Of answers that are recalled a part, `of` how many. */
type RecallTold = RecallEvent & { readonly of: number }

type ServerEvent = PredictorEvent | RequestTold | RecallTold

/** Events of one model that wait to be told. */
class WaitingEvents {
  readonly #model: string
  #events: ServerEvent[] = []
  #written: string[] = []
  count = 0
  /** Time of the latest. */
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

  /** As they are sent. */
  get text(): string {
    this.#write()
    return `event: batch\ndata: {"model":${JSON.stringify(this.#model)},"events":[${this.#written}]}\n\n`
  }
}

/** What was told of a model, and until when. */
interface KeptBatch {
  readonly model: string
  readonly bytes: Uint8Array
  readonly count: number
  readonly at: number
}

interface Client {
  /** Of which it wants events; null: of all. */
  readonly model: string | null
  /** That its request brought, if any. */
  readonly token: string | undefined
  readonly stream: ReadableStreamDefaultController<Uint8Array>
  readonly connection: Connection
}

export class EventFeed {
  readonly #clients = new Set<Client>()
  readonly #encoder = new TextEncoder()
  readonly #heartbeat
  /** By model: what is told in a moment. */
  readonly #waiting = new Map<string, WaitingEvents>()
  #timer: NodeJS.Timeout | undefined
  /** The latest, the oldest first. */
  #kept: KeptBatch[] = []
  #keptCount = 0

  constructor(private readonly onDrop: () => void) {
    this.#heartbeat = setInterval(() => this.#send(this.#encoder.encode(': still here\n\n')), HEARTBEAT_MS).unref()
  }

  get clients(): number {
    return this.#clients.size
  }

  /** A stream of what happens from now on, or since a moment of the last ten seconds ('?since=', and what was told together with that); '?model=NAME' is of that one alone. */
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
          this.#flush() // else it would be told of what was before
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

  /** @param event  is given away: its time becomes milliseconds since 1970 */
  tell(model: string, event: PredictorEvent | RecallTold): void {
    const told = event as { at: number }
    told.at = sinceEpoch(event.at)
    this.#push(model, event)
  }

  request(model: string, event: RequestEvent, told: readonly QueryRecord[]): void {
    const { route, id, status, ms, queries: rows, traceparent } = event
    if (!isInference(route)) return
    const queries = told.map(({ query }) => query)
    const at = sinceEpoch(performance.now())
    this.#push(model, { event: 'request', at, id, status, ms, rows, queries, traceparent })
  }

  /** Ends the streams of clients that are no longer allowed. */
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
    this.keep(() => false)
  }

  #push(model: string, event: ServerEvent): void {
    let waiting = this.#waiting.get(model)
    if (!waiting) {
      waiting = new WaitingEvents(model)
      this.#waiting.set(model, waiting)
    }
    waiting.push(event)
    if (waiting.count >= AT_ONCE) this.#flush()
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

  /** All clients get the same bytes. */
  #send(bytes: Uint8Array, model?: string): void {
    for (const client of this.#clients) {
      if (model !== undefined && client.model !== null && client.model !== model) continue
      if ((client.stream.desiredSize ?? 0) >= bytes.length) client.stream.enqueue(bytes)
      else {
        this.#clients.delete(client)
        client.connection.destroy()
        this.onDrop()
      }
    }
  }
}

/** In whole milliseconds: with more digits to write a batch takes twice as long. Events stand in their order. */
function sinceEpoch(ms: number): number {
  return Math.round(performance.timeOrigin + ms)
}

/** @returns Infinity where it is not said; NaN where it is no time */
function momentOf(text: string | null): number {
  if (text === null) return Number.POSITIVE_INFINITY
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : Date.parse(text)
}
