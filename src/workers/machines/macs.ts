/**
 * Calls and answers are sealed: a frame ends with a MAC that only its gateway and its machine can make. Its key comes by HKDF from their
 * X25519 secret, with both public keys and the direction, so that what one end said cannot be sent back to it as the other's. A gateway's
 * public key is in the address that answers go to, a machine's in its signed heartbeats; each end has a new one whenever it starts.
 *
 * A seal covers the worker's subject, the call's address and the frame with its sequence number: nothing that was said about one call, to
 * one worker, or before, counts for another. In Node it takes 6 us at each end; a signature and its check take 43 and 110.
 */

import { keys } from '#keys'
import type { Mac, SecretPair, Soon } from '../../platform/platform'
import { isKey } from '../nats/subjects'
import { setSequence, split } from './frames'
import { soon } from './maybe-promise'

/** Other ends that are remembered: anybody can name any number of keys, and to agree with one takes as long as a signature. */
const MOST = 256

const text = new TextEncoder()

export class Seals {
  /** By their public keys; the one that was used last is the last. */
  readonly #channels = new Map<string, Soon<Channel | undefined>>()
  #sequence = 0

  private constructor(
    private readonly secret: SecretPair,
    private readonly end: 'gateway' | 'machine',
  ) {}

  /** Rejects where the runtime has no such secrets. */
  static async make(end: 'gateway' | 'machine'): Promise<Seals> {
    return new Seals(await keys.secret(), end)
  }

  /** The public key. */
  get own(): string {
    return this.secret.own
  }

  /** What is said between this end and the one with that public key; undefined where it is none. */
  with(other: string | undefined): Soon<Channel | undefined> {
    if (!isKey(other)) return undefined
    const known = this.#channels.get(other)
    const channel = known ?? this.#agree(other)
    this.#channels.delete(other)
    this.#channels.set(other, channel)
    const [first] = this.#channels.keys()
    if (this.#channels.size > MOST) this.#channels.delete(first)
    return channel
  }

  #agree(other: string): Soon<Channel | undefined> {
    const [gateway, machine] = this.end === 'gateway' ? [this.own, other] : [other, this.own]
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

  /** The frame, with its number and its seal. @param subject  the worker's @param to  the call's address */
  seal(subject: string, to: string, frame: Uint8Array): Soon<Uint8Array> {
    setSequence(frame, this.next())
    const { sealed, seal } = split(frame)
    return soon(this.own(about(subject, to), sealed), (mac) => {
      seal.set(mac)
      return frame
    })
  }

  /** Whether the other end has sealed this. @param frame  any bytes */
  isSealed(subject: string, to: string, frame: Uint8Array): Soon<boolean> {
    const { sealed, seal } = split(frame)
    return soon(this.theirs(about(subject, to), sealed), (mac) => keys.areEqual(mac, seal))
  }
}

function about(subject: string, to: string): Uint8Array {
  return text.encode(`${subject}\n${to}\n`)
}
