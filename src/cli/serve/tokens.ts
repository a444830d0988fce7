/** Authentication of clients by bearer tokens and certificates, and what each token permits. */

import { createHash, timingSafeEqual } from 'node:crypto'
import { checkBoolean, checkText, expected } from '../../base/check'
import { integer, number, open, option, read, type ValuesOf, words } from '../../base/option'
import { type Principal, priorities } from '../../gateway/principal'
import { pathOf } from '../../gateway/routes'
import { readNamed } from '../files'
import { certifiedName } from './guard'
import { type Connection, type Handler, problem } from './listen'

/** The operators' page. It needs no token, since it contains nothing of the server; what it shows it requests with one. */
export const PAGE = '/'
/** Paths that need no token: health probes cannot send one. */
export const OPEN = ['/v2/health/live', '/v2/health/ready']
/** Paths of --admin-port that need no token: metrics scrapers often cannot send one, and metrics contain no inputs or outputs. */
export const OPEN_TO_OPERATORS = [...OPEN, PAGE, '/metrics']
/** Paths that report on all models. */
const ABOUT_ALL_MODELS = ['/metrics', '/events']
/** A burst may have as many queries as the rate allows in this time. */
const BURST_MS = 1000

const text = (field: string, value: unknown) => checkText(field, value, 'a text')

/** An element of `tokens` in the configuration file. */
export const tokenOptions = {
  token: open(secret, '', 'a bearer token; or'),
  file: open(text, '', 'a file of bearer tokens, one per line; or'),
  certificate: open(text, '', 'the name (CN) of a client’s certificate, with --tls-client-ca'),
  name: open(text, 'none', 'the client’s name in the log; tokens of one name share one turn in fair queueing'),
  tenant: open(text, 'none', 'the tenant of its queries'),
  tenants: option(checkBoolean, false, 'whether each request names its tenant itself, such as a proxy’s'),
  models: open(names, 'all', 'the models that it may ask'),
  operator: open(checkBoolean, 'only on --admin-port', 'whether it may `promote` and `refuse` model versions'),
  rate: open(number(0.001, 1e9), 'no limit', 'queries per second; beyond: 429'),
  weight: open(integer(1, 1000), '1', 'share in fair queueing: turns per turn of a tenant (or token) of weight 1'),
  priority: open(words(priorities), 'the request’s', 'the highest priority of its queries, and their default'),
}
export type TokenSettings = ValuesOf<typeof tokenOptions>

/** Checks a token. @throws TypeError that does not contain it */
function secret(field: string, value: unknown): string {
  if (typeof value === 'string' && /^\S+$/.test(value)) return value
  throw new TypeError(`${field}: expected a text without spaces, in quotes where it could be a number, got another`)
}

function names(field: string, value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value
  throw new TypeError(expected(field, 'an array of models’ names', value))
}

/** @throws TypeError, RangeError */
export function checkTokens(field: string, value: unknown): TokenSettings[] {
  if (!Array.isArray(value)) throw new TypeError(expected(field, 'an array', value))
  return value.map((each, i) => {
    const settings = read(tokenOptions, `${field}[${i}]`, each)
    const { token, file, certificate, tenant, tenants } = settings
    const brought = [token, file, certificate].filter((each) => each !== undefined)
    if (brought.length !== 1) {
      throw new TypeError(
        `${field}[${i}]: expected one of token, file and certificate, got ${brought.length || 'none'}`,
      )
    }
    if (tenants && tenant !== undefined)
      throw new TypeError(`${field}[${i}].tenant: expected none beside tenants: true, got one`)
    return settings
  })
}

export interface KnownToken {
  /** The bearer token; for a certificate its name, as `ofCertificate` writes it. */
  readonly token: string
  readonly principal: Principal
  readonly rate?: number | undefined
}

/**
 * Reads all valid tokens.
 *
 * @param file      a file of tokens without further settings
 * @param variable  such tokens, used where there is no file
 * @returns an empty list if clients need no token. @throws TypeError for a file without a token, or a token that no header can contain
 */
export async function readTokens(
  file: string | undefined,
  variable: string | undefined,
  settings: readonly TokenSettings[],
): Promise<KnownToken[]> {
  const said = settings.map(
    async ({
      token,
      file: path,
      certificate,
      tenant = '',
      tenants,
      models,
      operator,
      rate,
      weight,
      priority,
      ...rest
    }) => {
      const { name = certificate } = rest
      const principal = {
        ...(name !== undefined && { name }),
        ...(!tenants && { tenant }),
        ...(models && { models }),
        ...(operator !== undefined && { operator }),
        ...(weight && { weight }),
        ...(priority && { priority }),
      }
      if (certificate !== undefined) return [{ token: ofCertificate(certificate), principal, rate }]
      const all = token === undefined ? await tokensIn('tokens: file', String(path)) : [token]
      return all.map((each) => ({ token: each, principal, rate }))
    },
  )
  const plain = plainTokens(file, variable).then((all) => all.map((token) => ({ token, principal: { tenant: '' } })))
  const known = (await Promise.all([...said, plain])).flat()
  if (new Set(known.map(({ token }) => token)).size === known.length) return known
  throw new TypeError('tokens: expected each token once, got one twice')
}

async function plainTokens(file: string | undefined, variable: string | undefined): Promise<string[]> {
  if (file !== undefined) return tokensIn('--token-file', file)
  return variable === undefined ? [] : checkLines('APPROXIFER_TOKEN', '', variable)
}

async function tokensIn(field: string, file: string): Promise<string[]> {
  return checkLines(field, ` in ${file}`, (await readNamed(field, file)).toString())
}

function checkLines(field: string, where: string, lines: string): string[] {
  const tokens = lines
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line)
  if (!tokens.length) throw new TypeError(`${field}: expected a token${where}, got none`)
  if (tokens.every((token) => /^\S+$/.test(token))) return tokens
  throw new TypeError(`${field}: expected tokens without spaces, one a line${where}, got one with a space`)
}

/** The rate limit of one token. */
class Rate {
  /** The time at which the queries so far would end, if they came at exactly the rate. */
  #until = 0

  constructor(readonly perSecond: number) {}

  get waitMs(): number {
    return Math.max(0, this.#until - performance.now())
  }

  take(queries: number): void {
    const ms = 1000 / this.perSecond
    this.#until = Math.max(this.#until, performance.now() - Math.max(0, BURST_MS - ms)) + queries * ms
  }
}

interface Entry {
  readonly digest: Buffer
  readonly principal: Principal
  readonly rate: Rate | undefined
}

/** The entry of a certificate's name among tokens. Tokens contain no space. */
const ofCertificate = (name: string) => ` ${name}`

/** The valid tokens. */
export class Tokens {
  #all: readonly Entry[] = []
  /** Whether the settings list certificates: then only these are accepted, else any that a known authority has signed. */
  #namesCertificates = false

  /** @param certifies  whether clients may authenticate by certificate: then requests without token and certificate are refused, even if there are no tokens */
  constructor(readonly certifies = false) {}

  /** Replaces the tokens. @param known  empty: clients need no token. @returns whether any token or permission has changed */
  replace(known: readonly KnownToken[]): boolean {
    const before = this.#all
    this.#namesCertificates = known.some(({ token }) => token.startsWith(ofCertificate('')))
    this.#all = known.map(({ token, principal: allowed, rate }) => {
      const own = digest(token)
      const same = before.find((each) => each.digest.equals(own))
      const principal = allowed.name === undefined ? { ...allowed, caller: own.toString('base64') } : allowed
      if (rate === undefined) return { digest: own, principal, rate }
      return { digest: own, principal, rate: same?.rate?.perSecond === rate ? same.rate : new Rate(rate) }
    })
    return JSON.stringify(before) !== JSON.stringify(this.#all)
  }

  get isNeeded(): boolean {
    return this.certifies || this.#all.length > 0
  }

  /** The tenants of the tokens; undefined stands for tokens whose requests name a tenant. */
  get tenants(): (string | undefined)[] {
    return [...new Set(this.#all.map(({ principal }) => principal.tenant))].filter((name) => name !== '')
  }

  /** The models that tokens are limited to. */
  get models(): string[] {
    return [...new Set(this.#all.flatMap(({ principal }) => principal.models ?? []))]
  }

  /** Finds a token. All are compared, each in constant time: otherwise the time would reveal how much of a guess was right. */
  find(token: string | undefined): Pick<Entry, 'principal' | 'rate'> | undefined {
    if (token === undefined) return undefined
    const given = digest(token)
    const known = this.#all.filter((each) => timingSafeEqual(each.digest, given))[0]
    const isCertified = !this.#namesCertificates && token.startsWith(ofCertificate(''))
    return known ?? (isCertified ? { principal: { name: token.slice(1), tenant: '' }, rate: undefined } : undefined)
  }

  admit(token: string | undefined): boolean {
    return !this.isNeeded || this.find(token) !== undefined
  }
}

/** Warnings of tokens that name unknown models, or tenants that a model does not separate. */
export function* tokenWarnings(
  { tenants, models }: Tokens,
  served: Readonly<Record<string, { limits?: { tenants?: number } }>>,
): Generator<[model: string | undefined, text: string]> {
  const names = Object.keys(served)
  const unknown = models.filter((name) => !names.includes(name))
  for (const name of unknown) yield [undefined, expected('tokens: models', `one of ${names.join(', ')}`, name)]
  const apart = 'are kept apart (limits.tenants, --tenants)'
  for (const [model, { limits: { tenants: most = 1 } = {} }] of Object.entries(served)) {
    if (most === 1 && tenants.length) yield [model, `tokens have tenants, and none ${apart}: their queries are refused`]
    else if (tenants.length > most)
      yield [model, `tokens have ${tenants.length} tenants, more than ${apart}: each new one evicts another's memory`]
  }
}

const digest = (token: string) => createHash('sha256').update(token).digest()

/** The bearer token of a request, or else the entry of its client's certificate. */
export function tokenOf(request: Request, connection: Connection): string | undefined {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (token !== undefined) return token
  const name = certifiedName(connection)
  return name && ofCertificate(name)
}

export type Answering = (request: Request, connection: Connection, principal?: Principal) => ReturnType<Handler>

/** A request that was refused by its token, before the gateway saw it. */
export interface RefusedRequest {
  request: Request
  status: number
  reason: string
  /** The name of its token, if the token is known and has a name. */
  name: string | undefined
}

/** Refuses requests without a valid token, and those beyond a token's rate. @param open  paths that need no token */
export function withToken(
  tokens: Tokens,
  handle: Answering,
  onRefused: (refused: RefusedRequest) => void,
  open: readonly string[],
): Handler {
  return (request, connection) => {
    if (!tokens.isNeeded) return handle(request, connection)
    const path = pathOf(request)
    const token = tokenOf(request, connection)
    const known = tokens.find(token)
    if (!known && open.includes(path)) return handle(request, connection)
    const refuse = (status: number, message: string, headers = {}) => {
      onRefused({ request, status, reason: message, name: known?.principal.name })
      return problem(status, message, headers, path)
    }
    if (!known) {
      const got = token === undefined ? 'none' : 'another one'
      const challenge = `Bearer realm="approxifer"${token === undefined ? '' : ', error="invalid_token"'}`
      const message = `authorization: expected a bearer token${tokens.certifies ? ' or certificate' : ''} that is known here, got ${got}`
      return refuse(401, message, { 'www-authenticate': challenge })
    }
    const { principal, rate } = known
    if (principal.models && ABOUT_ALL_MODELS.includes(path))
      return refuse(403, `${path}: expected a token for all models, got one for some`)
    if (!rate || request.method !== 'POST') return handle(request, connection, principal)
    const { waitMs } = rate
    if (waitMs) {
      const message = `the rate: expected at most ${rate.perSecond} queries a second with this token, got more`
      return refuse(429, message, { 'retry-after': String(Math.ceil(waitMs / 1000)) })
    }
    rate.take(1)
    return handle(request, connection, { ...principal, onQueries: (queries) => rate.take(queries - 1) })
  }
}
