/** Machines behind HTTP: the real workers on a fetch function whose requests and replies are carried by the simulated network. */

import { httpWorkers } from '../../src/workers/http/fleet'
import type { HttpOptions } from '../../src/workers/http/options'
import type { EndpointChange } from '../../src/workers/remote/endpoints'
import type { WorkerChanges } from '../../src/workers/worker'
import type { Actor } from './actor'
import { Feeds } from './feeds'
import type { Network } from './network'
import { OipMachine, type WireReply } from './oip-machine'
import type { Transport } from './transport'

const failed = (code: string) =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(`connect ${code}`), { code }) })

/** A reply that finds no other in that time comes to its own request. */
const MOST_HELD_MS = 20

/** One request and its reply, as the client sees them. */
class Exchange {
  readonly #server = new AbortController()
  readonly #pieces: Uint8Array[] = []
  #wake: () => void = () => {}
  #end: 'open' | 'whole' | Error = 'open'
  #cancel: () => void = () => {}

  constructor(
    private readonly network: Network,
    private readonly left: (exchange: Exchange) => void,
    private readonly replied: (head: { status: number } | Error) => void,
  ) {}

  get signal(): AbortSignal {
    return this.#server.signal
  }

  get isOver(): boolean {
    return this.#end !== 'open'
  }

  send(
    body: Uint8Array,
    answer: (body: Uint8Array, signal: AbortSignal) => Promise<WireReply>,
    take: Exchange['take'],
  ) {
    const parts: Uint8Array[] = []
    this.#cancel = this.network.carry(body, {
      piece: (bytes) => void parts.push(bytes),
      broken: () => this.cut(failed('ECONNRESET')),
      end: () => void answer(Buffer.concat(parts), this.signal).then((reply) => this.isOver || take(reply)),
    })
  }

  readonly take = (reply: WireReply): void => {
    if (this.isOver) return
    this.#cancel = this.network.carry(reply.body, {
      piece: (bytes) => {
        this.#pieces.push(bytes)
        this.replied(this.#response(reply))
        this.#wake()
      },
      broken: () => this.cut(failed('ECONNRESET')),
      end: () => this.#over('whole'),
    })
  }

  /** The client leaves, or the connection breaks: the server hears of that a moment later. */
  cut(why: Error): void {
    if (this.isOver) return
    this.#cancel()
    this.replied(why)
    this.#over(why)
    this.network.clock.after(this.network.delayMs, () => this.#server.abort())
  }

  #over(end: 'whole' | Error): void {
    this.#end = end
    this.left(this)
    this.#wake()
  }

  #response({ status, headers }: WireReply) {
    const read = async () => {
      while (!this.#pieces.length && this.#end === 'open') {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      if (this.#end instanceof Error) throw this.#end
      const value = this.#pieces.shift()
      return { done: value === undefined, value }
    }
    const get = (name: string) => headers[name] ?? null
    const cancel = async () => this.cut(new Error('cancelled'))
    return { status, headers: { get }, body: { getReader: () => ({ read, cancel }) } }
  }
}

export class HttpTransport implements Transport {
  readonly #machines = new Map<string, OipMachine>()
  readonly #open = new Map<OipMachine, Set<Exchange>>()
  /** A reply that waits for another one to be mistaken for. */
  readonly #held = new Map<OipMachine, { exchange: Exchange; reply: WireReply }>()
  readonly #endpoints = new Feeds<EndpointChange>()

  /** @param modelOf  which it has now, by identity */
  constructor(
    private readonly network: Network,
    private readonly options: Omit<HttpOptions, 'model' | 'fetch' | 'clock'>,
    private readonly modelOf: (identity: string) => number,
  ) {}

  connect(): WorkerChanges {
    const endpoints = this.#endpoints.open()
    for (const { actor } of this.#machines.values()) endpoints.tell({ add: urlOf(actor) })
    const fetch = this.#fetch as unknown as typeof globalThis.fetch
    return httpWorkers(endpoints, { ...this.options, model: 'm', fetch, clock: this.network.clock })
  }

  readonly #fetch = (url: string, init: RequestInit): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { host, pathname } = new URL(url)
      const [prefix, path] = /^(.*?)(\/v2.*)$/.exec(pathname)?.slice(1) ?? ['', pathname]
      const machine = this.#machines.get(host + prefix)
      const signal = init.signal as AbortSignal
      if (!machine?.isUp) return this.#refuse(signal, reject)
      const exchange = new Exchange(this.network, (each) => this.#open.get(machine)?.delete(each), (head) => (head instanceof Error ? reject(head) : resolve(head))) // biome-ignore format: one line
      this.#open.get(machine)?.add(exchange)
      signal.addEventListener('abort', () => exchange.cut(signal.reason))
      const headers = init.headers as Record<string, string>
      const asked = { method: init.method as string, path, headers }
      exchange.send(
        (init.body as Uint8Array | undefined)?.slice() ?? new Uint8Array(),
        (body) => machine.answer({ ...asked, body }, exchange.signal),
        path.endsWith('/infer') ? (reply) => this.#crossed(machine, exchange, reply) : exchange.take,
      )
    })

  #refuse(signal: AbortSignal, reject: (error: Error) => void): void {
    this.network.clock.after(this.network.delayMs, () => reject(failed('ECONNREFUSED')))
    signal.addEventListener('abort', () => reject(signal.reason))
  }

  /** Now and then two replies come to each other's requests, as a broken proxy hands them out. */
  #crossed(machine: OipMachine, exchange: Exchange, reply: WireReply): void {
    const held = this.#held.get(machine)
    this.#held.delete(machine)
    if (held && !held.exchange.isOver) {
      held.exchange.take(reply)
      exchange.take(held.reply)
    } else if (this.network.chance('crossed')) {
      this.#held.set(machine, { exchange, reply })
      this.network.clock.after(MOST_HELD_MS, () => {
        if (this.#held.get(machine)?.exchange !== exchange) return
        this.#held.delete(machine) // else a server would hang that is said to be well
        exchange.take(reply)
      })
    } else exchange.take(reply)
  }

  join(actor: Actor): void {
    const machine = new OipMachine(actor, () => this.modelOf(actor.identity))
    machine.onDown = () => this.#reset(machine)
    this.#open.set(machine, new Set())
    this.#machines.set(placeOf(actor), machine)
    this.#endpoints.tell({ add: urlOf(actor) })
  }

  leave(worker: string, how: 'remove' | 'drain'): void {
    const machine = [...this.#machines.values()].find(({ actor }) => actor.name === worker)
    if (!machine) return
    const url = urlOf(machine.actor)
    this.#endpoints.tell(how === 'remove' ? { remove: url } : { drain: url })
    if (how === 'drain') return
    this.#machines.delete(placeOf(machine.actor))
    this.#reset(machine)
  }

  restart(worker: string, forMs: number): void {
    const actor = [...this.#machines.values()].find((each) => each.actor.name === worker)?.actor
    actor?.change('dead')
    this.network.clock.after(forMs, () => actor?.change('well'))
  }

  /** All connections to it are gone, and others can be made. */
  cut(worker: string | undefined): void {
    for (const machine of this.#machines.values()) if (!worker || machine.actor.name === worker) this.#reset(machine)
  }

  #reset(machine: OipMachine): void {
    for (const exchange of [...(this.#open.get(machine) ?? [])]) exchange.cut(failed('ECONNRESET'))
  }

  nameOf(worker: string): string {
    return worker.split('/').at(-1) as string
  }

  identityOf(identity: string): string {
    return identity.replace(/:80$/, '')
  }

  calm(): void {
    this.network.calm()
  }

  async close(): Promise<void> {}
}

const placeOf = ({ name, identity }: Actor) => (name === identity ? identity : `${identity}/${name}`)
const urlOf = (actor: Actor) => `http://${placeOf(actor)}`
