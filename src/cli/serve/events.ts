/** /events: reports of groups, recalled answers, how new models fare and, with '?requests', what each request came to. Without inputs, outputs, or workers' own words. */

import type { GroupReport } from '../../base/prediction'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { ModelVersionReport } from '../../predictor/options'
import type { Recall } from '../../trust/given-answers'
import { type Connection, problem } from './listen'
import { tokenOf } from './tokens'

/** Bytes that may wait for a client; one that is further behind is dropped. */
const MOST_BEHIND = 256 * 1024
const MOST_CLIENTS = 32
/** Between two comments that keep proxies from closing a stream without reports. */
const HEARTBEAT_MS = 15_000

interface Client {
  /** Of which it wants reports; null: of all. */
  model: string | null
  /** Whether it wants requests, too. */
  requests: boolean
  /** That its request brought, if any. */
  token: string | undefined
  stream: ReadableStreamDefaultController<Uint8Array>
  connection: Connection
}

export class Events {
  readonly #clients = new Set<Client>()
  readonly #encoder = new TextEncoder()
  readonly #heartbeat
  #sent = 0

  constructor(private readonly onDrop: () => void) {
    this.#heartbeat = setInterval(() => this.#tell(': still here\n\n'), HEARTBEAT_MS).unref()
  }

  get clients(): number {
    return this.#clients.size
  }

  /** A stream of what is reported from now on; '?model=NAME' is of that one alone. */
  response(request: Request, connection: Connection): Response {
    if (this.#clients.size >= MOST_CLIENTS) {
      return problem(503, `events: expected at most ${MOST_CLIENTS} clients, got one more`, { 'retry-after': '60' })
    }
    const { searchParams } = new URL(request.url)
    const [model, requests] = [searchParams.get('model'), searchParams.has('requests')]
    let client: Client | undefined
    const body = new ReadableStream<Uint8Array>(
      {
        start: (stream) => {
          client = { model, requests, token: tokenOf(request, connection), stream, connection }
          this.#clients.add(client)
          stream.enqueue(this.#encoder.encode(': approxifer group reports\n\n'))
        },
        cancel: () => {
          if (client) this.#clients.delete(client)
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MOST_BEHIND }),
    )
    return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } })
  }

  /** @param group  its number */
  send(model: string, report: GroupReport, group: number): void {
    if (!this.#clients.size) return
    const rows = report.rows.map(({ error, ...row }) => (error ? { ...row, error: error.code } : row))
    const data = JSON.stringify({ model, time: new Date().toISOString(), group, ...report, rows })
    this.#tell(`event: group\nid: ${++this.#sent}\ndata: ${data}\n\n`, model)
  }

  /** @param groups  numbers of those that its rows were in */
  request(model: string, { route, id, status, ms, queries, statuses }: RequestEvent, groups: readonly number[]): void {
    if (!isInference(route) || !this.#clients.size) return
    const data = JSON.stringify({ model, time: new Date().toISOString(), id, status, ms, queries, statuses, groups })
    this.#tell(`event: request\ndata: ${data}\n\n`, model, ({ requests }) => requests)
  }

  /** @param part  of the answers that a worker gave before it was found to lie: `recall_id` of replies */
  recall(part: Recall & { model: string; of: number }): void {
    this.#tellOf('recall', part)
  }

  /** Of a model of the workers, when it is something else than before. */
  modelVersion(report: ModelVersionReport & { model: string }): void {
    this.#tellOf('model_version', report)
  }

  #tellOf(event: string, what: { model: string }): void {
    if (!this.#clients.size) return
    const data = JSON.stringify({ time: new Date().toISOString(), ...what })
    this.#tell(`event: ${event}\ndata: ${data}\n\n`, what.model)
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
    this.keep(() => false)
  }

  #tell(text: string, model?: string, wants = (_: Client) => true): void {
    const bytes = this.#encoder.encode(text)
    for (const client of this.#clients) {
      if ((model !== undefined && client.model !== null && client.model !== model) || !wants(client)) continue
      if ((client.stream.desiredSize ?? 0) >= bytes.length) client.stream.enqueue(bytes)
      else {
        this.#clients.delete(client)
        client.connection.destroy()
        this.onDrop()
      }
    }
  }
}
