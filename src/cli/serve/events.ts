/**
 * /events: what happens to queries, workers, models and requests, ten times a second. Without inputs, outputs, or workers' own words. The last ten
 * seconds are kept for who comes later.
 */

import type { PredictorEvent } from '../../events'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { Recall } from '../../trust/given-answers'
import { type Connection, problem } from './listen'
import { tokenOf } from './tokens'

/** How often clients are told, ms. */
const EVERY_MS = 100
/** EventFeed that are told without waiting for that. */
const AT_ONCE = 2000
/** How long events are kept for clients that come later, ms; and how many at most: more of them cost the garbage collector more than they tell. */
const KEPT_MS = 10_000
const MOST_KEPT = 20_000
/** Bytes that may wait for a client; one that is further behind is dropped. */
const MOST_BEHIND = 4 * 1024 * 1024
const MOST_CLIENTS = 32
/** Between two comments that keep proxies from closing a stream without events. */
const HEARTBEAT_MS = 15_000

/** What a request came to. `queries`: the numbers of its queries' events, where these were answered. */
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

type ServerEvent = PredictorEvent | RequestTold | (Recall & { event: 'recalled'; at: number; of: number })

/** EventFeed of one model that are told together. */
interface EventBatch {
  readonly model: string
  readonly events: readonly ServerEvent[]
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
  readonly #waiting = new Map<string, ServerEvent[]>()
  #count = 0
  #timer: NodeJS.Timeout | undefined
  /** The latest, the oldest first. */
  #kept: EventBatch[] = []
  #keptCount = 0

  constructor(private readonly onDrop: () => void) {
    this.#heartbeat = setInterval(() => this.#send(this.#encoder.encode(': still here\n\n')), HEARTBEAT_MS).unref()
  }

  get clients(): number {
    return this.#clients.size
  }

  /** A stream of what happens from now on, or since a moment of the last ten seconds: '?since='; '?model=NAME' is of that one alone. */
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
          for (const batch of this.#kept) {
            const events = batch.events.filter(({ at }) => at >= since)
            if (events.length && (model === null || batch.model === model))
              stream.enqueue(this.#encode({ model: batch.model, events }))
          }
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
  tell(model: string, event: PredictorEvent): void {
    const told = event as { at: number }
    told.at = sinceEpoch(event.at)
    this.#push(model, event)
  }

  request(model: string, { route, id, status, ms, queries: rows, outcomes, traceparent }: RequestEvent): void {
    if (!isInference(route)) return
    const queries = outcomes.flatMap((outcome) => ('query' in outcome ? outcome.query : []))
    const at = sinceEpoch(performance.now())
    this.#push(model, { event: 'request', at, id, status, ms, rows, queries, traceparent })
  }

  /** @param part  of the answers that a worker gave before it was found to lie: `recall_id` of replies */
  recall(model: string, part: Recall & { of: number }): void {
    this.#push(model, { event: 'recalled', at: sinceEpoch(performance.now()), ...part })
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
    const waiting = this.#waiting.get(model)
    if (waiting) waiting.push(event)
    else this.#waiting.set(model, [event])
    if (++this.#count >= AT_ONCE) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), EVERY_MS).unref()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [model, events] of this.#waiting) {
      const batch = { model, events }
      this.#kept.push(batch)
      if (this.#clients.size) this.#send(this.#encode(batch), model)
    }
    this.#keptCount += this.#count
    this.#count = 0
    this.#waiting.clear()
    const oldest = sinceEpoch(performance.now()) - KEPT_MS
    let gone = 0
    for (const { events } of this.#kept) {
      if (this.#keptCount <= MOST_KEPT && (events.at(-1) as ServerEvent).at >= oldest) break
      this.#keptCount -= events.length
      gone++
    }
    if (gone) this.#kept = this.#kept.slice(gone)
  }

  #encode(batch: EventBatch): Uint8Array {
    return this.#encoder.encode(`event: batch\ndata: ${JSON.stringify(batch)}\n\n`)
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
