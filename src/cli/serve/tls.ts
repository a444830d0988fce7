/** The certificate of `approxifer serve`. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readNamed } from '../files'
import type { ServerSettings } from './options'

/** In PEM. */
export interface Certificate {
  /** With those of whoever signed it. */
  cert: Buffer
  key: Buffer
}

/** @throws TypeError for files that do not belong together */
export async function readCertificate({ tlsCert, tlsKey }: ServerSettings): Promise<Certificate | undefined> {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const cert = await readNamed('--tls-cert', tlsCert)
  const key = await readNamed('--tls-key', tlsKey)
  if (key.includes('ENCRYPTED')) {
    throw new TypeError(`--tls-key: expected a private key without a passphrase in ${tlsKey}, got an encrypted one`)
  }
  const leaf = parsed(`--tls-cert: expected a certificate chain in PEM in ${tlsCert}`, () => new X509Certificate(cert))
  const secret = parsed(`--tls-key: expected a private key in PEM in ${tlsKey}`, () => createPrivateKey(key))
  if (leaf.checkPrivateKey(secret)) return { cert, key }
  throw new TypeError(`--tls-key: expected the key of the certificate ${tlsCert}, got another one in ${tlsKey}`)
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new TypeError(`${what}, got what ends in ${(error as Error).message}`, { cause: error })
  }
}
