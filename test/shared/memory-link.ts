/** Links in the memory of one process: a hub, at which a gateway and machines have their ends. */

import type { Addressee, Addresses, Link, LinkEvents, LinkMessage } from '../../src/workers/machines/link'

const placeOf = ({ identity, name }: Addressee) => `${identity}/${name}`

/** What ends with a slash stands for all that begin so. */
const addresses: Addresses = {
  rollCall: 'call',
  heartbeats: 'heartbeat/',
  heartbeat: (worker) => `heartbeat/${placeOf(worker)}`,
  worker: (worker) => `worker/${placeOf(worker)}`,
  replies: (gateway) => `reply/${gateway}/`,
  reply: (gateway, token) => `reply/${gateway}/${token}`,
  gatewayOf: (reply) => reply.split('/')[1],
}

export class Hub {
  readonly ends = new Set<MemoryLink>()
  /** All that was said. */
  readonly said: LinkMessage[] = []

  open(): MemoryLink {
    return new MemoryLink(this)
  }
}

export class MemoryLink implements Link {
  readonly addresses = addresses
  /** So little that answers take several frames. */
  readonly most = 60
  readonly needs = new Set<string>()
  readonly refusal = undefined
  readonly #listening = new Map<string, (message: LinkMessage) => void>()
  #events: LinkEvents | undefined
  #isClosed = false

  constructor(private readonly hub: Hub) {
    hub.ends.add(this)
  }

  say(to: string, bytes = new Uint8Array(), reply?: string): void {
    if (this.#isClosed) throw new Error('the link is closed')
    if (!this.hub.ends.has(this)) return // lost
    queueMicrotask(() => this.#carry({ to, bytes: bytes.slice(), reply }))
  }

  #carry(message: LinkMessage): void {
    this.hub.said.push(message)
    const heard = [...this.hub.ends].flatMap((end) => end.#listenersOf(message.to))
    for (const listener of heard) listener(message)
    if (heard.length || !message.reply) return
    const unheard = { to: message.reply, bytes: new Uint8Array(), hasNoListener: true }
    for (const listener of this.#listenersOf(unheard.to)) listener(unheard)
  }

  #listenersOf(to: string) {
    const isOf = (address: string) => (address.endsWith('/') ? to.startsWith(address) : to === address)
    return [...this.#listening].flatMap(([address, heard]) => (isOf(address) ? heard : []))
  }

  listen(to: string, heard: (message: LinkMessage) => void): void {
    this.#listening.set(to, heard)
  }

  follow(events: LinkEvents): void {
    this.#events = events
  }

  /** Its connection breaks. What was said before it arrives. */
  lose(): void {
    queueMicrotask(() => this.hub.ends.delete(this))
    this.#events?.lost()
  }

  /** It is made again. */
  resume(): void {
    this.hub.ends.add(this)
    this.#events?.back()
  }

  /** Its process dies. */
  die(): void {
    this.lose()
    this.#isClosed = true
  }

  async flush(): Promise<void> {}

  mute(): void {
    this.#listening.clear()
  }

  async close(): Promise<void> {
    this.die()
    this.mute()
  }
}
