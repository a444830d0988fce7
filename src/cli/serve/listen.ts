/** An HTTP or HTTPS server around a request handler, with limits, readable errors and a graceful end. */

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { spaceBefore, tellClient } from '../../gateway/body'
import { errorBody, Refusal } from '../../gateway/refusal'
import { addressOf, OpenConnections } from './connections'
import type { Certificate } from './guard'
import { AcceptThrottle } from './turns'

/** The connection of a request. `destroy` cuts it off. */
export interface Connection {
  destroy(): void
}
export type Handler = (request: Request, connection: Connection) => Promise<Response> | Response

export interface Limits {
  headerMs: number
  requestMs: number
  /** With more connections, idle ones are closed, the longest idle first; where none is idle, a new one is answered 503. */
  maxConnections: number
}

export interface ListenOptions extends Limits {
  host: string
  port: number
  /** The flag that sets the port, for errors. Default '--port'. */
  flag?: string
  certificate: Certificate | undefined
  /** Called with an error that is a defect of this server. */
  onError: (error: unknown) => void
}

/** Longer than the 60 s after which load balancers close an idle connection: otherwise one could send a request on a connection that was just closed here. */
const KEEP_ALIVE_MS = 75_000
/** How long idle connections stay open after `stop`: a client's next request may be on its way. */
const LINGER_MS = 1000
/** How long a client may take to read an error reply before its connection is cut. */
const READ_MS = 2000

/** Starts a server. @throws Error with the system's code, such as EADDRINUSE, where the address cannot be used */
export async function listen(handle: Handler, options: ListenOptions): Promise<Listening> {
  const { host, port, flag = '--port', certificate } = options
  const settings = {
    headersTimeout: options.headerMs,
    requestTimeout: Math.max(options.requestMs, options.headerMs),
    connectionsCheckingInterval: Math.min(options.headerMs, 1000),
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    requireHostHeader: false, // `#admits` checks it: Node's own refusal has no message
  }
  const asks = certificate?.ca && { requestCert: true, rejectUnauthorized: false } // a client without a certificate may have a token
  const secure = { ...certificate, ...asks, handshakeTimeout: options.headerMs }
  const server = certificate ? createSecureServer({ ...settings, ...secure }) : createServer(settings)
  const listening = new Listening(server, handle, options)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error as NodeJS.ErrnoException, host, port, flag)))
    server.listen(port, host, resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  listening.url = `${certificate ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`
  return listening
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number, flag: string): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: `port ${port} of ${host} is in use: stop the program that uses it, or choose another port with ${flag}`,
    EACCES: `port ${port} of ${host} is not allowed for this user: choose one from 1024 on with ${flag}`,
    EADDRNOTAVAIL: `${host} is not an address of this machine: choose another with --host`,
    ENOTFOUND: `${host} is neither an address nor a known host name: choose another with --host`,
  }
  const reason = reasons[error.code ?? '']
  return reason ? Object.assign(new Error(reason), { code: error.code }) : error
}

export class Listening {
  url = ''
  readonly #connections: OpenConnections
  readonly #open = new Set<ServerResponse>()
  /** Connections that got an error reply to bytes that are no request: each gets one at most. */
  readonly #blamed = new WeakSet<Duplex>()
  readonly #most: number
  readonly #patienceMs: number
  #stopped = false
  #empty: () => void = () => {}

  constructor(
    private readonly server: Server,
    handle: Handler,
    { maxConnections, requestMs, onError }: ListenOptions,
  ) {
    this.#connections = new OpenConnections(maxConnections)
    this.#most = maxConnections
    this.#patienceMs = requestMs
    const listener = getRequestListener(
      (request, env) => {
        const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse }
        tellClient(request, { address: addressOf(incoming.socket), cut: () => outgoing.destroy() })
        return handle(cheaper(request, incoming), outgoing)
      },
      { hostname: 'localhost', errorHandler: (error) => failure(error, onError) },
    ) as (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>
    const turns = new AcceptThrottle()
    server.on('request', (incoming, outgoing) => {
      if (this.#admits(incoming, outgoing)) turns.begin(() => void listener(incoming, outgoing))
    })
    server.on('connection', (socket: Socket) => this.#connections.add(socket))
    server.on('checkExpectation', (incoming: IncomingMessage, outgoing: ServerResponse) => {
      refuse(incoming, outgoing, 417, 'expect: expected 100-continue or none, got another')
    })
    server.on('connect', (_: IncomingMessage, socket: Duplex) =>
      end(socket, 405, 'the method: expected another than CONNECT'),
    )
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#blame(error, socket))
  }

  get connections(): number {
    return this.#connections.count
  }

  #admits(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const fits = this.#connections.begin(incoming.socket, outgoing)
    this.#open.add(outgoing)
    outgoing.once('close', () => {
      this.#open.delete(outgoing)
      if (!this.#open.size) this.#empty()
    })
    // The rest of a refused request's body is discarded. A listener that stopped reading it would block the next request of the connection.
    outgoing.once('close', () => incoming.removeAllListeners('data'))
    if (this.#stopped) outgoing.shouldKeepAlive = false
    // A reply that its client does not read holds memory: the connection is cut when no byte was read for this long.
    outgoing.once('prefinish', () => incoming.socket.setTimeout(this.#patienceMs))
    if (!fits) {
      return refuse(incoming, outgoing, 503, `connections: expected at most ${this.#most}, got one more`)
    }
    const isHostless = incoming.headers.host === undefined && incoming.httpVersion === '1.1'
    return !isHostless || refuse(incoming, outgoing, 400, 'host: expected one, got none')
  }

  renew(certificate: Certificate): void {
    ;(this.server as SecureServer).setSecureContext(certificate)
  }

  /** Accepts no more connections. Each open connection gets one more reply at most. */
  stop(): void {
    this.#stopped = true
    NetServer.prototype.close.call(this.server) // not http's `close`: that also cuts idle connections, whose next request may be on its way
    for (const outgoing of this.#open) outgoing.shouldKeepAlive = false
    setTimeout(() => this.server.closeIdleConnections(), LINGER_MS).unref()
  }

  /** Resolves when no request is open and none has come for `LINGER_MS`, or after `graceMs`. */
  async idle(graceMs: number): Promise<void> {
    if (this.connections) await sleep(Math.min(graceMs, LINGER_MS))
    await this.#emptied(Math.max(0, graceMs - LINGER_MS))
  }

  /** Closes all connections when no request is open, or after `graceMs`. @returns how many requests were still open */
  async end(graceMs: number): Promise<number> {
    await this.#emptied(graceMs)
    const left = this.#open.size
    this.server.closeAllConnections()
    this.server.close()
    return left
  }

  /** Resolves when no request is open, or after `ms`. */
  async #emptied(ms: number): Promise<void> {
    if (!this.#open.size) return
    const emptied = new Promise<void>((resolve) => {
      this.#empty = resolve
    })
    await Promise.race([emptied, sleep(ms, undefined, { ref: false })])
  }

  /** Replies to bytes that are no complete request: headers too large or too slow, or not HTTP. */
  #blame(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#blamed.has(socket)) return
    this.#blamed.add(socket)
    const begun = (socket as { _httpMessage?: ServerResponse })._httpMessage?.headersSent
    if (!socket.writable || begun || error.code === 'ECONNRESET') return void socket.destroy()
    end(socket, ...blame(error.code ?? ''))
  }
}

/** The reply to a request on which the HTTP library or the handler threw an error. */
function failure(error: unknown, onError: (error: unknown) => void): Response {
  const isClientError = error instanceof Error && error.name === 'RequestError'
  if (isClientError) return problem(400, 'request: expected a host and a path that make a URL, got others')
  onError(error)
  return problem(500, 'the server failed')
}

/** Writes an error reply to a bare socket, and closes it. */
function end(socket: Duplex, status: number, reason: string): void {
  const body = JSON.stringify({ error: reason })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json`
  socket.on('error', () => {}) // the client may have closed it already
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), READ_MS).unref()
}

/** Answers a request with an error, and closes its connection afterwards. */
function refuse(incoming: IncomingMessage, outgoing: ServerResponse, status: number, error: string): false {
  outgoing.shouldKeepAlive = false
  const body = JSON.stringify({ error })
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  outgoing.writeHead(status, { ...headers, ...(status === 503 && { 'retry-after': '1' }) }).end(body)
  incoming.resume()
  return false
}

function blame(code: string): [status: number, reason: string] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'headers: expected at most 16 KiB, got more']
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'request: expected all of it within the time limit, got a part']
  return [400, `request: expected HTTP/1.1, got something else${code.startsWith('HPE_') ? ` (${code})` : ''}`]
}

/** An error reply. @param path  the request's path, which determines the JSON form of the error */
export function problem(status: number, error: string, headers: Record<string, string> = {}, path = ''): Response {
  return Response.json(errorBody(path, new Refusal(status, error), error), { status, headers })
}

/** The longest body for which memory is allocated at once, by its Content-Length. For longer bodies it grows as bytes arrive: a client must not reserve memory by a header. */
const MOST = 2 ** 22
const NOTHING = new Uint8Array()

/** The abort signal of each connection, shared by its requests: a signal for each request would take 4 us. */
const signals = new WeakMap<Socket, AbortSignal>()

/**
 * The library's request with a cheaper `signal` and, for bodies up to `MOST`, a cheaper `bytes()`: the library's own joins the pieces
 * of a body and copies the result once more, and that memory costs allocation and garbage collection.
 */
export function cheaper(request: Request, incoming: IncomingMessage): Request {
  const length = Number(incoming.headers['content-length'])
  if (length <= MOST) Object.defineProperty(request, 'bytes', { value: () => whole(incoming, length) })
  return Object.defineProperty(request, 'signal', { get: () => signalOf(incoming.socket) })
}

function signalOf(socket: Socket): AbortSignal {
  const known = signals.get(socket)
  if (known) return known
  const controller = new AbortController()
  const close = () => controller.abort('the client closed the connection')
  if (socket.destroyed) close()
  else socket.once('close', close)
  signals.set(socket, controller.signal)
  return controller.signal
}

/** Reads a whole body into one array. @throws Error where the client leaves before the end */
function whole(incoming: IncomingMessage, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = NOTHING
    let at = 0
    const cut = (error?: Error) => reject(error ?? new Error('a part'))
    incoming.on('data', (chunk: Buffer) => {
      if (!at) bytes = chunk.length === length ? chunk : memory(incoming, length) // a chunk that is the whole body needs no copy: nothing else uses it
      if (bytes !== chunk) bytes.set(chunk, at)
      at += chunk.length
    })
    incoming.on('error', cut)
    incoming.on('close', cut)
    incoming.on('end', () => {
      incoming.off('close', cut)
      resolve(bytes)
    })
    if (incoming.destroyed) cut(incoming.errored ?? undefined)
  })
}

function memory(incoming: IncomingMessage, length: number): Uint8Array {
  const before = spaceBefore((name) => incoming.headers[name])
  return new Uint8Array(Buffer.allocUnsafeSlow(before + length).buffer, before)
}
