/** Keys by node:crypto, which takes half as long as WebCrypto in Node and prints no experimental warning. */

import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { KeyPair, Keys, Mac } from './platform'

/** Permissions for the owner alone, and the bits of all others. */
const OWNER = { folder: 0o700, file: 0o600 }
const OTHERS = 0o077

export const keys: Keys = {
  generate: async () => pairOf(generateKeyPairSync('ed25519').privateKey),

  async kept(path, warn = () => {}) {
    const pem = await readFile(path).catch(async (error) => {
      if (error.code !== 'ENOENT') throw error
      await mkdir(dirname(path), { recursive: true, mode: OWNER.folder })
      const made = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
      await writeFile(path, made, { flag: 'wx', mode: OWNER.file }).catch((failed) => {
        if (failed.code !== 'EEXIST') throw failed // another process has made a key meanwhile
      })
      return readFile(path)
    })
    await checkMode(path, warn)
    return pairOf(read(path, pem))
  },

  verifier(identity) {
    const key = publicKey('Ed25519', identity)
    return async (signed, signature) => verify(null, signed, key, signature)
  },

  async secret() {
    const { privateKey } = generateKeyPairSync('x25519')
    return {
      own: nameOf(privateKey),
      agree(other, infos) {
        const secret = diffieHellman({ privateKey, publicKey: publicKey('X25519', other) })
        return infos.map((info): Mac => {
          const mac = createSecretKey(new Uint8Array(hkdfSync('sha256', secret, '', info, 32)))
          return (...parts) => {
            const made = createHmac('sha256', mac)
            for (const part of parts) made.update(part)
            return made.digest()
          }
        })
      },
    }
  },

  areEqual: (a, b) => a.length === b.length && timingSafeEqual(a, b),
}

/** Warns if other users can read the key, and so impersonate this machine. Windows has no such permissions. */
async function checkMode(path: string, warn: (text: string) => void): Promise<void> {
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && mode & OTHERS)
    warn(`key: other users of this machine can read ${path} and impersonate it: chmod 600`)
}

function read(path: string, pem: Buffer): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {} // OpenSSL's message would not help
  throw new TypeError(`key: expected a private key of Ed25519 in PEM in ${path}, got something else`)
}

function pairOf(key: KeyObject): KeyPair {
  return { identity: nameOf(key), sign: async (bytes) => sign(null, bytes, key) }
}

function publicKey(crv: 'Ed25519' | 'X25519', x: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv, x }, format: 'jwk' })
}

/** The public key in base64url. */
function nameOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'jwk' }).x ?? ''
}
