/**
 * Handshakes with new workers: a worker joins once it has answered a ping at its own address. If its machine has a key, the answer needs
 * a MAC made with the key of its heartbeat. So a worker announced under a false name never joins, and a replayed heartbeat proves
 * nothing.
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
  readonly ping: Conversation
  /** Undefined if its heartbeats need no signature. */
  readonly verify: Verify | undefined
  /** Undefined also if the machine's public key is invalid. */
  readonly channel: MaybePromise<Channel | undefined>
}

export class Handshakes {
  /** Open handshakes by the worker's address, the oldest first. */
  readonly #open = new Map<string, Handshake>()

  /** @param proven  called when a worker has answered its ping */
  constructor(
    private readonly gateway: Pick<FleetGateway, 'settings' | 'link' | 'macs' | 'conversations'>,
    private readonly proven: (beat: Heartbeat, peer: Peer | undefined) => void,
  ) {}

  hear(beat: Heartbeat, verify: Verify | undefined): void {
    const worker = this.gateway.link.addresses.worker(beat)
    const handshake = this.#open.get(worker) ?? this.#begin(worker, beat, verify)
    handshake.beat = beat
    const { to, send } = handshake.ping
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
    const ping = conversations.open(worker, (reply) => void this.#heard(worker, reply))
    const channel = verify && macs.with(beat.secret)
    const handshake = { beat, ping, verify, channel, since: settings.clock.now() }
    this.#open.set(worker, handshake)
    const [first] = this.#open.keys()
    if (this.#open.size > MOST_WORKERS) this.forget(first)
    return handshake
  }

  async #heard(worker: string, reply: Uint8Array | undefined): Promise<void> {
    const handshake = this.#open.get(worker)
    if (!handshake || !reply) return // the next heartbeat sends another ping
    const { ping, verify } = handshake
    const channel = await handshake.channel
    const isIts = !verify || (await channel?.verify(worker, ping.to, reply))
    if (!isIts || decode(reply)?.kind !== 'pong') return this.gateway.settings.forgeries.drop(handshake.beat.name)
    if (this.#open.get(worker) !== handshake) return
    this.forget(worker)
    this.proven(handshake.beat, verify && channel && { verify, channel })
  }

  forget(worker: string): void {
    this.#open.get(worker)?.ping.close()
    this.#open.delete(worker)
  }

  /** Forgets workers that did not answer in time; their next heartbeat starts a new handshake. */
  sweep(): void {
    const { clock, forgetMs } = this.gateway.settings
    for (const [worker, { since }] of this.#open) if (clock.now() - since > forgetMs) this.forget(worker)
  }
}
