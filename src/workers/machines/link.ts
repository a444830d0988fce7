/**
 * What carries the messages of a fleet: a broker, sockets, the memory of a test. The gateway has one end of it, each machine another. This
 * folder knows of it only what stands below. The link makes the addresses; nothing here reads what is in them.
 */

import type { ApproxiferError } from '../../base/errors'

export interface Link {
  readonly addresses: Addresses
  /** Bytes that a message may have. */
  readonly most: number
  /**
   * Whether the link itself knows which machine has which of its ends. Then only a machine with that key gets a worker's addresses, and only the
   * worker that was asked can reply. Heartbeats have no signatures then, and frames no MACs.
   */
  readonly proves: boolean
  /** Addresses without which nothing can be done here. A machine adds them before it uses them. */
  readonly needs: Set<string>
  /** The first of `needs` that this end may not use, as far as is known after `flush`. */
  readonly refusal: ApproxiferError | undefined

  /** @param bytes  nobody writes to them any more @param reply  where answers go @throws where the link is closed */
  say(to: string, bytes?: Uint8Array, reply?: string): void
  listen(to: string, heard: (message: LinkMessage) => void): void
  /** Tells of the link's life until it ends. To be called once. */
  follow(events: LinkEvents): void
  /** Resolves when the other side has what was said and listened to; rejects where the connection breaks meanwhile. */
  flush(): Promise<void>
  /** Listens no more. */
  mute(): void
  /** As `mute`; and frees what was made for this link. */
  close(): Promise<void>
}

export interface LinkMessage {
  /** Where it was sent: one of those that `listen` was called for. */
  to: string
  bytes: Uint8Array
  reply?: string | undefined
  /** It is no reply: the link says that nobody listens where the question was sent. */
  isUnheard?: boolean
}

export interface LinkEvents {
  /** The connection broke, and is made again. */
  lost(): void
  /** It is back. */
  back(): void
  /** It was closed for good. */
  ended(): void
  /** For a gateway, where the link can tell it: the machine that has this worker's address is not connected any more. */
  left?(worker: string): void
}

/** Where messages of one fleet go. */
export interface Addresses {
  /** Asks all machines for heartbeats. */
  readonly rollCall: string
  /** Where gateways hear the heartbeats of all workers. */
  readonly heartbeats: string
  /** Where a worker says that it is there. */
  heartbeat(worker: Addressee): string
  /** A worker's own, where rows come: each has to reach the worker that it was meant for. */
  worker(worker: Addressee): string
  /** Where a gateway hears the answers to all its calls. @param gateway  its public key */
  replies(gateway: string): string
  /** Where the answers to one call go. @param token  cannot be guessed */
  reply(gateway: string, token: string): string
  /** The gateway's public key in the address of a call, where it has one. */
  gatewayOf(reply: string): string | undefined
}

export interface Addressee {
  name: string
  /** Of its machine. */
  identity: string
  /** Whether that is a key, which the machine proves to hold. Such addresses differ by identity, so that permissions can be given to a machine. */
  signed: boolean
}
