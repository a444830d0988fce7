/** What a worker says, in that order: heartbeats to all, signed with its machine's key; frames to gateways, sealed for each. */

import type { KeyPair } from '../../platform/platform'
import type { NatsLink } from '../nats/connection'
import { keyIn } from '../nats/subjects'
import type { Seals } from './macs'
import { InTurn, soon } from './maybe-promise'
import { signedBeat } from './signed-heartbeat'

/** Whoever has these is the machine. */
export interface MachineKeys {
  key: KeyPair
  seals: Seals
}

const text = new TextEncoder()

export class Outbox {
  readonly #inTurn = new InTurn()
  #beats = 0

  /** @param subject  the worker's own @param keys  undefined: nothing is signed or sealed */
  constructor(
    private readonly link: Pick<NatsLink, 'most' | 'publish'>,
    private readonly subject: string,
    private readonly keys: MachineKeys | undefined,
  ) {}

  /** Bytes that a frame may have. */
  get most(): number {
    return this.link.most
  }

  /** To an address of a call. Where that has no gateway's key nobody is there. */
  frame(to: string, bytes: Uint8Array): void {
    const { keys } = this
    if (!keys) return this.#publish(to, bytes)
    this.#inTurn.take(() =>
      soon(keys.seals.with(keyIn(to)), (channel) => {
        if (channel) return soon(channel.seal(this.subject, to, bytes), (sealed) => this.#publish(to, sealed))
      }),
    )
  }

  beat(to: string, beat: object): void {
    const { keys } = this
    if (!keys) return this.#publish(to, text.encode(JSON.stringify(beat)))
    const own = { ...beat, secret: keys.seals.own, sequence: ++this.#beats }
    const json = text.encode(JSON.stringify(own))
    this.#inTurn.take(async () => this.#publish(to, await signedBeat(keys.key, this.subject, json)))
  }

  #publish(to: string, bytes: Uint8Array): void {
    try {
      this.link.publish(to, bytes)
    } catch {} // the connection is closed: the coordinator will notice
  }

  /** Resolves when all that was said is on its way. */
  said(): Promise<void> {
    return this.#inTurn.taken()
  }
}
