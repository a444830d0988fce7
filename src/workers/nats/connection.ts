/** Links over a NATS server: by the caller's own connection, or by one made with the client library, which is imported on first use. */

import { platform } from '#platform'
import { expected } from '../../base/check'
import { ApproxiferError, asError, withoutPassword } from '../../base/errors'
import type { Addresses, Link, LinkEvents, LinkMessage } from '../machines/link'

export interface NatsMessage {
  subject: string
  data: Uint8Array
  reply?: string
  headers?: { code: number }
}

export interface NatsSubscription {
  unsubscribe(): void
}

/** The part that is used of a connection made by @nats-io/transport-node's `connect` or @nats-io/nats-core's `wsconnect`. */
export interface NatsConnection {
  info?: { max_payload: number }
  publish(subject: string, payload?: Uint8Array, options?: { reply?: string }): void
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription
  status(): AsyncIterable<{ type: string; error?: Error }>
  flush(): Promise<void>
  closed(): Promise<unknown>
  close(): Promise<void>
  isClosed(): boolean
}

/**
 * A NATS server: its URL (nats://, tls://, or ws:// and wss:// for a server with WebSocket), or several URLs of one cluster with commas
 * between them; options of the client library (`{ servers, authenticator, tls, .. }`); or a connection, which the caller closes. A URL
 * may contain credentials: `nats://user:password@host`, or `nats://token@host`, percent-encoded.
 */
export type NatsServer = string | NatsConnectOptions | NatsConnection

export interface NatsConnectOptions {
  /** Where the NATS servers are, as 'host:port' or URL. */
  servers: string | string[]
  [option: string]: unknown
}

/**
 * Changed defaults of the client library, which gives up after ten attempts two seconds apart, takes four minutes to notice an
 * unreachable server, and makes a stack trace for each request.
 */
const defaults = { maxReconnectAttempts: -1, reconnectTimeWait: 250, pingInterval: 5000, noAsyncTraces: true }

const CONNECTION = "NATS: pass a connection instead of its URL: await wsconnect({ servers }) of '@nats-io/nats-core'"

const isConnection = (server: object): server is NatsConnection => 'publish' in server && 'subscribe' in server

/** @throws TypeError, whose message never contains a password */
export function checkServer(server: unknown): asserts server is NatsServer {
  if (typeof server === 'string') {
    if (addressesIn(server).every((url) => SCHEME.test(url))) return void accessOf(server)
  } else if (typeof server === 'object' && server !== null) {
    if (isConnection(server)) return
    const { servers } = server as NatsConnectOptions
    const all = [servers].flat()
    if (all.length && all.every((url) => typeof url === 'string' && url !== '')) return void accessOf(servers)
  }
  const what = "a URL such as 'nats://host:4222', connect options, or a connection"
  throw new TypeError(expected('server', what, typeof server === 'string' ? withoutPassword(server) : server))
}

export class NatsLink implements Link {
  readonly needs = new Set<string>()
  refusal: ApproxiferError | undefined
  readonly #subscriptions: NatsSubscription[] = []

  private constructor(
    private readonly connection: NatsConnection,
    private readonly isOwned: boolean,
    readonly addresses: Addresses,
    private readonly warn: (text: string) => void,
  ) {}

  /** @throws ApproxiferError WORKER if the library is missing, or no server answers */
  static async open(server: NatsServer, addresses: Addresses, warn: (text: string) => void): Promise<NatsLink> {
    if (typeof server === 'object' && isConnection(server)) return new NatsLink(server, false, addresses, warn)
    const given = typeof server === 'string' ? { servers: server } : server
    const access = accessOf(given.servers)
    const options = { ...defaults, ...access, ...given, servers: access.servers } // the caller's options take precedence
    let connect: (options: object) => Promise<unknown>
    try {
      if (!platform.importNats) throw new Error(CONNECTION)
      connect = await platform.importNats(/^wss?:/.test(access.servers[0]))
    } catch (error) {
      throw asError(error, 'WORKER')
    }
    try {
      return new NatsLink((await connect(options)) as NatsConnection, true, addresses, warn)
    } catch (error) {
      const { message } = asError(error, 'WORKER')
      throw new ApproxiferError('WORKER', `no connection to NATS at ${access.servers}: ${message}`, { cause: error })
    }
  }

  get most(): number {
    return this.connection.info?.max_payload ?? 1_048_576
  }

  say(subject: string, bytes?: Uint8Array, reply?: string): void {
    this.connection.publish(subject, bytes, reply === undefined ? undefined : { reply })
  }

  /** No queue group: every subscriber receives every message. */
  listen(subject: string, heard: (message: LinkMessage) => void): void {
    const callback = (error: Error | null, message: NatsMessage) => {
      if (error) return this.#refused(error)
      const { subject: to, data: bytes, reply, headers } = message
      heard({ to, bytes, reply, hasNoListener: headers?.code === 503 && !bytes.length })
    }
    this.#subscriptions.push(this.connection.subscribe(subject, { callback }))
  }

  async follow(events: LinkEvents): Promise<void> {
    void this.connection.closed().then(() => events.ended())
    for await (const { type, error } of this.connection.status()) {
      if (type === 'disconnect') events.lost()
      else if (type === 'reconnect') events.back()
      else if (type === 'error' && error) this.#refused(error)
    }
  }

  #refused(error: Error & { subject?: string }): void {
    const text = `NATS: ${error.message}`
    if (this.needs.has(error.subject ?? '')) this.refusal ??= new ApproxiferError('WORKER', text, { cause: error })
    this.warn(text)
  }

  async flush(): Promise<void> {
    if (!this.connection.isClosed()) await this.connection.flush()
  }

  mute(): void {
    const subscriptions = this.#subscriptions.splice(0)
    if (!this.connection.isClosed()) for (const subscription of subscriptions) subscription.unsubscribe()
  }

  async close(): Promise<void> {
    this.mute()
    if (this.isOwned) await this.connection.close()
  }
}

// Credentials in a server's URL, which the client library does not accept.

export const SCHEME = /^(nats|tls|wss?):\/\/./

/** Splits a comma-separated list of URLs; a password may contain a comma, too. */
export function addressesIn(text: string): string[] {
  return text.split(/,(?=\w+:\/\/)/)
}

/**
 * Connect options for the library: URLs without credentials, and the credentials as separate options.
 *
 * @param servers  such as 'nats://user:password@host:4222' or 'nats://token@host', percent-encoded; all with the same credentials
 * @throws TypeError for an invalid URL or different credentials; its message never contains a password
 */
export function accessOf(servers: string | readonly string[]) {
  const each = (typeof servers === 'string' ? addressesIn(servers) : servers).map(read)
  const named = each.flatMap(({ user }) => user ?? [])
  if (new Set(named).size > 1) throw new TypeError('servers: expected one user or token for all of them, got several')
  return { servers: each.map(({ address }) => address), ...(named.length && access(named[0])) }
}

function read(text: string): { address: string; user: string | undefined } {
  const [, scheme = '', user, host] = /^(\w+:\/\/)?(?:(.*)@)?([^@]+)$/s.exec(text) ?? []
  if (host === undefined)
    throw new TypeError(expected('server', "an address such as 'nats://host:4222'", withoutPassword(text)))
  return { address: scheme + host, user }
}

/** Parses what precedes the @: a user and a password, or a token. */
function access(user: string): { token: string } | { user: string; pass: string } {
  const [, name, pass] = /^([^:]*):(.*)$/s.exec(user) ?? []
  return name === undefined ? { token: decoded(user) } : { user: decoded(name), pass: decoded(pass) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TypeError('server: expected %25 for a % in its user, password or token, got a % that stands for nothing')
  }
}
