/**
 * What `approxifer serve` can be asked, said once: every option of the server has a flag, the same name in camel case in the
 * configuration file, and one check for both.
 */

import { checkInteger, checkNumber, checkText, checkWord, expected } from '../../check'

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Of the server, not of a model. Units stand in the flags. */
export interface ServerSettings {
  host: string
  port: number
  tokenFile: string | undefined
  cors: readonly string[]
  tlsCert: string | undefined
  tlsKey: string | undefined
  maxBody: number
  maxBodies: number | undefined
  headerTimeout: number
  requestTimeout: number
  maxConnections: number
  grace: number
  drainDelay: number
  state: string | undefined
  saveEvery: number
  log: (typeof logLevels)[number]
}

export interface ServerOption<T = unknown> {
  flags: string
  about: string
  /** What it is where nobody says; undefined: there is none. */
  fallback?: T
  /** @throws TypeError, RangeError naming the field, expected and got */
  check(field: string, value: unknown): T
}

type Options = { [Name in keyof ServerSettings]-?: ServerOption<ServerSettings[Name]> }

export const serverOptions: Options = {
  host: {
    flags: '--host <address>',
    about: 'address to listen on; 0.0.0.0 is all',
    fallback: '127.0.0.1',
    check: text,
  },
  port: { flags: '--port <n>', about: 'port; 0 takes a free one', fallback: 8000, check: whole(0, 65_535) },
  maxConnections: {
    flags: '--max-connections <n>',
    about: 'connections at a time; more are answered 503',
    fallback: 1024,
    check: whole(1, 100_000),
  },
  maxBody: { flags: '--max-body <MiB>', about: 'largest body, unpacked', fallback: 64, check: number(0.001, 2047) },
  maxBodies: {
    flags: '--max-bodies <MiB>',
    about: 'all bodies together; more are answered 429 (default: 4 times --max-body)',
    check: number(0.001, 1_000_000),
  },
  headerTimeout: {
    flags: '--header-timeout <s>',
    about: 'within which a request’s headers must be here',
    fallback: 10,
    check: number(0.1, 3600),
  },
  requestTimeout: {
    flags: '--request-timeout <s>',
    about: 'within which a whole request must be here',
    fallback: 60,
    check: number(0.1, 3600),
  },
  tokenFile: {
    flags: '--token-file <file>',
    about: 'bearer tokens, one a line, of which a request must bring one (default: APPROXIFER_TOKEN, else none)',
    check: text,
  },
  cors: {
    flags: '--cors <origins>',
    about: 'origins,.. whose pages may call the server, or * (default: none)',
    fallback: [],
    check: origins,
  },
  tlsCert: { flags: '--tls-cert <file>', about: 'certificate chain, PEM; the server then speaks HTTPS', check: text },
  tlsKey: { flags: '--tls-key <file>', about: 'its private key, PEM', check: text },
  grace: {
    flags: '--grace <s>',
    about: 'that open requests may take after SIGTERM',
    fallback: 25,
    check: number(0, 3600),
  },
  drainDelay: {
    flags: '--drain-delay <s>',
    about: 'between "not ready" and no new connections, for load balancers to notice',
    fallback: 0,
    check: number(0, 3600),
  },
  state: { flags: '--state <folder>', about: 'where is saved what was learned (default: nowhere)', check: text },
  saveEvery: { flags: '--save-every <s>', about: 'between two saves', fallback: 60, check: number(1, 86_400) },
  log: {
    flags: '--log <level>',
    about: `least level of the log lines: ${logLevels.join(', ')}`,
    fallback: 'info',
    check: (field, value) => checkWord(field, value, logLevels),
  },
}

function text(field: string, value: unknown): string {
  return checkText(field, value, 'a text')
}

function whole(least: number, most: number) {
  return (field: string, value: unknown): number => checkInteger(field, numeric(value), least, most)
}

function number(least: number, most: number) {
  return (field: string, value: unknown): number => checkNumber(field, numeric(value), least, most)
}

/** Flags bring text. */
function numeric(value: unknown): unknown {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value
}

function origins(field: string, value: unknown): readonly string[] {
  const list = typeof value === 'string' ? value.split(',') : value
  const fine = (each: unknown) => each === '*' || (typeof each === 'string' && URL.canParse(each) && isOrigin(each))
  if (Array.isArray(list) && list.length && list.every(fine)) return list
  throw new RangeError(expected(field, "origins such as 'https://example.org', or '*'", value))
}

const isOrigin = (text: string) => new URL(text).origin === text
