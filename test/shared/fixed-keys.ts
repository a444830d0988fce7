/** Keys that are the same each time, for a machine's name. */

import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { KeyPair } from 'approxifer/nats'

/** Of a private key's DER, what is before its 32 bytes. */
const HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

export function keyOf(name: string): KeyPair {
  const secret = createHash('sha256').update(name).digest()
  const key = createPrivateKey({ key: Buffer.concat([HEAD, secret]), format: 'der', type: 'pkcs8' })
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
  return { identity: x, sign: async (bytes) => sign(null, bytes, key) }
}
