/** A machine's end of a fleet: announces the machine's workers and answers the queries for them. */

import { keys } from '#keys'
import { checkInteger, MOST_MS } from '../../base/check'
import { randomToken } from '../../base/random-token'
import type { KeyPair } from '../../platform/platform'
import { Endpoint, type MachineState } from './endpoint'
import type { Link } from './link'
import { Macs } from './macs'
import { tagOf } from './names'
import type { MachineSettings } from './options'

/** A machine's membership in a fleet. */
export interface MachineService {
  /** The workers' names in the fleet; they differ after a restart. */
  readonly names: readonly string[]
  /** The machine's public key, or a random name if it has no key. */
  readonly identity: string
  /**
   * Leaves gracefully: gateways send no more queries, and open calls are answered first.
   *
   * @param graceMs  open calls are rejected after this many milliseconds. Default 10,000
   */
  drain(graceMs?: number): Promise<void>
  /** Leaves at once; closes the workers, and the connection if it was made here. May be called twice. */
  close(): Promise<void>
  /** Frames that were dropped because a gateway's MAC was missing or wrong, or because they were replayed. */
  readonly forged: number
  /** Resolves when the machine has left, or the connection was closed for good. */
  readonly closed: Promise<void>
}

/** How long after announcing the drain queries that were already sent may still arrive. */
const ON_THEIR_WAY_MS = 100
const GRACE_MS = 10_000

export class ServingMachine implements MachineService, MachineState {
  state: MachineState['state'] = 'up'
  connection = 1
  readonly names: readonly string[]
  readonly identity: string
  readonly signed: boolean
  readonly closed: Promise<void>
  readonly #link: Link
  readonly #settings: MachineSettings
  readonly #endpoints: readonly Endpoint[]
  #cancelBeat: () => void = () => {}
  #end: (left: Promise<void>) => void = () => {}

  /**
   * Resolves when gateways can find the workers.
   *
   * @param open  opens a link for this machine alone, which closes it
   * @throws ApproxiferError WORKER if the link refuses an address that the machine needs; and the errors of `open`
   */
  static async join(settings: MachineSettings, open: () => Promise<Link>): Promise<ServingMachine> {
    const key = await keyOf(settings)
    const macs = key && (await Macs.make('machine'))
    const link = await open()
    const machine = new ServingMachine(link, settings, key, macs)
    await machine.#settled()
    const { refusal } = link
    if (!refusal) return machine
    await machine.close()
    throw refusal
  }

  private constructor(link: Link, settings: MachineSettings, key: KeyPair | undefined, macs: Macs | undefined) {
    const { workers, name } = settings
    this.identity = key?.identity ?? `${name}-anonymous-${randomToken()}` // always longer than a key, which it must not look like
    this.signed = key !== undefined
    this.#link = link
    this.#settings = settings
    this.closed = new Promise((resolve) => {
      this.#end = resolve
    })
    const run = (key ? tagOf(key.identity) : '') + randomToken().slice(0, 6)
    const own = key && macs && { key, macs }
    this.names = workers.map((_, i) => `${name}-${i}-${run}`)
    this.#endpoints = workers.map((worker, i) => new Endpoint(this.names[i], worker, this, link, settings, own))
    link.listen(link.addresses.rollCall, () => this.#beatAll())
    link.follow({
      lost: () => this.connection++,
      back: () => this.#beatAll(),
      ended: () => void this.close(),
    })
    this.#beatOn()
  }

  get forged(): number {
    return this.#settings.forgeries.count
  }

  /** Waits until the link has sent all messages and subscriptions. If the connection breaks meanwhile gateways find the workers later. */
  async #settled(): Promise<void> {
    await Promise.all(this.#endpoints.map(({ publisher }) => publisher.said()))
    await this.#link.flush().catch(() => {})
    await this.#link.flush().catch(() => {}) // the second flush returns after any refusals of the first
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

  /** Resolves when all open calls are answered, after `graceMs`, or when the machine is closed. */
  async #answered(graceMs: number): Promise<void> {
    const { clock } = this.#settings
    const arrived = new Promise<void>((resolve) => clock.after(Math.min(ON_THEIR_WAY_MS, graceMs), resolve))
    const empty = arrived.then(() => Promise.all(this.#endpoints.map(({ responder }) => responder.empty())))
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
    for (const { responder } of this.#endpoints) responder.close()
    this.#beatAll()
    await this.#settled()
    await this.#link.close()
    await Promise.all(this.#endpoints.map(({ worker }) => worker.close()))
  }

  #beatOn(): void {
    const { clock, beatMs } = this.#settings
    this.#beatAll()
    this.#cancelBeat = clock.after(beatMs, () => this.#beatOn(), true)
  }

  #beatAll(): void {
    for (const endpoint of this.#endpoints) endpoint.beat()
  }
}

async function keyOf({ key, warn }: MachineSettings): Promise<KeyPair | undefined> {
  if (key === false) return undefined
  if (key === undefined) return keys.generate()
  return typeof key === 'string' ? keys.kept(key, warn) : key
}
