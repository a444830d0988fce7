/**
 * The transport of a fleet's messages: a broker, sockets, or memory in tests. The gateway has one end, each machine another. This folder
 * uses only the interface below. The link creates the addresses, and no other code parses them.
 */

import type { ApproxiferError } from '../../base/errors'

export interface Link {
  readonly addresses: Addresses
  /** Largest message, in bytes. */
  readonly most: number
  /** Addresses that this end cannot do without. A machine adds them before it uses them. */
  readonly needs: Set<string>
  /** The error of the first address in `needs` that this end may not use, as far as known after `flush`. */
  readonly refusal: ApproxiferError | undefined

  /** @param bytes  must not be written to afterwards @param reply  the address for replies @throws if the link is closed */
  say(to: string, bytes?: Uint8Array, reply?: string): void
  listen(to: string, heard: (message: LinkMessage) => void): void
  /** Reports connection events until the link ends. To be called once. */
  follow(events: LinkEvents): void
  /** Resolves when the other side has received all messages and subscriptions; rejects if the connection breaks meanwhile. */
  flush(): Promise<void>
  /** Ends all subscriptions. */
  mute(): void
  /** Ends all subscriptions and frees the link's resources. */
  close(): Promise<void>
}

export interface LinkMessage {
  /** The address that it was sent to; one of those that `listen` was called with. */
  to: string
  bytes: Uint8Array
  reply?: string | undefined
  /** True: this is not a reply, but the link's notice that no one listens at the worker's address. */
  hasNoListener?: boolean
}

export interface LinkEvents {
  /** The connection broke and is being restored. */
  lost(): void
  back(): void
  /** The connection was closed for good. */
  ended(): void
}

/** The addresses of one fleet's messages. */
export interface Addresses {
  /** Requests heartbeats from all machines. */
  readonly rollCall: string
  /** Where gateways receive the heartbeats of all workers. */
  readonly heartbeats: string
  /** Where a worker sends its heartbeats. */
  heartbeat(worker: Addressee): string
  /** Where a worker receives its queries. */
  worker(worker: Addressee): string
  /** Where a gateway receives the replies to all its calls. @param gateway  its public key */
  replies(gateway: string): string
  /** Where a gateway receives the replies to one call. @param token  cannot be guessed */
  reply(gateway: string, token: string): string
  /** The gateway's public key in a reply address, if there is one. */
  gatewayOf(reply: string): string | undefined
}

export interface Addressee {
  name: string
  /** The machine's identity. */
  identity: string
  /**
   * Whether the identity is a public key, which the machine proves to hold. Then addresses contain it, so that permissions can be given
   * to a machine.
   */
  signed: boolean
}
