/**
 * Workers that were heard, and have yet to answer at their own address, with a MAC by the secret of the heartbeat where they have a key: what
 * was announced in another's name, or by nobody, never joins, and a heartbeat that is sent again proves nothing.
 */

import type { MaybePromise } from '../../platform/platform'
import { MOST_WORKERS } from '../remote/fleet'
import type { Conversation } from './conversations'
import { decode, encode } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Channel } from './macs'
import { andThen } from './maybe-promise'
import type { Verify } from './signed-heartbeat'
import type { FleetGateway, Peer } from './worker'

interface Handshake {
  beat: Heartbeat
  readonly since: number
  readonly question: Conversation
  /** Undefined: it needs no signature, or has no key. */
  readonly verify: Verify | undefined
  /** Undefined also where what it calls its key is none. */
  readonly channel: MaybePromise<Channel | undefined>
}

export class Handshakes {
  /** By the workers' addresses, the one first that was heard first. */
  readonly #open = new Map<string, Handshake>()

  /** @param proven  one has answered */
  constructor(
    private readonly gateway: Pick<FleetGateway, 'settings' | 'link' | 'macs' | 'conversations'>,
    private readonly proven: (beat: Heartbeat, peer: Peer | undefined) => void,
  ) {}

  hear(beat: Heartbeat, verify: Verify | undefined): void {
    const worker = this.gateway.link.addresses.worker(beat)
    const handshake = this.#open.get(worker) ?? this.#begin(worker, beat, verify)
    handshake.beat = beat
    const { to, send } = handshake.question
    const ping = encode('ping')
    const frame = verify ? andThen(handshake.channel, (channel) => channel?.authenticate(worker, to, ping)) : ping
    void andThen(frame, (bytes) => {
      try {
        if (bytes) send(bytes)
      } catch {} // the link is being closed
    })
  }

  #begin(worker: string, beat: Heartbeat, verify: Verify | undefined): Handshake {
    const { settings, conversations, macs } = this.gateway
    const question = conversations.open(worker, (reply) => void this.#heard(worker, reply))
    const channel = verify && macs.with(beat.secret)
    const handshake = { beat, question, verify, channel, since: settings.clock.now() }
    this.#open.set(worker, handshake)
    const [first] = this.#open.keys()
    if (this.#open.size > MOST_WORKERS) this.forget(first)
    return handshake
  }

  async #heard(worker: string, reply: Uint8Array | undefined): Promise<void> {
    const handshake = this.#open.get(worker)
    if (!handshake || !reply) return // it is asked again when it is heard again
    const { question, verify } = handshake
    const channel = await handshake.channel
    const isIts = !verify || (await channel?.verify(worker, question.to, reply))
    if (!isIts || decode(reply)?.kind !== 'pong') return this.gateway.settings.forgeries.drop(handshake.beat.name)
    if (this.#open.get(worker) !== handshake) return
    this.forget(worker)
    this.proven(handshake.beat, verify && channel && { verify, channel })
  }

  forget(worker: string): void {
    this.#open.get(worker)?.question.close()
    this.#open.delete(worker)
  }

  /** Those that never answered are asked anew when they are heard again. */
  sweep(): void {
    const { clock, forgetMs } = this.gateway.settings
    for (const [worker, { since }] of this.#open) if (clock.now() - since > forgetMs) this.forget(worker)
  }
}
