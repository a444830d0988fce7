/** Who may ask: a bearer token, and pages of other origins; and the certificate that tells clients whom they ask. */

import { createHash, createPrivateKey, timingSafeEqual, X509Certificate } from 'node:crypto'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { readNamed } from '../files'
import { type Connection, type Handler, problem } from './listen'
import type { ServerSettings } from './options'

/** What a client's scripts may read of a reply, and send with a request, beyond what any page may. */
const EXPOSED = ['inference-header-content-length', 'retry-after']
const SENT = [
  ...['authorization', 'content-type', 'content-encoding'],
  ...['inference-header-content-length', 'traceparent', 'tracestate'],
  // OpenAI's client in a page says what it is.
  ...['arch', 'lang', 'os', 'package-version', 'retry-count', 'runtime', 'runtime-version', 'timeout'].map(
    (name) => `x-stainless-${name}`,
  ),
]
const PREFLIGHT_S = 600

/** Health tells nothing that is worth a token, and probes have none. */
const OPEN = ['/v2/health/live', '/v2/health/ready']

/** @returns none where nobody needs one. @throws TypeError for a file without a token, or one that no request can bring */
export async function readTokens(file: string | undefined, variable: string | undefined): Promise<string[]> {
  if (file === undefined && !variable) return []
  const text = file === undefined ? String(variable) : (await readNamed('--token-file', file)).toString()
  const tokens = text.split('\n').map((line) => line.trim()).filter((line) => line) // biome-ignore format: one line
  const [field, where] = file === undefined ? ['APPROXIFER_TOKEN', ''] : ['--token-file', ` in ${file}`]
  if (!tokens.length) throw new TypeError(`${field}: expected a token${where}, got none`)
  if (tokens.every((token) => /^\S+$/.test(token))) return tokens
  throw new TypeError(`${field}: expected tokens without spaces, one a line${where}, got one with a space`)
}

/** Those of which a request must bring one; they may be replaced. */
export class Tokens {
  #digests: Buffer[]

  /** @param tokens  none: nobody needs one */
  constructor(tokens: readonly string[]) {
    this.#digests = tokens.map(digest)
  }

  replace(tokens: readonly string[]): void {
    this.#digests = tokens.map(digest)
  }

  get count(): number {
    return this.#digests.length
  }

  /** All are compared, each in constant time, so that nothing tells which letters were right. */
  admit(token: string | undefined): boolean {
    if (!this.count) return true
    if (token === undefined) return false
    const given = digest(token)
    return this.#digests.map((each) => timingSafeEqual(each, given)).includes(true)
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest()

export function tokenOf(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}

export function withToken(tokens: Tokens, handle: Handler, onRefused: (request: Request) => void): Handler {
  return (request, connection) => {
    if (!tokens.count) return handle(request, connection)
    const token = tokenOf(request)
    if (tokens.admit(token) || OPEN.includes(pathOf(request))) return handle(request, connection)
    onRefused(request)
    const got = token === undefined ? 'none' : 'another one'
    const challenge = `Bearer realm="approxifer"${token === undefined ? '' : ', error="invalid_token"'}`
    const message = `authorization: expected a bearer token that is known here, got ${got}`
    return problem(401, message, { 'www-authenticate': challenge }, pathOf(request))
  }
}

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

export function pathOf({ url }: Request): string {
  return new URL(url).pathname
}

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
