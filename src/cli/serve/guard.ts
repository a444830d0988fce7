/** CORS, the server's certificate, and clients' certificates. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { AllowedOrigins } from '../../gateway/origins'
import { Refusal } from '../../gateway/refusal'
import { pathOf } from '../../gateway/routes'
import { readNamed } from '../files'
import { type Connection, type Handler, problem } from './listen'
import type { ServerSettings } from './options'
import type { RefusedRequest } from './tokens'

/**
 * Answers CORS preflights before a token is asked for, adds CORS headers to all replies, and refuses pages of other origins.
 *
 * @param origins  whose pages may send requests; '*' for all
 */
export function withOrigins(
  origins: readonly string[],
  handle: Handler,
  onRefused: (refused: RefusedRequest) => void,
): Handler {
  const allowed = new AllowedOrigins(origins)
  const guarded = async (request: Request, connection: Connection) => {
    let response: Response
    try {
      response = allowed.admit(request) ?? (await handle(request, connection))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { status, message } = error
      const [reason] = message.split(', got ') // a client's values must not be logged
      onRefused({ request, status, reason, name: undefined })
      response = problem(status, message, {}, pathOf(request))
    }
    allowed.expose(request, response)
    return response
  }
  return (request, connection) => (request.headers.has('origin') ? guarded : handle)(request, connection)
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
