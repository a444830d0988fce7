/** An HTTP or HTTPS server in front of a function of requests: limits, errors that are sentences, and a graceful end. */

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

/** The socket's end of a request, which may have to be cut off. */
export interface Connection {
  destroy(): void
}
export type Handler = (request: Request, connection: Connection) => Promise<Response> | Response

export interface Limits {
  headerMs: number
  requestMs: number
  /** Beyond which idle ones are closed, the oldest first; where none is, new ones are answered 503. */
  maxConnections: number
}

export interface ListenOptions extends Limits {
  host: string
  port: number
  /** That chooses it. Default '--port'. */
  flag?: string
  certificate: Certificate | undefined
  /** Told of an error that is this server's own fault. */
  onError: (error: unknown) => void
}

/** More than load balancers keep a connection idle (60 s), so that they close it, and never meet one that was just closed. */
const KEEP_ALIVE_MS = 75_000
/** How long after `stop` idle connections are kept, whose clients may be about to ask. */
const LINGER_MS = 1000
/** For a client to read what it did wrong. */
const READ_MS = 2000

/** @throws Error with the system's code where the address is not to be had */
export async function listen(handle: Handler, options: ListenOptions): Promise<Listening> {
  const { host, port, flag = '--port', certificate } = options
  const settings = {
    headersTimeout: options.headerMs,
    requestTimeout: Math.max(options.requestMs, options.headerMs),
    connectionsCheckingInterval: Math.min(options.headerMs, 1000),
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    requireHostHeader: false, // its own refusal has no sentence
  }
  const asks = certificate?.ca && { requestCert: true, rejectUnauthorized: false } // who brings none may have a token
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
    EADDRINUSE: `port ${port} of ${host} is in use: stop who uses it, or choose another with ${flag}`,
    EACCES: `port ${port} of ${host} is not for this user: choose one from 1024 on with ${flag}`,
    EADDRNOTAVAIL: `${host} is no address of this machine: choose another with --host`,
    ENOTFOUND: `${host} is no address and no name of one: choose another with --host`,
  }
  const reason = reasons[error.code ?? '']
  return reason ? Object.assign(new Error(reason), { code: error.code }) : error
}

export class Listening {
  url = ''
  readonly #connections: OpenConnections
  readonly #open = new Set<ServerResponse>()
  /** OpenConnections that have been told what is wrong with them. */
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
    // The rest of a refused body is let through; a reader that had begun it would hold it up, and with it the next request.
    outgoing.once('close', () => incoming.removeAllListeners('data'))
    if (this.#stopped) outgoing.shouldKeepAlive = false
    // An answer that its client does not read holds memory: it is kept as long as a byte is read now and then.
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

  /** New connections are refused from now on. Those that are open get one more answer at most. */
  stop(): void {
    this.#stopped = true
    NetServer.prototype.close.call(this.server) // http's own would also cut idle connections, whose next request may be on its way
    for (const outgoing of this.#open) outgoing.shouldKeepAlive = false
    setTimeout(() => this.server.closeIdleConnections(), LINGER_MS).unref()
  }

  /** Resolves when no request is open and none seems to be on its way, or after `graceMs`. */
  async idle(graceMs: number): Promise<void> {
    if (this.connections) await sleep(Math.min(graceMs, LINGER_MS))
    await this.#emptied(Math.max(0, graceMs - LINGER_MS))
  }

  /** Cuts off what is left when no request is open, or after `graceMs`. @returns how many requests that were */
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

  /** Answers bytes that are no request: headers too large, too slow, or not HTTP. */
  #blame(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#blamed.has(socket)) return
    this.#blamed.add(socket)
    const begun = (socket as { _httpMessage?: ServerResponse })._httpMessage?.headersSent
    if (!socket.writable || begun || error.code === 'ECONNRESET') return void socket.destroy()
    end(socket, ...blame(error.code ?? ''))
  }
}

/** The answer to a request that failed in the HTTP library or in the handler. */
function failure(error: unknown, onError: (error: unknown) => void): Response {
  const isTheirs = error instanceof Error && error.name === 'RequestError'
  if (isTheirs) return problem(400, 'request: expected a host and a path that make a URL, got others')
  onError(error)
  return problem(500, 'the server failed')
}

function end(socket: Duplex, status: number, reason: string): void {
  const body = JSON.stringify({ error: reason })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json`
  socket.on('error', () => {}) // it is gone already
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), READ_MS).unref()
}

/** Ends the connection, too. */
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

/** @param path  that was asked: clients of that path expect errors in its own shape */
export function problem(status: number, error: string, headers: Record<string, string> = {}, path = ''): Response {
  return Response.json(errorBody(path, new Refusal(status, error), error), { status, headers })
}

/** Of longer bodies as much memory as has come: nobody shall reserve it by promising bytes. */
const MOST = 2 ** 22
const NOTHING = new Uint8Array()

/** One of a connection: a request is aborted when that closes, and one for each request took 4 us. */
const signals = new WeakMap<Socket, AbortSignal>()

/**
 * What the HTTP library makes of a request, with a cheaper `bytes()`, where a body is known not to be huge, and `signal`. The library
 * joins a body's pieces and copies them again: fresh memory each time, which is dear to make and brings the garbage collection on.
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

/** @throws Error where the client is gone before the end */
function whole(incoming: IncomingMessage, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = NOTHING
    let at = 0
    const cut = (error?: Error) => reject(error ?? new Error('a part'))
    incoming.on('data', (chunk: Buffer) => {
      if (!at) bytes = chunk.length === length ? chunk : memory(incoming, length) // nobody else keeps the chunk
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
