/**
 * A seal proves who answers as surely as a signature, to whoever asked alone, for less: 6 us at each end in Node instead of 43 and 110. The
 * address of a call has the public key of a secret of its coordinator's, a signed heartbeat that of one of the machine's, and only these two
 * can make of both keys what seals are made with.
 */

import { keys } from '#keys'
import type { Seal, SecretPair, Soon } from '../../platform/platform'
import { isKey } from './subjects'

/** Keys of others that are remembered: anybody can name any number, and each takes as long as a signature. */
const MOST = 256

export class Seals {
  readonly #others = new Map<string, Soon<Seal | undefined>>()

  private constructor(private readonly secret: SecretPair) {}

  /** Undefined where the runtime has no such secrets: then all is signed. */
  static make(): Promise<Seals | undefined> {
    return keys.secret().then(
      (secret) => new Seals(secret),
      () => undefined,
    )
  }

  /** The public key. */
  get own(): string {
    return this.secret.own
  }

  /** Seals what goes to, or comes from, whoever has this key; undefined where it is none. */
  with(other: string | undefined): Soon<Seal | undefined> {
    if (!isKey(other)) return undefined
    const known = this.#others.get(other)
    if (known) return known
    const seal = this.#agree(other)
    this.#others.set(other, seal)
    const [first] = this.#others.keys()
    if (this.#others.size > MOST) this.#others.delete(first)
    return seal
  }

  #agree(other: string): Soon<Seal | undefined> {
    try {
      const seal = this.secret.agree(other)
      return seal instanceof Promise ? seal.catch(() => undefined) : seal
    } catch {
      return undefined
    }
  }
}
