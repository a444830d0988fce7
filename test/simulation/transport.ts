/** How the predictor of the simulation comes to its workers: without a network, or as bytes. */

import type { Change } from 'approxifer'
import type { WorkerChanges } from '../../src/workers/worker'
import type { Feed } from '../shared/worker-changes'
import type { Actor } from './actor'
import { Feeds } from './feeds'
import { HttpTransport } from './http-transport'
import { Broker } from './nats-broker'
import { NatsTransport } from './nats-transport'
import type { Network } from './network'
import type { Wire } from './wire'

export interface Transport {
  /** For a predictor that starts: those that are there, and whoever comes. */
  connect(): WorkerChanges
  join(actor: Actor): void
  leave(worker: string, how: 'remove' | 'drain'): void
  /** A machine is down for so long; what it had under way is lost. */
  restart(worker: string, forMs: number): void
  /** The network is lost for so long, to one or to all. */
  cut?(worker: string | undefined, forMs: number): void
  /** The machine's own name and identity, of what the predictor says. */
  nameOf(worker: string): string
  identityOf(identity: string): string
  /** Nothing is wrong with the network any more. */
  calm(): void
  close(): Promise<void>
}

/** Workers that are objects. */
export class Direct implements Transport {
  readonly #actors = new Map<string, Actor>()
  readonly #feeds = new Feeds<Change>()

  /** @param born  a machine anew, since a predictor closes its workers, and shares them with no other */
  constructor(private readonly born: (actor: Actor) => Actor) {}

  connect(): Feed<Change> {
    const feed = this.#feeds.open()
    for (const [name, actor] of [...this.#actors]) {
      const anew = actor.isClosed || actor.onFree ? this.born(actor) : actor
      this.#actors.set(name, anew)
      feed.tell({ add: anew })
    }
    return feed
  }

  /** One that is about to close needs nobody. */
  join(actor: Actor): void {
    this.#actors.set(actor.name, actor)
    this.#feeds.newest?.tell({ add: actor })
  }

  leave(worker: string, how: 'remove' | 'drain'): void {
    this.#actors.delete(worker)
    this.#feeds.tell(how === 'remove' ? { remove: worker } : { drain: worker })
  }

  renew(fingerprint: string): void {
    this.#feeds.tell({ model: fingerprint })
  }

  restart(worker: string, forMs: number): void {
    const actor = this.#actors.get(worker)
    actor?.change('dead')
    actor?.clock.after(forMs, () => actor.change('well'))
  }

  nameOf(worker: string): string {
    return worker
  }

  identityOf(identity: string): string {
    return identity
  }

  calm(): void {}

  async close(): Promise<void> {}
}

/** Times of the two ends, short as those of the runs. */
const HTTP = { healthMs: 200, timeoutMs: 6000, probe: { everyMs: 500 }, onWarning() {} }
const NATS = { missed: 3, forgetMs: 400, expireMs: 400 }

/** @param born  a machine anew */
export function transportOf(
  wire: Wire | undefined,
  network: Network,
  modelOf: (identity: string) => number,
  born: (actor: Actor) => Actor,
): Transport {
  if (wire?.transport === 'http') return new HttpTransport(network, { ...HTTP, ...wire.http }, modelOf)
  if (wire?.transport !== 'nats') return new Direct(born)
  const { most, maxPending, beatMs, forges } = wire.nats
  const machine = { beatMs, maxPending: 8, hangMs: 150 }
  const coordinator = { ...NATS, maxPending }
  return new NatsTransport(new Broker(network, most), { coordinator, machine, forges, warn() {} }, born)
}
