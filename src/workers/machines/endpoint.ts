/** One worker of a machine in a fleet: it listens for rows, and says how it is. */

import type { NatsLink } from '../nats/connection'
import type { ModelWorker } from '../worker'
import { Arrivals } from './frame-verifier'
import { type Frame, VERSION } from './frames'
import type { Heartbeat } from './heartbeat'
import type { ServeSettings } from './options'
import { type MachineKeys, Outbox } from './publisher'
import { Responder } from './responder'

/** What the workers of one machine share. */
export interface MachineState {
  /** Of all its workers that are not down. */
  readonly state: 'up' | 'draining' | 'gone'
  /** Counts its connections. */
  readonly connection: number
  /** Its identity, and whether that is its key. */
  readonly owner: { identity: string; signed: boolean }
}

export class Station {
  readonly outbox: Outbox
  readonly responder: Responder

  constructor(
    readonly name: string,
    readonly worker: ModelWorker,
    private readonly machine: MachineState,
    link: NatsLink,
    private readonly settings: ServeSettings,
    keys: MachineKeys | undefined,
  ) {
    this.outbox = new Outbox(link, this.subject, keys)
    this.responder = new Responder(worker, settings, this.outbox, () => this.beat())
    const receive = (frame: Frame, to: string) => this.responder.receive(frame, to)
    const arrivals = new Arrivals(this.subject, keys?.seals, settings.forgeries, receive)
    link.needs.add(this.subject).add(this.#beats)
    link.listen(this.subject, ({ data, reply }) => {
      if (reply) arrivals.take(data, reply)
    })
  }

  beat(): void {
    const { signature, fingerprint, interruptible, scales } = this.worker
    const { state, connection } = this.machine
    const { isDown, open, slots, ms } = this.responder
    const beat: Omit<Heartbeat, 'signed'> = {
      version: VERSION,
      name: this.name,
      identity: this.machine.owner.identity,
      state: state === 'up' && isDown ? 'down' : state,
      everyMs: this.settings.beatMs,
      connection,
      open,
      slots,
      ms,
      signature,
      fingerprint,
      interruptible,
      scales,
    }
    this.outbox.beat(this.#beats, beat)
  }

  get subject(): string {
    return this.settings.subjects.worker(this.#owner)
  }

  get #beats(): string {
    return this.settings.subjects.beat(this.#owner)
  }

  get #owner() {
    return { ...this.machine.owner, name: this.name }
  }
}
