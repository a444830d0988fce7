/** Where answers to a gateway arrive: each conversation has an address of its own that cannot be guessed. */

import { randomToken } from '../../base/random-token'
import type { Link } from './link'

export interface Conversation {
  /** Where replies go. */
  readonly to: string
  /** @throws where the link is closed */
  send(bytes: Uint8Array): void
  /** Whatever still comes is not heard. */
  close(): void
}

/** A reply; undefined where nobody listens at the other end. */
type Heard = (reply: Uint8Array | undefined) => void

export class Conversations {
  /** By their addresses. */
  readonly #open = new Map<string, Heard>()

  /** @param gateway  its public key */
  constructor(
    private readonly link: Link,
    private readonly gateway: string,
  ) {
    link.listen(link.addresses.replies(gateway), ({ to, bytes, isUnheard }) => {
      this.#open.get(to)?.(isUnheard ? undefined : bytes)
    })
  }

  /** @param worker  the address of the other end */
  open(worker: string, heard: Heard): Conversation {
    const to = this.link.addresses.reply(this.gateway, randomToken())
    this.#open.set(to, heard)
    return {
      to,
      send: (bytes) => this.link.say(worker, bytes, to),
      close: () => this.#open.delete(to),
    }
  }
}
