/** Keys in JavaScript, for pages outside of secure contexts and browsers whose WebCrypto has no Ed25519. */

import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Mac } from './platform'
import { areEqual, fromText, type KeyMaker, toText } from './webcrypto'

export const noble: KeyMaker = {
  make: async () => ed25519.utils.randomSecretKey(),

  async pairOf(kept) {
    const secret = kept as Uint8Array
    return { identity: toText(ed25519.getPublicKey(secret)), sign: async (data) => ed25519.sign(data, secret) }
  },

  generate: async () => noble.pairOf(await noble.make()),

  verifier(identity) {
    const key = fromText(identity)
    return async (signed, signature) => ed25519.verify(signature, signed, key)
  },

  async secret() {
    const own = x25519.utils.randomSecretKey()
    return {
      own: toText(x25519.getPublicKey(own)),
      async agree(other, infos) {
        const secret = x25519.getSharedSecret(own, fromText(other))
        return infos.map((info): Mac => {
          const key = hkdf(sha256, secret, undefined, new TextEncoder().encode(info), 32)
          return async (...parts) => {
            const made = hmac.create(sha256, key)
            for (const part of parts) made.update(part)
            return made.digest()
          }
        })
      },
    }
  },

  areEqual,
}
