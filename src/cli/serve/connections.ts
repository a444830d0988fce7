/** Which connections are open, whose they are, and which one gives way where there are too many. */

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { expandIPv6 } from 'hono/utils/ipaddr'

/** One of the network; with TLS that is what the encrypted one lies upon. */
export type Connected = Duplex & { readonly remoteAddress?: string | undefined; _parent?: Connected | null }

/** How long a new connection, or one that had its answer, makes no room for another one of its own address: its request is probably on its way. */
const FRESH_MS = 1000
/** Connections beyond the limit that get a sentence; further ones are closed without. */
const SENTENCES = 256

/** Those of one address. */
interface Peers {
  /** Without a request, by since when: the longest first. */
  idle: Map<Connected, number>
  /** With their requests. */
  busy: Map<Connected, Set<ServerResponse>>
}

export class OpenConnections {
  count = 0
  readonly #peers = new Map<string, Peers>()
  /** Those beyond the limit, the longest so first. */
  readonly #extra = new Set<Connected>()

  constructor(
    private readonly most: number,
    private readonly now = () => performance.now(),
  ) {}

  /** Where there is no room for it another one makes it, which is closed; if none can, it is one beyond the limit, or closed itself. */
  add(socket: Connected): void {
    const address = addressOf(socket)
    const peers: Peers = this.#peers.get(address) ?? { idle: new Map(), busy: new Map() }
    this.#peers.set(address, peers)
    peers.idle.set(socket, this.now())
    socket.once('close', () => this.#remove(socket, address))
    if (++this.count <= this.most) return
    this.#extra.add(socket)
    this.#makeRoom(socket)
    if (this.count > this.most + SENTENCES) socket.destroy()
  }

  /** A request has come on it. @returns whether it is within the limit */
  begin(encrypted: Connected, response: ServerResponse): boolean {
    const socket = encrypted._parent ?? encrypted
    const peers = this.#peers.get(addressOf(socket))
    if (!peers?.idle.delete(socket) && !peers?.busy.has(socket)) return true // it was closed, and its request read before
    const requests = peers.busy.get(socket) ?? new Set()
    peers.busy.set(socket, requests.add(response))
    response.once('close', () => {
      requests.delete(response)
      if (!requests.size && peers.busy.delete(socket)) peers.idle.set(socket, this.now())
    })
    if (this.#extra.has(socket)) this.#makeRoom(socket)
    return !this.#extra.has(socket)
  }

  /** @param heir  whose its place is, where that is one within the limit */
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

  /** Of the addresses with idle connections the one with the most connections; of these the longest idle. */
  #idle(own: Peers | undefined): Connected | undefined {
    let most: Peers | undefined
    for (const peers of this.#peers.values()) {
      if (peers.idle.size && (!most || sizeOf(peers) > sizeOf(most))) most = peers
    }
    const [[socket, since] = [undefined, 0]] = most?.idle ?? []
    return most !== own || since <= this.now() - FRESH_MS ? socket : undefined
  }

  /** Of an address that has more than half of all, and is another: the first that has the server wait, for its request or until it has read. */
  #slow(own: Peers | undefined): Connected | undefined {
    const hog = [...this.#peers.values()].find((each) => each !== own && 2 * sizeOf(each) > this.most)
    const waits = ({ req, headersSent }: ServerResponse) => headersSent || !req.complete
    return [...(hog?.busy ?? [])].find(([, requests]) => [...requests].every(waits))?.[0]
  }
}

const sizeOf = ({ idle, busy }: Peers) => idle.size + busy.size

/** Whom a connection is of: an IPv4 address, or the /64 of an IPv6 one, which is what a single customer has. */
export function addressOf({ remoteAddress = '' }: Pick<Connected, 'remoteAddress'>): string {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/, '')
  return address.includes(':') ? expandIPv6(address).slice(0, '2001:0db8:0000:0000'.length) : address
}
