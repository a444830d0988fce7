/** One worker of a machine in a fleet: it listens for rows, and says how it is. */

import type { ModelWorker } from '../worker'
import { FrameVerifier } from './frame-verifier'
import { VERSION } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Link } from './link'
import type { MachineSettings } from './options'
import { type MachineKeys, Publisher } from './publisher'
import { Responder } from './responder'

/** What the workers of one machine share. */
export interface MachineState {
  /** Of all its workers that are not down. */
  readonly state: 'up' | 'draining' | 'gone'
  /** Counts its connections. */
  readonly connection: number
  readonly identity: string
  /** Whether that is its key. */
  readonly signed: boolean
}

export class Endpoint {
  readonly publisher: Publisher
  readonly responder: Responder
  /** Of its heartbeats. */
  readonly #heartbeat: string

  /** @param keys  undefined: nothing is signed, and any frame counts */
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
      traced: true,
    }
    this.publisher.beat(this.#heartbeat, beat)
  }
}
