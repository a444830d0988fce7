/** One worker of a machine in a fleet: it listens for rows, says how it is, and tells operators' tools what it did. */

import type { ModelWorker } from '../worker'
import type { NatsLink, NatsMessage } from './connection'
import { VERSION } from './frames'
import { type Heartbeat, toJson } from './heartbeat'
import { Responder } from './responder'
import type { ServeSettings } from './serve-options'
import { describe, verbOf } from './service'

/** What the workers of one machine share. */
export interface MachineState {
  /** Of all its workers that are not down. */
  readonly state: 'up' | 'draining' | 'gone'
  /** Counts its connections. */
  readonly connection: number
}

export class Station {
  readonly name: string
  readonly worker: ModelWorker
  readonly #machine: MachineState
  readonly #link: NatsLink
  readonly #settings: ServeSettings
  readonly #responder: Responder
  readonly #startedAt = new Date()

  constructor(name: string, worker: ModelWorker, machine: MachineState, link: NatsLink, settings: ServeSettings) {
    this.name = name
    this.worker = worker
    this.#machine = machine
    this.#link = link
    this.#settings = settings
    this.#responder = new Responder(worker, settings, link, () => this.beat())
    link.listen(settings.subjects.worker(name), ({ data, reply }) => {
      if (reply) this.#responder.receive(data, reply)
    })
    link.listen(`$SRV.*.${settings.fleet}.${name}`, (message) => this.describe(message))
  }

  beat(): void {
    const { signature, fingerprint, slots = 1 } = this.worker
    const { state, connection } = this.#machine
    const { identity, beatMs, subjects } = this.#settings
    const { isDown, open, stats } = this.#responder
    const beat: Heartbeat = {
      ...{ version: VERSION, name: this.name, identity, fingerprint, signature, slots },
      ...{ state: state === 'up' && isDown ? 'down' : state, everyMs: beatMs, connection, open, ms: stats.ms },
    }
    this.#publish(subjects.beat(this.name), beat)
  }

  /** Answers an operator's tool. */
  describe({ subject, reply }: NatsMessage): void {
    const verb = verbOf(subject)
    if (!verb || !reply) return
    const { fleet, subjects } = this.#settings
    const { stats, open } = this.#responder
    const own = { fleet, id: this.name, subject: subjects.worker(this.name), startedAt: this.#startedAt }
    this.#publish(reply, describe(verb, { ...own, fingerprint: this.worker.fingerprint, stats, open }))
  }

  #publish(subject: string, value: object): void {
    try {
      this.#link.publish(subject, toJson(value))
    } catch {} // the connection is being closed
  }

  /** Resolves when nothing is left to answer. */
  empty(): Promise<void> {
    return this.#responder.empty()
  }

  /** Rejects what it has; the worker stays open. */
  close(): void {
    this.#responder.close()
  }
}
