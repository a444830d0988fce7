/** Keys in JavaScript, for pages that are no secure context and browsers whose WebCrypto has no Ed25519. */

import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { fromText, type KeyMaker, toText } from './webcrypto'

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
      async agree(other) {
        const secret = sha256(x25519.getSharedSecret(own, fromText(other)))
        return async (data) => hmac(sha256, secret, data)
      },
    }
  },

  hash: async (data) => sha256(data),
}
