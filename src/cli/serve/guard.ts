/** Pages of other origins that may ask; and the certificate that tells clients whom they ask. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { HEADER_LENGTH, PROBE } from '../../oip/write'
import { readNamed } from '../files'
import type { Connection, Handler } from './listen'
import type { ServerSettings } from './options'

/** What a client's scripts may read of a reply, and send with a request, beyond what any page may. */
const EXPOSED = [HEADER_LENGTH, 'retry-after']
const SENT = [
  ...['authorization', 'content-type', 'content-encoding'],
  ...[HEADER_LENGTH, PROBE, 'traceparent', 'tracestate'],
  // OpenAI's client in a page says what it is.
  ...['arch', 'lang', 'os', 'package-version', 'retry-count', 'runtime', 'runtime-version', 'timeout'].map(
    (name) => `x-stainless-${name}`,
  ),
]
const PREFLIGHT_S = 600

/** @param origins  whose pages may ask; '*' for all */
export function withOrigins(origins: readonly string[], handle: Handler): Handler {
  if (!origins.length) return handle
  const app = new Hono<{ Bindings: Connection }>()
  const origin = origins.includes('*') ? '*' : [...origins]
  const methods = { allowMethods: ['GET', 'POST'], allowHeaders: SENT, exposeHeaders: EXPOSED, maxAge: PREFLIGHT_S }
  app.use(cors({ origin, ...methods }))
  app.all('*', ({ req, env }) => handle(req.raw, env))
  app.onError((error) => {
    throw error
  })
  return (request, connection) => app.fetch(request, connection)
}

/** In PEM. */
export interface Certificate {
  /** The certificate with those of its signers. */
  cert: Buffer
  key: Buffer
  /** Certificates of the signers of clients' certificates. */
  ca?: Buffer
}

/** @throws TypeError for files that do not belong together */
export async function readCertificate({
  tlsCert,
  tlsKey,
  tlsClientCa,
}: ServerSettings): Promise<Certificate | undefined> {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const cert = await readNamed('--tls-cert', tlsCert)
  const key = await readNamed('--tls-key', tlsKey)
  if (key.includes('ENCRYPTED')) {
    throw new TypeError(`--tls-key: expected a private key without a passphrase in ${tlsKey}, got an encrypted one`)
  }
  const leaf = parsed(`--tls-cert: expected a certificate chain in PEM in ${tlsCert}`, () => new X509Certificate(cert))
  const secret = parsed(`--tls-key: expected a private key in PEM in ${tlsKey}`, () => createPrivateKey(key))
  if (!leaf.checkPrivateKey(secret))
    throw new TypeError(`--tls-key: expected the key of the certificate ${tlsCert}, got another one in ${tlsKey}`)
  if (tlsClientCa === undefined) return { cert, key }
  const ca = await readNamed('--tls-client-ca', tlsClientCa)
  parsed(`--tls-client-ca: expected certificates in PEM in ${tlsClientCa}`, () => new X509Certificate(ca))
  return { cert, key, ca }
}

/** Of connections: to read a certificate for each request is dear. */
const certified = new WeakMap<TLSSocket, string>()

/** The name (CN) of a certificate that a client has brought, and that is signed as it should be. */
export function certifiedName(connection: Connection): string | undefined {
  const { socket } = connection as Partial<ServerResponse>
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const known = certified.get(socket)
  if (known !== undefined) return known
  const { CN: name } = socket.getPeerCertificate().subject ?? {}
  if (typeof name !== 'string' || !name) return undefined
  certified.set(socket, name)
  return name
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new TypeError(`${what}, got what ends in ${(error as Error).message}`, { cause: error })
  }
}
