/** A NATS server of the simulation, and connections to it: messages take their time, are lost or come twice, connections break and are made again. */

import type { NatsConnection, NatsMessage, NatsSubscription } from '../../src/workers/nats/connection'
import type { Network } from './network'

type Callback = (error: Error | null, message: NatsMessage) => void

interface Flushing {
  resolve(): void
  reject(error: Error): void
}

interface Listening {
  pattern: RegExp
  callback: Callback
}

const matching = (subject: string) =>
  new RegExp(`^${subject.replace(/[.$]/g, '\\$&').replaceAll('*', '[^.]+').replace('>', '.+')}$`)

export class Broker {
  readonly #connections = new Set<Connection>()

  constructor(
    readonly network: Network,
    /** Bytes that a message may have. */
    readonly most: number,
  ) {}

  connect(): Connection {
    const connection = new Connection(this)
    this.#connections.add(connection)
    return connection
  }

  left(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** It restarts: all connections break, and each is made again a moment after. */
  cut(forMs: number): void {
    for (const connection of this.#connections) connection.cut(forMs + this.network.delayMs)
  }

  /** A message has come. */
  route(from: Connection, { subject, data, reply }: NatsMessage): void {
    let isHeard = false
    for (const connection of this.#connections) {
      for (const callback of connection.listenersOf(subject)) {
        isHeard = true
        connection.deliver(callback, { subject, data: data.slice(), ...(reply && { reply }) })
      }
    }
    if (isHeard || !reply) return
    const unheard = { subject: reply, data: new Uint8Array(), headers: { code: 503 } }
    for (const callback of from.listenersOf(reply)) from.deliver(callback, unheard)
  }
}

export class Connection implements NatsConnection {
  readonly info: { max_payload: number }
  readonly #broker: Broker
  readonly #listening = new Set<Listening>()
  readonly #status: { type: string }[] = []
  #state: 'there' | 'lost' | 'closed' = 'there'
  /** What was published meanwhile: the client library sends it when it is back. */
  #unsent: NatsMessage[] = []
  readonly #flushing = new Set<Flushing>()
  /** Counts the breaks: what was on its way is lost. */
  #breaks = 0
  /** When the last message of a direction arrives: none overtakes another. */
  readonly #last = { up: 0, down: 0 }
  #wake: () => void = () => {}
  #ended: () => void = () => {}
  readonly #end = new Promise<void>((resolve) => {
    this.#ended = resolve
  })

  constructor(broker: Broker) {
    this.#broker = broker
    this.info = { max_payload: broker.most }
  }

  publish(subject: string, payload: Uint8Array = new Uint8Array(), { reply }: { reply?: string } = {}): void {
    if (this.#state === 'closed') throw new Error('closed connection')
    const message = { subject, data: payload.slice(), ...(reply && { reply }) }
    if (this.#state === 'lost') this.#unsent.push(message)
    else this.#carry('up', () => this.#broker.route(this, message))
  }

  subscribe(subject: string, { callback }: { callback: Callback }): NatsSubscription {
    const listening = { pattern: matching(subject), callback }
    this.#listening.add(listening)
    return { unsubscribe: () => void this.#listening.delete(listening) }
  }

  listenersOf(subject: string): Callback[] {
    if (this.#state !== 'there') return []
    return [...this.#listening].flatMap(({ pattern, callback }) => (pattern.test(subject) ? callback : []))
  }

  deliver(callback: Callback, message: NatsMessage): void {
    const { network } = this.#broker
    if (network.chance('losses')) return
    const times = network.chance('twice') ? 2 : 1
    for (let i = 0; i < times; i++) this.#carry('down', () => callback(null, message))
  }

  #carry(way: 'up' | 'down', arrived: () => void): void {
    const { network } = this.#broker
    const { clock } = network
    const at = Math.max(this.#last[way], clock.now() + network.delayMs)
    this.#last[way] = at
    const breaks = this.#breaks
    clock.after(at - clock.now(), () => {
      if (this.#state === 'there' && this.#breaks === breaks) arrived()
    })
  }

  cut(forMs: number): void {
    if (this.#state !== 'there') return
    this.#state = 'lost'
    this.#breaks++
    this.#unflushed()
    this.#tell('disconnect')
    this.#broker.network.clock.after(forMs, () => {
      if (this.#state !== 'lost') return
      this.#state = 'there'
      for (const { subject, data, reply } of this.#unsent.splice(0)) this.publish(subject, data, reply ? { reply } : {})
      for (const flushing of this.#flushing) this.#ask(flushing)
      this.#tell('reconnect')
    })
  }

  #unflushed(): void {
    for (const { reject } of this.#flushing) reject(new Error('the connection broke'))
    this.#flushing.clear()
  }

  #tell(type: string): void {
    this.#status.push({ type })
    this.#wake()
  }

  async *status(): AsyncGenerator<{ type: string }> {
    while (true) {
      const next = this.#status.shift()
      if (next) yield next
      else if (this.#state === 'closed') return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  /** Rejects where the connection breaks meanwhile; while it is broken it waits. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const flushing = { resolve, reject }
      this.#flushing.add(flushing)
      if (this.#state === 'there') this.#ask(flushing)
    })
  }

  #ask(flushing: Flushing): void {
    this.#carry('up', () =>
      this.#carry('down', () => {
        this.#flushing.delete(flushing)
        flushing.resolve()
      }),
    )
  }

  closed(): Promise<void> {
    return this.#end
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#listening.clear()
    this.#unflushed()
    this.#broker.left(this)
    this.#ended()
    this.#wake()
  }

  isClosed(): boolean {
    return this.#state === 'closed'
  }
}
