/** Machines that call home: the real two ends of a fleet on NATS, at connections of the simulation. */

import { seeded } from '../../src/base/random'
import { encodeValues } from '../../src/workers/machines/frames'
import type { MachineService } from '../../src/workers/machines/machine'
import { type NatsOptions, natsWorkers } from '../../src/workers/nats/fleet'
import { serveNats } from '../../src/workers/nats/serve'
import type { Change } from '../../src/workers/worker'
import { keyOf } from '../shared/fixed-keys'
import type { Actor } from './actor'
import type { Broker, Connection } from './nats-broker'
import type { Transport } from './transport'

const FLEET = 'simulated'

interface Member {
  actor: Actor
  connection: Connection
  service: Promise<MachineService>
}

interface NatsTransportOptions {
  coordinator: Pick<NatsOptions, 'missed' | 'forgetMs' | 'expireMs' | 'maxPending'>
  machine: { beatMs: number; maxPending: number; hangMs: number }
  /** Whether machines that lie answer in others' place, too. */
  forges: boolean
  warn: (text: string) => void
}

export class NatsTransport implements Transport {
  #isClosed = false
  readonly #members = new Map<string, Member>()
  /** What machines are called, by their keys. */
  readonly #identities = new Map<string, string>()
  readonly #connections: Connection[] = []

  /** @param born  a machine anew: it is closed with its service */
  constructor(
    private readonly broker: Broker,
    private readonly options: NatsTransportOptions,
    private readonly born: (actor: Actor) => Actor,
  ) {}

  connect(): AsyncIterableIterator<Change> {
    const connection = this.broker.connect()
    this.#connections.push(connection)
    const { coordinator, warn: onWarning } = this.options
    return natsWorkers(connection, { fleet: FLEET, ...coordinator, onWarning, clock: this.broker.network.clock })
  }

  join(actor: Actor): void {
    const { machine, warn: onWarning, forges } = this.options
    this.leave(actor.name, 'remove') // where it restarts meanwhile
    const connection = this.broker.connect()
    const { name, identity } = actor
    const key = keyOf(identity)
    this.#identities.set(key.identity, identity)
    const serving = { fleet: FLEET, workers: [actor], name, key, ...machine, onWarning }
    const service = serveNats(connection, { ...serving, clock: this.broker.network.clock })
    this.#members.set(name, { actor, connection, service })
    if (forges && actor.lying.strategy !== undefined)
      void service.then(({ names: [own] }) => forge(connection, `${key.identity}.${own}`))
  }

  leave(worker: string, how: 'remove' | 'drain'): void {
    const member = this.#members.get(worker)
    if (!member) return
    this.#members.delete(worker)
    void this.#end(member, how)
  }

  async #end({ service, connection }: Member, how: 'remove' | 'drain'): Promise<void> {
    const served = await service
    await (how === 'remove' ? served.close() : served.drain(50))
    await connection.close()
  }

  /** Its process ends without a word, and another begins. */
  restart(worker: string, forMs: number): void {
    const member = this.#members.get(worker)
    if (!member) return
    this.#members.delete(worker)
    void member.connection.close() // which its service hears of, and closes the worker
    this.broker.network.clock.after(forMs, () => {
      if (!this.#isClosed && !this.#members.has(worker)) this.join(this.born(member.actor))
    })
  }

  cut(worker: string | undefined, forMs: number): void {
    if (worker === undefined) this.broker.cut(forMs)
    else this.#members.get(worker)?.connection.cut(forMs)
  }

  /** A worker is called by its machine, its place there, and its run. */
  nameOf(worker: string): string {
    return worker.replace(/-0-[\w-]{16}$/, '')
  }

  identityOf(identity: string): string {
    return this.#identities.get(identity) ?? identity
  }

  calm(): void {
    this.broker.network.calm()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#members.values()].map((member) => this.#end(member, 'remove')))
    for (const connection of this.#connections) await connection.close()
  }
}

/** Of every second row of others, which it reads as they do, it tells in their names something else, before they can. */
function forge(connection: Connection, own: string): void {
  const random = seeded(1)
  connection.subscribe(`approxifer.${FLEET}.worker.>`, {
    callback(_, { subject, data, reply = '' }) {
      if (data[1] !== 0 || subject.endsWith(own) || random.next() < 0.5) return
      for (const bytes of encodeValues('answer', LIE, 1_048_576)) connection.publish(reply, bytes)
    },
  })
}

const LIE = Float32Array.of(50, -50)
