/** Addresses for replies to a gateway: each call gets an address that cannot be guessed. */

import { randomToken } from '../../base/random-token'
import type { Link } from './link'

export interface Conversation {
  /** The address of the replies. */
  readonly to: string
  /** @throws if the link is closed */
  send(bytes: Uint8Array): void
  /** Drops all later replies. */
  close(): void
}

/** Called with each reply; with undefined if no one listens at the worker's address. */
type OnReply = (reply: Uint8Array | undefined) => void

export class Conversations {
  /** Handlers by reply address. */
  readonly #open = new Map<string, OnReply>()

  /** @param gateway  the gateway's public key */
  constructor(
    private readonly link: Link,
    private readonly gateway: string,
  ) {
    link.listen(link.addresses.replies(gateway), ({ to, bytes, hasNoListener }) => {
      this.#open.get(to)?.(hasNoListener ? undefined : bytes)
    })
  }

  /** @param worker  the worker's address */
  open(worker: string, heard: OnReply): Conversation {
    const to = this.link.addresses.reply(this.gateway, randomToken())
    this.#open.set(to, heard)
    return {
      to,
      send: (bytes) => this.link.say(worker, bytes, to),
      close: () => this.#open.delete(to),
    }
  }
}
