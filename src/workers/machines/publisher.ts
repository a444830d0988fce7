/** What a worker says, in that order: heartbeats to all, signed with its machine's key; frames to gateways, with a MAC for each. */

import type { KeyPair } from '../../platform/platform'
import type { Link } from './link'
import type { Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'
import { signedBeat } from './signed-heartbeat'

/** Whoever has these is the machine. */
export interface MachineKeys {
  key: KeyPair
  macs: Macs
}

const text = new TextEncoder()

export class Publisher {
  readonly #queue = new SerialQueue()
  #beats = 0

  /** @param worker  its address @param keys  undefined: nothing is signed or has a MAC */
  constructor(
    readonly link: Pick<Link, 'addresses' | 'most' | 'say'>,
    private readonly worker: string,
    private readonly keys: MachineKeys | undefined,
  ) {}

  /** @param call  the address of its answers; where that has no gateway's key nobody is there */
  frame(call: string, bytes: Uint8Array): void {
    const { keys, link } = this
    if (!keys) return this.#say(call, bytes)
    this.#queue.run(() =>
      andThen(keys.macs.with(link.addresses.gatewayOf(call)), (channel) => {
        if (channel) return andThen(channel.authenticate(this.worker, call, bytes), (frame) => this.#say(call, frame))
      }),
    )
  }

  /** @param to  the address of its heartbeats */
  beat(to: string, beat: object): void {
    const { keys } = this
    if (!keys) return this.#say(to, text.encode(JSON.stringify(beat)))
    const own = { ...beat, secret: keys.macs.own, sequence: ++this.#beats }
    const json = text.encode(JSON.stringify(own))
    this.#queue.run(async () => this.#say(to, await signedBeat(keys.key, this.worker, json)))
  }

  #say(to: string, bytes: Uint8Array): void {
    try {
      this.link.say(to, bytes)
    } catch {} // the link is closed: the gateway will notice
  }

  /** Resolves when all that was said is on its way. */
  said(): Promise<void> {
    return this.#queue.idle()
  }
}
