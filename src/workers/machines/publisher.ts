/** Sends a worker's messages in order: heartbeats, signed with its machine's key, and frames, each with a MAC. */

import type { KeyPair } from '../../platform/platform'
import type { Link } from './link'
import type { Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'
import { signedBeat } from './signed-heartbeat'

/** A machine's secrets: its signing key, and its keys for MACs. */
export interface MachineKeys {
  key: KeyPair
  macs: Macs
}

const text = new TextEncoder()

export class Publisher {
  readonly #queue = new SerialQueue()
  #beats = 0

  /** @param worker  the worker's address @param keys  undefined: no signatures and MACs */
  constructor(
    readonly link: Pick<Link, 'addresses' | 'most' | 'say'>,
    private readonly worker: string,
    private readonly keys: MachineKeys | undefined,
  ) {}

  /** Sends a frame. @param call  the reply address; the frame is dropped if it contains no gateway's key */
  frame(call: string, bytes: Uint8Array): void {
    const { keys, link } = this
    if (!keys) return this.#say(call, bytes)
    this.#queue.run(() =>
      andThen(keys.macs.with(link.addresses.gatewayOf(call)), (channel) => {
        if (channel) return andThen(channel.authenticate(this.worker, call, bytes), (frame) => this.#say(call, frame))
      }),
    )
  }

  /** @param to  the address for its heartbeats */
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
    } catch {} // the link is closed, which the gateway notices
  }

  /** Resolves when all messages so far were handed to the link. */
  said(): Promise<void> {
    return this.#queue.idle()
  }
}
