/** Callers of a gateway in the simulation: their requests come in pieces, stop, are cut off, are nonsense; some leave, some do not read their replies. */

import { seeded } from '../../src/base/random'
import type { Other } from './elements'
import type { Network } from './network'
import { packedOr, unpacked, wronglyPacked } from './packing'
import { MOST_BYTES, nonsense, type Read, readReply, request, type Sent } from './requests'
import type { Event } from './schedule'
import type { Wire } from './wire'

type Ask = Event & { what: 'ask' }

/** Whom callers tell what they asked and were told. */
export interface Witness {
  /** All of it is there now. @returns to be told of how the query ended */
  asked(event: Ask): { answered(told: Told): void; failed(code: string): void; left(): void }
  sent(exchange: number, kind: Kind): void
  /** @param why  of nonsense, which; else what hindered it @param version  of the model that answered */
  told(exchange: number, status: number, why: string, version?: string): void
}

export interface Told {
  status: string
  confidence: number | undefined
  values: Float32Array
  /** Of what is no float32. */
  bits?: string | undefined
  workers: readonly string[]
  /** What a gateway does not tell. */
  id?: number | undefined
  reused?: boolean | undefined
}

export type Kind = 'good' | 'nonsense' | 'stopped'

/** What a status code says of a query, as far as it does. */
const CODES: Record<number, string> = { 429: 'OVERLOADED', 499: 'ABORTED', 503: 'WORKER', 504: 'DEADLINE' }
/** After which a caller leaves whose request has stopped. */
const PATIENCE_MS = 100
/** Queries of a batch behind its first are numbered from here on. */
const NEXT_ROW = 1e6

type Served = (request: Request) => Promise<Response>

export class GatewayCallers {
  #exchanges = 0

  constructor(
    private readonly served: () => Served,
    private readonly network: Network,
    private readonly witness: Witness,
    /** `mixes`: whether queries have to be finite. */
    private readonly callers: Wire['callers'] & { mixes: boolean; element?: Other | undefined },
    private readonly seed: number,
  ) {}

  /** What it sends depends on its query alone. */
  ask(event: Ask): void {
    const random = seeded(7919 * this.seed + event.query)
    const chance = (share: number) => random.next() < share
    const raw = { in: chance(0.5), out: chance(0.5) }
    const rows = this.callers.batches && !event.lively && chance(0.3) ? 2 + random.below(4) : 1
    const partial = rows > 1 && chance(0.5)
    const asks = Array.from({ length: rows }, (_, i): Ask => {
      const [a, b] = event.row
      return i ? { ...event, query: event.query + i * NEXT_ROW, row: [a + i / 8, b - i / 8] } : event
    })
    const { tenant, deadlineMs, policy, atDeadline, priority } = event
    const good = request({
      id: `q${event.query}`,
      rows: asks.map(({ row }) => Float32Array.from(row)),
      element: this.callers.element,
      parameters: {
        ...{ deadline_ms: deadlineMs, ...(tenant && { tenant }), ...(policy && { policy }) },
        ...(atDeadline && { at_deadline: atDeadline }),
        ...(partial && { allow_partial: true }),
        ...(priority && { priority }),
      },
      raw,
    })
    const fate = event.lively ? 1 : random.next()
    const { nonsense: odd, stops, mixes } = this.callers
    const style = { saysLength: chance(0.3), reads: chance(0.9) }
    const packing = this.callers.packs ? seeded(104_729 * this.seed + event.query) : undefined
    const sent = packing ? packedOr(good, packing) : good
    if (fate < odd) {
      const isPacked = packing && packing.next() < 0.3
      void this.#nonsense(isPacked ? wronglyPacked(good, packing, MOST_BYTES) : nonsense(good, random.below(2 ** 31), mixes)) // biome-ignore format: one line
    } else if (fate < odd + stops) void this.#stops(sent, random.next(), chance(0.5))
    else void this.#good(sent, asks, style)
  }

  #request({ method, path, headers, body }: Sent, stream: ReadableStream, signal: AbortSignal, saysLength = false) {
    const all = saysLength ? { ...headers, 'content-length': String(body.length) } : headers
    const init = { method, headers: all, body: stream, signal, duplex: 'half' }
    return new Request(`http://gateway${path}`, init as RequestInit)
  }

  async #nonsense(sent: Sent & { why: string }): Promise<void> {
    const exchange = this.#exchanges++
    this.witness.sent(exchange, 'nonsense')
    const { status } = await this.#answered(this.#request(sent, streamOf(sent.body), new AbortController().signal))
    this.witness.told(exchange, status, sent.why)
  }

  /** A body that stops in the middle: its sender leaves at last, or its connection breaks. */
  async #stops(sent: Sent, share: number, isReset: boolean): Promise<void> {
    const exchange = this.#exchanges++
    const leaving = new AbortController()
    this.witness.sent(exchange, 'stopped')
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(sent.body.slice(0, share * sent.body.length))
        this.network.clock.after(PATIENCE_MS * share, () => {
          if (isReset) controller.error(new Error('ECONNRESET'))
          leaving.abort()
        })
      },
    })
    const { status } = await this.#answered(this.#request(sent, stream, leaving.signal))
    this.witness.told(exchange, status, '')
  }

  async #good(sent: Sent, asks: readonly Ask[], style: { saysLength: boolean; reads: boolean }): Promise<void> {
    const exchange = this.#exchanges++
    const [{ leavesAfter }] = asks
    const leaving = new AbortController()
    let asked: ReturnType<Witness['asked']>[] = []
    let cancel = () => {}
    this.witness.sent(exchange, 'good')
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        cancel = this.network.carry(sent.body, {
          piece: (bytes) => controller.enqueue(bytes),
          broken: () => {
            controller.error(new Error('ECONNRESET'))
            leaving.abort()
          },
          end: () => {
            asked = asks.map((ask) => this.witness.asked(ask))
            controller.close()
            if (leavesAfter === undefined) return
            this.network.clock.after(leavesAfter, () => {
              for (const each of asked) each.left()
              leaving.abort()
            })
          },
        })
        // Who has not sent all of it by then never will.
        this.network.clock.after(10 * PATIENCE_MS, () => asked.length || leaving.abort())
      },
    })
    const response = await this.#answered(this.#request(sent, stream, leaving.signal, style.saysLength))
    const { status } = response
    cancel() // where it is told before all of it has come
    if (!asked.length) return this.witness.told(exchange, status, 'cut')
    if (status === 200) return this.witness.told(exchange, status, '', await this.#read(response, { sent, id: `q${asks[0].query}`, reads: style.reads }, asked)) // biome-ignore format: one line
    const text = await response.text()
    const isOfQuery = status === 500 && /failed on the query|went down with the query|to agree/.test(text)
    for (const each of asked) each.failed(CODES[status] ?? (isOfQuery ? 'WORKER' : `status ${status}`))
    const isClosed = status === 503 && /the predictor (is|was) closed/.test(text)
    this.witness.told(exchange, status, isClosed ? 'closed' : isOfQuery ? 'query' : '')
  }

  /** @returns the version of the model that answered */
  async #read(
    response: Response,
    { sent, id, reads }: { sent: Sent; id: string; reads: boolean },
    asked: readonly ReturnType<Witness['asked']>[],
  ): Promise<string | undefined> {
    const body = new Uint8Array(await (reads ? response : response.clone()).arrayBuffer())
    const { headers } = response
    if (!reads) void response.body?.cancel() // not that anybody reads it
    let read: Read
    try {
      const plain = unpacked(body, headers.get('content-encoding'), sent)
      read = readReply(plain, headers.get('inference-header-content-length'), this.callers.element)
      if (read.id !== id) throw new Error(`the reply is for ${read.id}, to ${id}`)
      if (read.rows.length !== asked.length) throw new Error(`the reply has ${read.rows.length} rows`)
    } catch (error) {
      for (const each of asked) each.failed((error as Error).message)
      return undefined
    }
    for (const [i, each] of asked.entries()) {
      const status = read.status[i]
      if (status === 'failed') each.failed(read.errors.find(({ row }) => row === i)?.code ?? 'no code')
      else
        each.answered({
          status,
          confidence: read.confidence[i] ?? undefined,
          values: read.rows[i],
          bits: read.bits[i],
          workers: [],
        })
    }
    return read.version
  }

  async #answered(request: Request): Promise<Response> {
    return this.served()(request)
  }
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length) controller.enqueue(bytes)
      controller.close()
    },
  })
}
