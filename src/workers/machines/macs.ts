/**
 * Calls and answers are authenticated: a frame ends with a MAC that only its gateway and its machine can make. The MAC's key comes by HKDF from
 * their X25519 secret, with both public keys and the direction, so that what one end said cannot be sent back to it as the other's. A gateway's
 * public key is in the address that answers go to, a machine's in its signed heartbeats; each end has a new one whenever it starts.
 *
 * A MAC covers the worker's address, the call's address and the frame with its sequence number: nothing that was said about one call, to
 * one worker, or before, counts for another. In Node it takes 6 us at each end; a signature and its check take 43 and 110.
 */

import { keys } from '#keys'
import type { Mac, MaybePromise, SecretPair } from '../../platform/platform'
import { setSequence, split } from './frames'
import { andThen } from './maybe-promise'
import { isKey } from './names'

/** Other ends that are remembered: anybody can name any number of keys, and to agree with one takes as long as a signature. */
const MOST = 256

const text = new TextEncoder()

export class Macs {
  /** By their public keys; the one that was used last is the last. */
  readonly #channels = new Map<string, MaybePromise<Channel | undefined>>()
  #sequence = 0

  private constructor(
    private readonly secret: SecretPair,
    private readonly end: 'gateway' | 'machine',
  ) {}

  /** Rejects where the runtime has no such secrets. */
  static async make(end: 'gateway' | 'machine'): Promise<Macs> {
    return new Macs(await keys.secret(), end)
  }

  /** The public key. */
  get own(): string {
    return this.secret.own
  }

  /** What is said between this end and the one with that public key; undefined where it is none. */
  with(other: string | undefined): MaybePromise<Channel | undefined> {
    if (!isKey(other)) return undefined
    const known = this.#channels.get(other)
    const channel = known ?? this.#agree(other)
    this.#channels.delete(other)
    this.#channels.set(other, channel)
    const [first] = this.#channels.keys()
    if (this.#channels.size > MOST) this.#channels.delete(first)
    return channel
  }

  #agree(other: string): MaybePromise<Channel | undefined> {
    const [gateway, machine] = this.end === 'gateway' ? [this.own, other] : [other, this.own]
    // The labels are those of the first link that carried fleets: with others a machine and a gateway of before would not understand each other.
    const infos = ['call', 'answer'].map((what) => `approxifer nats ${what}\n${gateway}\n${machine}`)
    const open = ([call, answer]: Mac[]) =>
      this.end === 'gateway' ? new Channel(call, answer, this.#next) : new Channel(answer, call, this.#next)
    try {
      const macs = this.secret.agree(other, infos)
      return macs instanceof Promise ? macs.then(open, () => undefined) : open(macs)
    } catch {
      return undefined
    }
  }

  /** One count for all channels: of one that was forgotten and is opened again it goes on. */
  readonly #next = () => ++this.#sequence
}

/** Between one gateway and one machine. */
export class Channel {
  constructor(
    private readonly own: Mac,
    private readonly theirs: Mac,
    private readonly next: () => number,
  ) {}

  /** The same frame, with its number and its MAC. @param worker  its address @param call  the address of its answers */
  authenticate(worker: string, call: string, frame: Uint8Array): MaybePromise<Uint8Array> {
    setSequence(frame, this.next())
    const { content, mac } = split(frame)
    return andThen(this.own(about(worker, call), content), (made) => {
      mac.set(made)
      return frame
    })
  }

  /** Whether the other end has said this. @param frame  any bytes */
  verify(worker: string, call: string, frame: Uint8Array): MaybePromise<boolean> {
    const { content, mac } = split(frame)
    return andThen(this.theirs(about(worker, call), content), (made) => keys.areEqual(made, mac))
  }
}

function about(worker: string, call: string): Uint8Array {
  return text.encode(`${worker}\n${call}\n`)
}
