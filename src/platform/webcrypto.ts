/** Keys by WebCrypto; private keys cannot be exported. */

import type { KeyPair, Keys, Mac } from './platform'

const ED25519 = 'Ed25519'
const X25519 = 'X25519'
const HKDF = 'HKDF'
const HMAC = { name: 'HMAC', hash: 'SHA-256', length: 256 }

/** A source of keys whose private keys can be stored. */
export interface KeyMaker extends Omit<Keys, 'kept'> {
  /** Makes a private key in a form that can be stored; `pairOf` turns it into a key pair. */
  make(): Promise<unknown>
  pairOf(kept: unknown): Promise<KeyPair>
}

const bytes = (data: Uint8Array) => data as Uint8Array<ArrayBuffer>

export const webCrypto: KeyMaker = {
  make: async () => crypto.subtle.generateKey(ED25519, false, ['sign', 'verify']),

  async pairOf(kept) {
    const { privateKey, publicKey } = kept as CryptoKeyPair
    return {
      identity: toText(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))),
      sign: async (data) => new Uint8Array(await crypto.subtle.sign(ED25519, privateKey, bytes(data))),
    }
  },

  generate: async () => webCrypto.pairOf(await webCrypto.make()),

  verifier(identity) {
    const key = crypto.subtle.importKey('raw', fromText(identity), ED25519, false, ['verify'])
    key.catch(() => {}) // the caller of the returned function gets the error
    return async (signed, signature) => crypto.subtle.verify(ED25519, await key, bytes(signature), bytes(signed))
  },

  async secret() {
    const { privateKey, publicKey } = (await crypto.subtle.generateKey(X25519, false, ['deriveBits'])) as CryptoKeyPair
    return {
      own: toText(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))),
      async agree(other, infos) {
        const theirs = await crypto.subtle.importKey('raw', fromText(other), X25519, false, [])
        const bits = await crypto.subtle.deriveBits({ name: X25519, public: theirs }, privateKey, 256)
        const secret = await crypto.subtle.importKey('raw', bits, HKDF, false, ['deriveKey'])
        return Promise.all(infos.map((info) => macOf(secret, info)))
      },
    }
  },

  areEqual,
}

async function macOf(secret: CryptoKey, info: string): Promise<Mac> {
  const salt = new Uint8Array()
  const by = { name: HKDF, hash: 'SHA-256', salt, info: new TextEncoder().encode(info) }
  const key = await crypto.subtle.deriveKey(by, secret, HMAC, false, ['sign'])
  return async (...parts) => new Uint8Array(await crypto.subtle.sign('HMAC', key, joined(parts)))
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Compares in constant time. */
export function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let differing = 0
  for (let i = 0; i < a.length; i++) differing |= a[i] ^ b[i]
  return differing === 0
}

/** Keys on runtimes without storage. */
export const keys: Keys = {
  ...webCrypto,
  kept: async () => {
    throw new Error('key: not kept on this runtime; bring a pair of your own')
  },
}

/** Base64url, as in JSON Web Keys. */
export function toText(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

export function fromText(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}
