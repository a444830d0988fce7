/** HTTP in Node: a connection pool of undici for each server. */

import type { Dispatcher, Pool } from 'undici'
import type { Connections, HttpReply, HttpRequest, Tls } from './platform'

/** In a variable, so that bundlers do not resolve this optional package and fail. */
const UNDICI: string = 'undici'

const CONNECT_MS = 5000
/** How long an idle connection is kept, unless the server announces less. */
const IDLE_MS = 60_000
/** undici's message when it closes a connection because the server announced that. */
const ANNOUNCED = 'reset'
/** A server closes connections habitually if it has closed LEAST_ENDS of them with at most MOST_REPLIES replies on average. */
const LEAST_ENDS = 8
const MOST_REPLIES = 1.5

export async function undiciConnections(url: string, count: number, tls: Tls | undefined): Promise<Connections> {
  const { Pool, buildConnector } = await (import(UNDICI) as Promise<typeof import('undici')>)
    .catch(missing)
    .catch(advise)
  const { origin, pathname } = new URL(url)
  const connector = buildConnector({ timeout: CONNECT_MS, ...tls })
  const connect: typeof connector = (options, made) => {
    connector(options, (...outcome) => {
      const [, socket] = outcome
      if (socket) connections.address = addressOf(socket)
      made(...outcome)
    })
  }
  const times = { headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE_MS } // the caller sets the time limits
  const pool = new Pool(origin, { connections: count, connect, ...times })
  const connections = new UndiciConnections(pool, pathname.replace(/\/$/, ''))
  return connections
}

function addressOf({ remoteAddress = '', remotePort }: { remoteAddress?: string; remotePort?: number }): string {
  const address = remoteAddress.replace(/^::ffff:/, '')
  return `${address.includes(':') ? `[${address}]` : address}:${remotePort}`
}

function advise(error: Error): never {
  const todo = 'npm install undici@7; or pass the option fetch, at 3 to 4 times the cost of a call'
  throw new Error(`remote workers need the package undici (${error.message}): ${todo}`)
}

class UndiciConnections implements Connections {
  onDrop: ((isUsual: boolean) => void) | undefined
  address: string | undefined
  readonly #pool: Pool
  readonly #prefix: string
  /** Replies since the last connection was opened. */
  #replies = 0
  readonly #habit = new ClosingHabit()
  /** Reasons of connections that this side dropped. */
  readonly ours = new WeakSet<Error>()

  constructor(pool: Pool, prefix: string) {
    this.#pool = pool
    this.#prefix = prefix
    pool.on('connect', () => {
      this.#replies = 0
    })
    pool.on('disconnect', (_origin, _targets, error) => {
      const isInside = (error as { code?: string }).code === 'UND_ERR_INFO' // closed by undici, not by the server
      const isAnnounced = isInside && error.message === ANNOUNCED
      if (this.ours.has(error) || (isInside && !isAnnounced)) return
      const isUsual = this.#habit.ended()
      if (!(isUsual && isAnnounced)) this.onDrop?.(isUsual)
    })
  }

  request(request: HttpRequest): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      const { method, path, headers, body, abort } = request
      if (abort.aborted) return reject(abort.reason)
      const reading = new ReplyReader(request, this, resolve, reject)
      try {
        const sent = body as Dispatcher.DispatchOptions['body']
        this.#pool.dispatch({ method, path: this.#prefix + path, headers, body: sent }, reading)
      } catch (error) {
        reading.fail(error as Error)
      }
    })
  }

  replied(): void {
    this.#replies++
    this.#habit.replied()
  }

  /** Whether the error means that a kept-alive connection had been closed by the server. */
  isStale(error: Error): boolean {
    return this.#replies > 0 && isReset(error)
  }

  close(): Promise<void> {
    this.onDrop = undefined
    return this.#pool.destroy()
  }
}

/** Detects servers that close each connection after one reply: a closed connection then tells nothing about the server. */
class ClosingHabit {
  #replies = 0
  #ends = 0

  replied(): void {
    this.#replies++
  }

  /** Records that the server closed a connection. @returns whether it closes nearly all */
  ended(): boolean {
    const isUsual = this.#ends >= LEAST_ENDS && this.#replies <= MOST_REPLIES * this.#ends
    this.#ends++
    if (this.#ends > 2 * LEAST_ENDS) {
      this.#ends /= 2
      this.#replies /= 2
    }
    return isUsual
  }
}

function isReset(error: Error): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes((error as { code?: string }).code as string)
}

type ReplyHeaders = Record<string, string | string[] | undefined>

/** Receives one reply. */
class ReplyReader implements Dispatcher.DispatchHandler {
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #headers: ReplyHeaders | undefined
  readonly #chunks: Uint8Array[] = []
  #length = 0
  readonly #forget: () => void

  constructor(
    readonly request: HttpRequest,
    readonly connections: UndiciConnections,
    readonly done: (reply: HttpReply) => void,
    readonly failed: (error: Error) => void,
  ) {
    const { abort } = request
    this.#forget = abort.listen(() => {
      this.fail(abort.reason as Error)
      this.#drop(abort.reason as Error)
    })
  }

  fail(error: Error): void {
    this.#forget()
    this.failed(error)
  }

  /** Drops the connection, or does not open one. */
  #drop(reason: Error): void {
    this.connections.ours.add(reason)
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    const { aborted, reason } = this.request.abort
    if (aborted) controller.abort(reason as Error)
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ReplyHeaders): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#length += chunk.byteLength
    if (this.#length <= this.request.mostBytes) {
      this.#chunks.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)) // a plain Uint8Array, since a Buffer's slice is a view
      return
    }
    this.#finish(undefined)
    this.#drop(new Error('the reply is too long'))
  }

  onResponseEnd(): void {
    this.#finish(this.#chunks)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(this.connections.isStale(error) ? Object.assign(error, { stale: true }) : error)
  }

  #finish(body: Uint8Array[] | undefined): void {
    this.#forget()
    this.connections.replied()
    const header = (name: string) => {
      const value = this.#headers?.[name]
      return Array.isArray(value) ? value[0] : value
    }
    this.done({ status: this.#status, header, body })
  }
}

/** Rethrows an import error without the path of the importing file. @throws Error */
export function missing(error: Error): never {
  throw new Error(error.message.replace(/ imported from .*/s, ''), { cause: error })
}
