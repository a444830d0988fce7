/** Bearer tokens and certificates that let a client ask, and what each allows. */

import { createHash, timingSafeEqual } from 'node:crypto'
import { checkBoolean, checkText, expected } from '../../base/check'
import { integer, number, open, option, read, type ValuesOf, words } from '../../base/option'
import { type Principal, priorities } from '../../gateway/principal'
import { pathOf } from '../../gateway/routes'
import { readNamed } from '../files'
import { certifiedName } from './guard'
import { type Connection, type Handler, problem } from './listen'

/** Health tells nothing that is worth a token, and probes have none. */
const OPEN = ['/v2/health/live', '/v2/health/ready']
/** On a port of the operators', as scrapers have none either: numbers, names of models and workers, nothing of what was asked. */
export const OPEN_TO_OPERATORS = [...OPEN, '/metrics']
/** What is told of all models. */
const OF_ALL = ['/metrics', '/events']
/** Queries may come at once that a rate allows in so long. */
const BURST_MS = 1000

const text = (field: string, value: unknown) => checkText(field, value, 'a text')

/** An element of `tokens` in the configuration file. */
export const tokenOptions = {
  token: open(secret, '', 'a bearer token; or'),
  file: open(text, '', 'a file with such, one a line; or'),
  certificate: open(text, '', 'the name (CN) of a client’s certificate, with --tls-client-ca'),
  name: open(text, 'none', 'what the log calls who brings it; tokens of one name take their turns together'),
  tenant: open(text, 'nobody’s', 'whose its queries are'),
  tenants: option(checkBoolean, false, 'whether its requests name whose they are, as those of a proxy do'),
  models: open(names, 'all', 'that it may ask'),
  operator: open(
    checkBoolean,
    'on --admin-port alone',
    'whether it may change which model serves: `promote` and `refuse`',
  ),
  rate: open(number(0.001, 1e9), 'any', 'queries a second; more are answered 429'),
  weight: open(
    integer(1, 1000),
    '1',
    'of its tenant, or its own, where queries wait: turns that it has for one of another’s',
  ),
  priority: open(words(priorities), 'what requests say', 'the highest of its queries, and that of those that say none'),
}
export type TokenSettings = ValuesOf<typeof tokenOptions>

/** @throws TypeError that does not repeat it */
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
  /** Of a certificate its name, as `ofCertificate` writes it. */
  readonly token: string
  readonly principal: Principal
  readonly rate?: number | undefined
}

/**
 * @param file  of tokens that nothing else is said of
 * @param variable  tokens, where there is no file
 * @returns none where nobody needs one. @throws TypeError for a file without a token, or one that no request can bring
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
  throw new TypeError('tokens: expected each once, since what one may is said once, got one twice')
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

/** Queries of one token: as many a second as it may ask. */
class Rate {
  /** When all that were asked have had their time. */
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

/** Stands for a token, of which none begins like that. */
const ofCertificate = (name: string) => ` ${name}`

/** Those of which a request must bring one; they may be replaced. */
export class Tokens {
  #all: readonly Entry[] = []
  /** Whether names of certificates are among them: then others' count for nothing. */
  #namesCertificates = false

  /** @param certifies  clients may bring certificates: then one of both is needed in any case */
  constructor(readonly certifies = false) {}

  /** @param known  none: nobody needs one. @returns whether others are known than before, or they may other things */
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

  /** Whose queries come with them, but for nobody's; undefined: whom a request names. */
  get tenants(): (string | undefined)[] {
    return [...new Set(this.#all.map(({ principal }) => principal.tenant))].filter((name) => name !== '')
  }

  /** That some of them may ask. */
  get models(): string[] {
    return [...new Set(this.#all.flatMap(({ principal }) => principal.models ?? []))]
  }

  /** All are compared, each in constant time, so that nothing tells which letters were right. */
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

/** What is odd about them, and of which model. */
export function* doubtsOf(
  { tenants, models }: Tokens,
  served: Readonly<Record<string, { limits?: { tenants?: number } }>>,
): Generator<[model: string | undefined, text: string]> {
  const names = Object.keys(served)
  const unknown = models.filter((name) => !names.includes(name))
  for (const name of unknown) yield [undefined, expected('tokens: models', `one of ${names.join(', ')}`, name)]
  const apart = 'are kept apart (limits.tenants, --tenants)'
  for (const [model, { limits: { tenants: most = 1 } = {} }] of Object.entries(served)) {
    if (most === 1 && tenants.length)
      yield [model, `tokens have tenants, and none ${apart}: queries of theirs are refused`]
    else if (tenants.length > most)
      yield [model, `tokens are of ${tenants.length} tenants, more than ${apart}: each forgets another`]
  }
}

const digest = (token: string) => createHash('sha256').update(token).digest()

/** What a request brings: a token, or its connection a certificate. */
export function tokenOf(request: Request, connection: Connection): string | undefined {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (token !== undefined) return token
  const name = certifiedName(connection)
  return name && ofCertificate(name)
}

export type Answering = (request: Request, connection: Connection, principal?: Principal) => ReturnType<Handler>

/** A request that is answered without a look at what it asks. */
export interface RefusedRequest {
  request: Request
  status: number
  reason: string
  /** Of whom its token is, where it is known and has a name. */
  name: string | undefined
}

/** @param open  paths that need no token */
export function withToken(
  tokens: Tokens,
  handle: Answering,
  onRefused: (refused: RefusedRequest) => void,
  open: readonly string[] = OPEN,
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
    if (principal.models && OF_ALL.includes(path))
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
