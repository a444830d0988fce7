/**
 * Workers that were heard, and have yet to answer at their own subject, sealed with the secret of the heartbeat where they have a key: what
 * was announced in another's name, or by nobody, never joins, and a heartbeat that is sent again proves nothing.
 */

import type { Soon } from '../../platform/platform'
import type { Conversation } from '../nats/subjects'
import { MOST_WORKERS } from '../remote/fleet'
import type { Peer, Wire } from './coordinator'
import { encode, frameIn } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Channel } from './macs'
import { soon } from './maybe-promise'
import type { Verify } from './signed-heartbeat'

interface Newcomer {
  beat: Heartbeat
  readonly since: number
  readonly question: Conversation
  /** Undefined: it has no key. */
  readonly verify: Verify | undefined
  /** Undefined also where what it calls its key is none. */
  readonly channel: Soon<Channel | undefined>
}

export class Newcomers {
  /** By their subjects, the one first that was heard first. */
  readonly #asked = new Map<string, Newcomer>()

  /** @param proven  one has answered */
  constructor(
    private readonly wire: Pick<Wire, 'settings' | 'inbox'>,
    private readonly proven: (beat: Heartbeat, peer: Peer | undefined) => void,
  ) {}

  hear(beat: Heartbeat, verify: Verify | undefined): void {
    const subject = this.wire.settings.subjects.worker(beat)
    const newcomer = this.#asked.get(subject) ?? this.#meet(subject, beat, verify)
    newcomer.beat = beat
    const { to, send } = newcomer.question
    const ping = encode('ping')
    const sealed = verify ? soon(newcomer.channel, (channel) => channel?.seal(subject, to, ping)) : ping
    void soon(sealed, (bytes) => {
      try {
        if (bytes) send(bytes)
      } catch {} // the connection is being closed
    })
  }

  #meet(subject: string, beat: Heartbeat, verify: Verify | undefined): Newcomer {
    const { settings, inbox } = this.wire
    const question = inbox.open(subject, (reply) => void this.#heard(subject, reply))
    const channel = verify && inbox.seals.with(beat.secret)
    const newcomer = { beat, question, verify, channel, since: settings.clock.now() }
    this.#asked.set(subject, newcomer)
    const [first] = this.#asked.keys()
    if (this.#asked.size > MOST_WORKERS) this.#forget(first)
    return newcomer
  }

  async #heard(subject: string, reply: Uint8Array | undefined): Promise<void> {
    const asked = this.#asked.get(subject)
    if (!asked || !reply) return // it is asked again when it is heard again
    const { question, verify } = asked
    const channel = await asked.channel
    const isIts = !verify || (await channel?.isSealed(subject, question.to, reply))
    if (!isIts || frameIn(reply)?.kind !== 'pong') return this.wire.settings.forgeries.drop(asked.beat.name)
    if (this.#asked.get(subject) !== asked) return
    this.#forget(subject)
    this.proven(asked.beat, verify && channel && { verify, channel })
  }

  #forget(subject: string): void {
    this.#asked.get(subject)?.question.close()
    this.#asked.delete(subject)
  }

  /** Those that never answered are asked anew when they are heard again. */
  sweep(): void {
    const { clock, forgetMs } = this.wire.settings
    for (const [subject, { since }] of this.#asked) if (clock.now() - since > forgetMs) this.#forget(subject)
  }
}
