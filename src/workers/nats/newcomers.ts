/**
 * Workers that were heard, and have yet to answer at their own subject, with a signature where they have a key: what was announced
 * in another's name, or by nobody, never joins, and a heartbeat that is sent again proves nothing.
 */

import { MOST_WORKERS } from '../remote/fleet'
import { decode, encode } from './frames'
import type { Heartbeat } from './heartbeat'
import { type Verify, Voice } from './signature'
import type { Conversation } from './subjects'
import type { Wire } from './wire'

interface Newcomer {
  beat: Heartbeat
  readonly since: number
  readonly question: Conversation
}

export class Newcomers {
  /** By their subjects, the one first that was heard first. */
  readonly #asked = new Map<string, Newcomer>()

  /** @param proven  one has answered */
  constructor(
    private readonly wire: Pick<Wire, 'settings' | 'inbox'>,
    private readonly proven: (beat: Heartbeat, verify: Verify | undefined) => void,
  ) {}

  hear(beat: Heartbeat, verify: Verify | undefined): void {
    const { settings, inbox } = this.wire
    const subject = settings.subjects.worker(beat)
    const known = this.#asked.get(subject)
    if (known) known.beat = beat
    const question = known?.question ?? inbox.open(subject, (reply) => void this.#heard(subject, reply, verify))
    if (!known) this.#asked.set(subject, { beat, question, since: settings.clock.now() })
    const [first] = this.#asked.keys()
    if (this.#asked.size > MOST_WORKERS) this.#forget(first)
    try {
      question.send(encode('ping'))
    } catch {} // the connection is being closed
  }

  async #heard(subject: string, reply: Uint8Array | undefined, verify: Verify | undefined): Promise<void> {
    const asked = this.#asked.get(subject)
    if (!asked) return
    if (!reply) return this.#forget(subject) // nobody listens there
    const { to } = asked.question
    const isOwn = verify ? await new Voice(subject, verify).said(to, reply) : isPong(reply)
    if (!isOwn) return this.wire.settings.forgeries.drop(asked.beat.name)
    if (this.#asked.get(subject) !== asked) return
    this.#forget(subject)
    this.proven(asked.beat, verify)
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

function isPong(bytes: Uint8Array): boolean {
  try {
    return decode(bytes).kind === 'pong'
  } catch {
    return false
  }
}
