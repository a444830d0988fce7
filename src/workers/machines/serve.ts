/** A machine's workers in a fleet: they say that they are there, and answer the rows that come for them. */

import { keys } from '#keys'
import { checkInteger, MOST_MS } from '../../base/check'
import { ApproxiferError } from '../../base/errors'
import { randomToken } from '../../base/random-token'
import type { KeyPair } from '../../platform/platform'
import { checkServer, NatsLink, type NatsServer } from '../nats/connection'
import { tagOf } from '../nats/subjects'
import { type MachineState, Station } from './endpoint'
import { Seals } from './macs'
import { checkServeOptions, type ServeNatsOptions, type ServeSettings } from './options'
import type { MachineKeys } from './publisher'

export interface NatsService {
  /** The workers' names in the fleet; after a restart they are others. */
  readonly names: readonly string[]
  /** Of the machine: its public key, where it has one. */
  readonly identity: string
  /**
   * Leaves in good order: no coordinator sends any more rows, and those that are here are answered.
   *
   * @param graceMs  after this long they are rejected. Default 10,000 ms
   */
  drain(graceMs?: number): Promise<void>
  /** Leaves at once; closes the workers, and the connection if that was made here. May be called twice. */
  close(): Promise<void>
  /** Frames that came for its workers without a gateway's seal, or a second time: they were dropped. */
  readonly forged: number
  /** Resolves when it has left, or the connection was closed for good. */
  readonly closed: Promise<void>
}

/**
 * Lets workers answer for a fleet: in Node, in a browser's tab or on the edge, there with a connection of `wsconnect`. Resolves when
 * they can be found. A server that restarts is joined again, under the same names.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError WORKER where no server answers or the client library is missing
 */
export async function serveNats(server: NatsServer, options: ServeNatsOptions): Promise<NatsService> {
  checkServer(server)
  const settings = checkServeOptions(options)
  const key = await keyOf(settings)
  const own = key && { key, seals: await Seals.make('machine') }
  const link = await NatsLink.open(server, settings.warn)
  const machine = new ServingMachine(link, settings, own)
  await machine.settled()
  const { refusal } = link
  if (!refusal) return machine
  await machine.close()
  throw new ApproxiferError('WORKER', `NATS: ${refusal.message}`, { cause: refusal })
}

async function keyOf({ key, warn }: ServeSettings): Promise<KeyPair | undefined> {
  if (key === false) return undefined
  if (key === undefined) return keys.generate()
  return typeof key === 'string' ? keys.kept(key, warn) : key
}

/** After it said that it drains, in which what was sent meanwhile arrives. */
const ON_THEIR_WAY_MS = 100
const GRACE_MS = 10_000

class ServingMachine implements NatsService, MachineState {
  state: MachineState['state'] = 'up'
  connection = 1
  readonly owner: MachineState['owner']
  readonly closed: Promise<void>
  readonly #link: NatsLink
  readonly #settings: ServeSettings
  readonly #stations: readonly Station[]
  #cancelBeat: () => void = () => {}
  #end: (left: Promise<void>) => void = () => {}

  constructor(link: NatsLink, settings: ServeSettings, own: MachineKeys | undefined) {
    const { workers, machine, subjects } = settings
    const { key } = own ?? {}
    this.owner = { identity: key?.identity ?? `${machine}-${randomToken()}`, signed: key !== undefined }
    this.#link = link
    this.#settings = settings
    this.closed = new Promise((resolve) => {
      this.#end = resolve
    })
    const run = (key ? tagOf(key.identity) : '') + randomToken().slice(0, 6)
    this.#stations = workers.map(
      (worker, i) => new Station(`${machine}-${i}-${run}`, worker, this, link, settings, own),
    )
    link.listen(subjects.rollCall, () => this.#beatAll())
    void link.follow({
      lost: () => this.connection++,
      back: () => this.#beatAll(),
      ended: () => void this.close(),
    })
    this.#beatOn()
  }

  get identity(): string {
    return this.owner.identity
  }

  get forged(): number {
    return this.#settings.forgeries.count
  }

  get names(): readonly string[] {
    return this.#stations.map(({ name }) => name)
  }

  /** The server has the subscriptions: coordinators find the workers. Where the connection breaks meanwhile they do when it is back. */
  async settled(): Promise<void> {
    await Promise.all(this.#stations.map(({ outbox }) => outbox.said()))
    await this.#link.flush().catch(() => {})
    await this.#link.flush().catch(() => {}) // what it refused is known by now
  }

  async drain(graceMs = GRACE_MS): Promise<void> {
    checkInteger('graceMs', graceMs, 0, MOST_MS)
    if (this.state === 'up') {
      this.state = 'draining'
      this.#beatAll()
      await this.#answered(graceMs)
    }
    await this.close()
  }

  /** Resolves when nothing is left to answer; after `graceMs` at the latest, or when it is closed. */
  async #answered(graceMs: number): Promise<void> {
    const { clock } = this.#settings
    const arrived = new Promise<void>((resolve) => clock.after(Math.min(ON_THEIR_WAY_MS, graceMs), resolve))
    const empty = arrived.then(() => Promise.all(this.#stations.map((station) => station.responder.empty())))
    await new Promise<unknown>((resolve, reject) => {
      const cancel = clock.after(graceMs, () => resolve(undefined))
      Promise.race([this.closed, empty]).then(resolve, reject).finally(cancel)
    })
  }

  close(): Promise<void> {
    if (this.state !== 'gone') {
      this.state = 'gone'
      this.#end(this.#leave())
    }
    return this.closed
  }

  async #leave(): Promise<void> {
    this.#cancelBeat()
    this.#link.mute()
    for (const station of this.#stations) station.responder.close()
    this.#beatAll()
    await this.settled()
    await this.#link.close()
    await Promise.all(this.#stations.map(({ worker }) => worker.close()))
  }

  #beatOn(): void {
    const { clock, beatMs } = this.#settings
    this.#beatAll()
    this.#cancelBeat = clock.after(beatMs, () => this.#beatOn(), true)
  }

  #beatAll(): void {
    for (const station of this.#stations) station.beat()
  }
}
