/** CORS, the server's certificate, and clients' certificates. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { HEADER_LENGTH, PROBE } from '../../oip/write'
import { readNamed } from '../files'
import type { Connection, Handler } from './listen'
import type { ServerSettings } from './options'

/** Headers of a reply that pages of other origins may read. */
const EXPOSED = [HEADER_LENGTH, 'retry-after']
/** Headers that pages of other origins may send. */
const SENT = [
  ...['authorization', 'content-type', 'content-encoding'],
  ...[HEADER_LENGTH, PROBE, 'traceparent', 'tracestate'],
  // Headers of OpenAI's JavaScript client.
  ...['arch', 'lang', 'os', 'package-version', 'retry-count', 'runtime', 'runtime-version', 'timeout'].map(
    (name) => `x-stainless-${name}`,
  ),
]
const PREFLIGHT_S = 600

/** Answers CORS preflights, and adds CORS headers to replies. @param origins  whose pages may send requests; '*' for all */
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

/** A server's certificate, as PEM. */
export interface Certificate {
  /** The certificate chain: the server's certificate and those of its signers. */
  cert: Buffer
  key: Buffer
  /** The authorities that sign clients' certificates. */
  ca?: Buffer
}

/** Reads and checks the certificate and its key; undefined if no certificate is configured. @throws TypeError for a key of another certificate, or files that are not PEM */
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

/** The certified name of each connection: parsing the certificate for each request would be slow. */
const certified = new WeakMap<TLSSocket, string>()

/** The common name (CN) of the client's certificate, if a known authority has signed it. */
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
    throw new TypeError(`${what}: ${(error as Error).message}`, { cause: error })
  }
}
