/** Where a coordinator's answers arrive: each conversation has an address of its own that cannot be guessed, so that what arrives there is believed. */

import type { NatsLink } from './connection'
import { randomToken } from './subjects'

export interface Conversation {
  /** @throws where the connection is closed */
  send(payload: Uint8Array): void
  /** Whatever still comes is not heard. */
  close(): void
}

/** A reply; undefined where the server says that nobody listens to the subject. */
type Heard = (reply: Uint8Array | undefined) => void

export class Inbox {
  readonly #link: NatsLink
  readonly #address: string
  readonly #open = new Map<string, Heard>()

  /** @param prefix  of its address, as the server's permissions may ask for */
  constructor(link: NatsLink, prefix: string) {
    this.#link = link
    this.#address = `${prefix}.${randomToken()}`
    link.listen(`${this.#address}.*`, ({ subject, data, headers }) => {
      const isUnheard = headers?.code === 503 && !data.length
      this.#open.get(subject.slice(this.#address.length + 1))?.(isUnheard ? undefined : data)
    })
  }

  get most(): number {
    return this.#link.most
  }

  open(subject: string, heard: Heard): Conversation {
    const key = randomToken()
    const reply = `${this.#address}.${key}`
    this.#open.set(key, heard)
    return {
      send: (payload) => this.#link.publish(subject, payload, reply),
      close: () => this.#open.delete(key),
    }
  }
}
