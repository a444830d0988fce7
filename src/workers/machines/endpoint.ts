/** One worker of a machine in a fleet: connects its heartbeats, verifier and responder to the link. */

import type { ModelWorker } from '../worker'
import { FrameVerifier } from './frame-verifier'
import { VERSION } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Link } from './link'
import type { MachineSettings } from './options'
import { type MachineKeys, Publisher } from './publisher'
import { Responder } from './responder'

/** The state that the workers of one machine share. */
export interface MachineState {
  /** Applies to all workers that are not down. */
  readonly state: 'up' | 'draining' | 'gone'
  /** Number of the connection, counted from 1. */
  readonly connection: number
  readonly identity: string
  /** Whether the identity is the machine's public key. */
  readonly signed: boolean
}

export class Endpoint {
  readonly publisher: Publisher
  readonly responder: Responder
  /** The address of its heartbeats. */
  readonly #heartbeat: string

  /** @param keys  undefined: heartbeats are not signed, and frames need no MAC */
  constructor(
    private readonly name: string,
    readonly worker: ModelWorker,
    private readonly machine: MachineState,
    link: Link,
    private readonly settings: MachineSettings,
    keys: MachineKeys | undefined,
  ) {
    const { addresses } = link
    const { identity, signed } = machine
    const own = addresses.worker({ name, identity, signed })
    this.#heartbeat = addresses.heartbeat({ name, identity, signed })
    link.needs.add(own).add(this.#heartbeat)
    this.publisher = new Publisher(link, own, keys)
    this.responder = new Responder(worker, settings, this.publisher, () => this.beat())
    const { responder } = this
    const verifier = new FrameVerifier(own, addresses, keys?.macs, settings.forgeries, responder)
    link.listen(own, ({ bytes, reply }) => {
      if (reply) verifier.take(bytes, reply)
    })
  }

  beat(): void {
    const { signature, fingerprint, interruptible, scales } = this.worker
    const { state, connection, identity } = this.machine
    const { isDown, open, slots, ms } = this.responder
    const beat: Omit<Heartbeat, 'signed'> = {
      ...{ version: VERSION, name: this.name, identity, everyMs: this.settings.beatMs, connection },
      state: state === 'up' && isDown ? 'down' : state,
      ...{ open, slots, ms, signature, fingerprint, interruptible, scales },
    }
    this.publisher.beat(this.#heartbeat, beat)
  }
}
