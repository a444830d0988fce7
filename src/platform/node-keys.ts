/** Keys by Node's own functions: half as long as WebCrypto takes there, which warns that it is new. */

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

/** For nobody else to read. */
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
        if (failed.code !== 'EEXIST') throw failed // another process has made one meanwhile
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

/** Who has a copy is the machine. Windows has no such modes. */
async function checkMode(path: string, warn: (text: string) => void): Promise<void> {
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && mode & OTHERS)
    warn(`key: others on this machine can read ${path}, and answer in its name: chmod 600`)
}

function read(path: string, pem: Buffer): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {} // the library's words are no help
  throw new TypeError(`key: expected a private key of Ed25519 in PEM in ${path}, got something else`)
}

function pairOf(key: KeyObject): KeyPair {
  return { identity: nameOf(key), sign: async (bytes) => sign(null, bytes, key) }
}

function publicKey(crv: 'Ed25519' | 'X25519', x: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv, x }, format: 'jwk' })
}

/** Its public half, in base64url. */
function nameOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'jwk' }).x ?? ''
}
