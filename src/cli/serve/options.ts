/**
 * The options of `approxifer serve`. Each has a flag, the same name in camel case in the configuration file, and one check
 * for both.
 */

import { checkText } from '../../base/check'
import { integer, number, open, option, type ValuesOf, words } from '../../base/option'
import { checkOrigins } from '../../gateway/origins'

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Options of the server. Those of its models are a predictor's. Units are in the flags. */
export const serverOptions = {
  host: option(text, '127.0.0.1', 'address to listen on; 0.0.0.0: all addresses', '--host <address>'),
  port: option(integer(0, 65_535), 8000, 'port; 0 takes a free one', '--port <n>'),
  adminPort: open(
    integer(0, 65_535),
    'none',
    'separate port for operators: health, /metrics (without a token), /events; /metrics and /events are then not on --port',
    '--admin-port <n>',
  ),
  maxConnections: option(
    integer(1, 100_000),
    1024,
    'most open connections; beyond that, idle connections are closed',
    '--max-connections <n>',
  ),
  maxBody: option(number(0.001, 2047), 64, 'largest body of a request, after decompression', '--max-body <MiB>'),
  maxBodies: open(
    number(0.001, 1_000_000),
    '4 times --max-body',
    'most bytes of all requests’ bodies together; further requests get 429',
    '--max-bodies <MiB>',
  ),
  headerTimeout: option(number(0.1, 3600), 10, 'time to receive a request’s headers', '--header-timeout <s>'),
  requestTimeout: option(number(0.1, 3600), 60, 'time to receive a whole request', '--request-timeout <s>'),
  tokenFile: open(text, 'APPROXIFER_TOKEN, else none', 'bearer tokens, one a line', '--token-file <file>'),
  cors: {
    ...option(origins, [], 'web origins whose pages may call the server, comma-separated, or *', '--cors <origins>'),
    otherwise: 'none',
  },
  tlsCert: open(text, '', 'certificate chain, PEM; the server then speaks HTTPS', '--tls-cert <file>'),
  tlsKey: open(text, '', 'private key of the certificate, PEM', '--tls-key <file>'),
  tlsClientCa: open(
    text,
    '',
    'certificate authorities, PEM: clients need a certificate from one of them, or a token',
    '--tls-client-ca <file>',
  ),
  ready: option(
    words(['all', 'any']),
    'all',
    'which models must be ready for the server to be ready',
    '--ready <which>',
  ),
  grace: option(number(0, 3600), 25, 'time for open requests after SIGTERM', '--grace <s>'),
  drainDelay: option(
    number(0, 3600),
    0,
    'time after SIGTERM from reporting "not ready" until connections are refused',
    '--drain-delay <s>',
  ),
  state: open(text, 'nowhere', 'folder where models save what they learned', '--state <folder>'),
  saveEvery: option(
    number(1, 86_400),
    60,
    'time between two saves of the state while queries arrive',
    '--save-every <s>',
  ),
  log: option(words(logLevels), 'info', 'least level of the log lines', '--log <level>'),
}

export type ServerSettings = ValuesOf<typeof serverOptions>

function text(field: string, value: unknown): string {
  return checkText(field, value, 'a text')
}

function origins(field: string, value: unknown): readonly string[] {
  return checkOrigins(field, typeof value === 'string' ? value.split(',') : value)
}
