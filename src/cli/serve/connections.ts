/** Which connections are open, whose they are, and which one gives way where there are too many. */

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** One of the network; with TLS that is what the encrypted one lies upon. */
export type Connected = Duplex & { readonly remoteAddress?: string | undefined; _parent?: Connected | null }

/** How long a new connection, or one that had its answer, counts as busy: its request is probably on its way. */
const FRESH_MS = 100
/** Connections beyond the limit that get a sentence; those beyond are closed without one. */
const SENTENCES = 256

/** Those of one address. */
interface Peers {
  /** Without a request, by since when: the longest first. */
  idle: Map<Connected, number>
  /** With their requests. */
  busy: Map<Connected, Set<ServerResponse>>
}

export class Connections {
  count = 0
  readonly #peers = new Map<string, Peers>()
  /** Those beyond the limit, which are to be told so. */
  readonly #extra = new WeakSet<Connected>()

  constructor(
    private readonly most: number,
    private readonly now = () => performance.now(),
  ) {}

  /** Where there is no room for it another one makes it, which is closed; if none can, it is one beyond the limit, or closed itself. */
  add(socket: Connected): void {
    const address = addressOf(socket)
    const peers: Peers = this.#peers.get(address) ?? { idle: new Map(), busy: new Map() }
    while (this.count >= this.most) {
      const victim = this.#idlest() ?? this.#hog(peers)
      if (!victim) break
      this.#remove(victim, addressOf(victim))
      victim.destroy()
    }
    if (this.count >= this.most + SENTENCES) return void socket.destroy()
    this.count++
    this.#peers.set(address, peers)
    peers.idle.set(socket, this.now())
    if (this.count > this.most) this.#extra.add(socket)
    socket.once('close', () => this.#remove(socket, address))
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
    return !this.#extra.has(socket)
  }

  #remove(socket: Connected, address: string): void {
    const peers = this.#peers.get(address)
    const [wasIdle, wasBusy] = [peers?.idle.delete(socket), peers?.busy.delete(socket)]
    if (!peers || (!wasIdle && !wasBusy)) return
    this.count--
    if (sizeOf(peers) === 0) this.#peers.delete(address)
  }

  /** The longest idle one of the address that has the most connections among those that have such. */
  #idlest(): Connected | undefined {
    const until = this.now() - FRESH_MS
    let [most, idlest]: [number, Connected | undefined] = [0, undefined]
    for (const peers of this.#peers.values()) {
      const [[socket, since] = [undefined, Number.POSITIVE_INFINITY]] = peers.idle
      if (since <= until && sizeOf(peers) > most) [most, idlest] = [sizeOf(peers), socket]
    }
    return idlest
  }

  /** Of an address that has more than half of all, and is not these peers': the first that has the server wait, for its request or until it has read. */
  #hog(others: Peers): Connected | undefined {
    const hog = [...this.#peers.values()].find((each) => each !== others && 2 * sizeOf(each) > this.most)
    const waits = ({ req, headersSent }: ServerResponse) => headersSent || !req.complete
    return [...(hog?.busy ?? [])].find(([, requests]) => [...requests].every(waits))?.[0]
  }
}

const sizeOf = ({ idle, busy }: Peers) => idle.size + busy.size

/** Whom a connection is of: an IPv4 address, or the /64 of an IPv6 one, which is what a single customer has. */
export function addressOf({ remoteAddress = '' }: Pick<Connected, 'remoteAddress'>): string {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/, '')
  if (!address.includes(':')) return address
  const [before, after] = address.split('::').map((part) => part.split(':').filter((group) => group))
  const zeros = after ? new Array(8 - before.length - after.length).fill('0') : []
  return [...before, ...zeros, ...(after ?? [])].slice(0, 4).join(':')
}
