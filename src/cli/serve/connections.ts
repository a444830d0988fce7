/** The open connections by client address, and which one is closed where there are too many. */

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { expandIPv6 } from 'hono/utils/ipaddr'

/** A socket; for TLS, `_parent` is the TCP socket below. */
export type Connected = Duplex & { readonly remoteAddress?: string | undefined; _parent?: Connected | null }

/** A connection idle for less than this is not closed in favour of another one of its address: its next request is probably on its way. */
const FRESH_MS = 1000
/** How many connections beyond the limit get an error reply; further ones are closed without a reply. */
const MOST_REPLIES = 256

/** The connections of one address. */
interface Peers {
  /** Connections without a request, and since when; the longest idle is first. */
  idle: Map<Connected, number>
  /** Connections with open requests. */
  busy: Map<Connected, Set<ServerResponse>>
}

export class OpenConnections {
  count = 0
  readonly #peers = new Map<string, Peers>()
  /** Connections beyond the limit, the oldest first. */
  readonly #extra = new Set<Connected>()

  constructor(
    private readonly most: number,
    private readonly now = () => performance.now(),
  ) {}

  /** Adds a connection. At the limit, another one is closed for it; if none can be, the new one is beyond the limit, or closed itself. */
  add(socket: Connected): void {
    const address = addressOf(socket)
    const peers: Peers = this.#peers.get(address) ?? { idle: new Map(), busy: new Map() }
    this.#peers.set(address, peers)
    peers.idle.set(socket, this.now())
    socket.once('close', () => this.#remove(socket, address))
    if (++this.count <= this.most) return
    this.#extra.add(socket)
    this.#makeRoom(socket)
    if (this.count > this.most + MOST_REPLIES) socket.destroy()
  }

  /** A request has arrived on a connection. @returns whether the connection is within the limit */
  begin(encrypted: Connected, response: ServerResponse): boolean {
    const socket = encrypted._parent ?? encrypted
    const peers = this.#peers.get(addressOf(socket))
    if (!peers?.idle.delete(socket) && !peers?.busy.has(socket)) return true // the connection was closed after its request had been read
    const requests = peers.busy.get(socket) ?? new Set()
    peers.busy.set(socket, requests.add(response))
    response.once('close', () => {
      requests.delete(response)
      if (!requests.size && peers.busy.delete(socket)) peers.idle.set(socket, this.now())
    })
    if (this.#extra.has(socket)) this.#makeRoom(socket)
    return !this.#extra.has(socket)
  }

  /** @param heir  the connection beyond the limit that gets the place of the removed one */
  #remove(socket: Connected, address: string, [heir]: Iterable<Connected> = this.#extra): void {
    const peers = this.#peers.get(address)
    const [wasIdle, wasBusy] = [peers?.idle.delete(socket), peers?.busy.delete(socket)]
    if (!peers || (!wasIdle && !wasBusy)) return
    this.count--
    if (sizeOf(peers) === 0) this.#peers.delete(address)
    if (!this.#extra.delete(socket)) this.#extra.delete(heir)
  }

  #makeRoom(heir: Connected): void {
    const own = this.#peers.get(addressOf(heir))
    while (this.#extra.has(heir)) {
      const victim = this.#idle(own) ?? this.#slow(own)
      if (!victim) return
      this.#remove(victim, addressOf(victim), [heir])
      victim.destroy()
    }
  }

  /** The longest idle connection of the address that has the most connections, among addresses with an idle one. */
  #idle(own: Peers | undefined): Connected | undefined {
    let most: Peers | undefined
    for (const peers of this.#peers.values()) {
      if (peers.idle.size && (!most || sizeOf(peers) > sizeOf(most))) most = peers
    }
    const [[socket, since] = [undefined, 0]] = most?.idle ?? []
    return most !== own || since <= this.now() - FRESH_MS ? socket : undefined
  }

  /** A connection that has the server wait for its client, to send or to read, of another address that has more than half of all connections. */
  #slow(own: Peers | undefined): Connected | undefined {
    const hog = [...this.#peers.values()].find((each) => each !== own && 2 * sizeOf(each) > this.most)
    const waits = ({ req, headersSent }: ServerResponse) => headersSent || !req.complete
    return [...(hog?.busy ?? [])].find(([, requests]) => [...requests].every(waits))?.[0]
  }
}

const sizeOf = ({ idle, busy }: Peers) => idle.size + busy.size

/** The address that a connection is counted under: an IPv4 address, or the /64 prefix of an IPv6 address, which one customer owns. */
export function addressOf({ remoteAddress = '' }: Pick<Connected, 'remoteAddress'>): string {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/, '')
  return address.includes(':') ? expandIPv6(address).slice(0, '2001:0db8:0000:0000'.length) : address
}
