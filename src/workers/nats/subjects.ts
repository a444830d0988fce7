/** Subjects of a fleet, the names in them (what stands between two dots), and where a coordinator's answers arrive. */

import { expected } from '../../base/check'
import { randomToken } from '../../base/random-token'
import type { Seals } from '../machines/macs'
import type { NatsLink } from './connection'

export const subjectsOf = (fleet: string) => ({
  /** Workers tell here that they are there. */
  beats: `approxifer.${fleet}.beat.>`,
  beat: (worker: SubjectOwner) => `approxifer.${fleet}.beat.${placeOf(worker)}`,
  /** A worker's own: no queue group, since each row must reach the worker it was meant for. */
  worker: (worker: SubjectOwner) => `approxifer.${fleet}.worker.${placeOf(worker)}`,
  /** Asks all workers for a heartbeat. */
  rollCall: `approxifer.${fleet}.call`,
})

/** A worker's place in subjects: behind its identity where that is a key's, so that a server's permissions can be written for a machine. */
export interface SubjectOwner {
  name: string
  identity: string
  /** Whether what it says is signed. */
  signed: boolean
}

const placeOf = ({ name, identity, signed }: SubjectOwner) => (signed ? `${identity}.${name}` : name)

/** What a signed worker's name has of its identity, so that nobody else takes it. */
export const tagOf = (identity: string) => identity.slice(0, 10)

export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{1,200}$/.test(text)
}

/** A public key, in base64url. */
export function isKey(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{43}$/.test(text)
}

/** @throws TypeError */
export function checkFleet(fleet: unknown): asserts fleet is string {
  if (!isToken(fleet)) throw new TypeError(expected('fleet', 'letters, digits, - and _', fleet))
}

export interface Conversation {
  /** Where replies go. */
  readonly to: string
  /** @throws where the connection is closed */
  send(payload: Uint8Array): void
  /** Whatever still comes is not heard. */
  close(): void
}

/** The gateway's public key in the address of a call. */
export function keyIn(address: string): string | undefined {
  return address.split('.').at(-2)
}

/** A reply; undefined where the server says that nobody listens to the subject. */
type Heard = (reply: Uint8Array | undefined) => void

/** Each conversation has an address of its own that cannot be guessed. */
export class Inbox {
  readonly #address: string
  readonly #open = new Map<string, Heard>()

  /** @param prefix  of its address, as the server's permissions may ask for @param seals  this gateway's */
  constructor(
    readonly link: NatsLink,
    prefix: string,
    readonly seals: Seals,
  ) {
    this.#address = `${prefix}.${seals.own}`
    link.listen(`${this.#address}.*`, ({ subject, data, headers }) => {
      const isUnheard = headers?.code === 503 && !data.length
      this.#open.get(subject.slice(this.#address.length + 1))?.(isUnheard ? undefined : data)
    })
  }

  open(subject: string, heard: Heard): Conversation {
    const key = randomToken()
    const to = `${this.#address}.${key}`
    this.#open.set(key, heard)
    return {
      to,
      send: (payload) => this.link.publish(subject, payload, to),
      close: () => this.#open.delete(key),
    }
  }
}
