/** HTTP in Node: one of undici's pools for each server. */

import type { Dispatcher, Pool } from 'undici'
import type { Connections, HttpReply, HttpRequest, Tls } from './platform'

/** In a variable, which bundlers pass over: they would fail where it is not installed. */
const UNDICI: string = 'undici'

const CONNECT_MS = 5000
/** Longer than the pauses between two requests; servers say so where they keep a connection for less. */
const IDLE_MS = 60_000
/** What undici says of a connection that it closed since the server had said so. */
const ANNOUNCED = 'reset'
/** Connections that a server has closed, and its replies on each in the mean, from which closing them is its habit. */
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
  const times = { headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE_MS } // how long an answer may take others know
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
  /** Replies since a connection was last made. */
  #replies = 0
  readonly #habit = new Habit()
  /** What ended connections that we dropped ourselves. */
  readonly ours = new WeakSet<Error>()

  constructor(pool: Pool, prefix: string) {
    this.#pool = pool
    this.#prefix = prefix
    pool.on('connect', () => {
      this.#replies = 0
    })
    pool.on('disconnect', (_origin, _targets, error) => {
      const isInside = (error as { code?: string }).code === 'UND_ERR_INFO' // undici closed it
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
      const reading = new Reading(request, this, resolve, reject)
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

  /** Whether an error says that a connection was used before and was closed meanwhile. */
  isStale(error: Error): boolean {
    return this.#replies > 0 && isReset(error)
  }

  close(): Promise<void> {
    this.onDrop = undefined
    return this.#pool.destroy()
  }
}

/** Whether a server closes its connections after one reply each: then it tells nothing that it closed another. */
class Habit {
  #replies = 0
  #ends = 0

  replied(): void {
    this.#replies++
  }

  /** The server closed a connection. @returns whether it does so with nearly all */
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

/** One reply as it comes. */
class Reading implements Dispatcher.DispatchHandler {
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

  /** Drops the connection, or never makes one. */
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
      this.#chunks.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)) // no Buffer, whose slice is a view
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

/** Why one cannot be imported, without what Node adds: the path of our own file that wanted it. @throws Error */
export function missing(error: Error): never {
  throw new Error(error.message.replace(/ imported from .*/s, ''), { cause: error })
}
