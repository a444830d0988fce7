/** Which web pages may send requests (CORS): pages of the server's own origin, and those of origins that its operator allows. */

import { expected } from '../base/check'
import { HEADER_LENGTH, PROBE } from '../oip/write'
import { Refusal } from './refusal'

/** Headers of a reply that pages of other origins may read. */
const EXPOSED = [HEADER_LENGTH, 'retry-after'].join(',')
/** Headers that pages of other origins may send. */
const SENT = [
  ...['authorization', 'content-type', 'content-encoding'],
  ...[HEADER_LENGTH, PROBE, 'traceparent', 'tracestate'],
  // Headers of OpenAI's JavaScript client.
  ...['arch', 'lang', 'os', 'package-version', 'retry-count', 'runtime', 'runtime-version', 'timeout'].map(
    (name) => `x-stainless-${name}`,
  ),
].join(',')
/** How long a browser may keep the reply to a preflight, in seconds. */
const PREFLIGHT_S = 600

/** @throws RangeError unless it is a list of origins, or of '*' */
export function checkOrigins(field: string, value: unknown): readonly string[] {
  const fine = (each: unknown) => each === '*' || (typeof each === 'string' && URL.canParse(each) && isOrigin(each))
  if (Array.isArray(value) && value.every(fine)) return value
  throw new RangeError(expected(field, "origins such as 'https://example.org', or '*'", value))
}

const isOrigin = (text: string) => new URL(text).origin === text

/**
 * The origin of the page that sends a request, if it is another than the server's; undefined for other programs. `Sec-Fetch-Site` decides
 * where a browser sends it, since a proxy may have changed the host; pages cannot set this header. A page that hides its origin has 'null'.
 */
export function foreignOrigin({ headers, url }: Pick<Request, 'headers' | 'url'>): string | undefined {
  const origin = headers.get('origin')
  if (origin === null || /^(same-origin|none)$/.test(headers.get('sec-fetch-site') ?? '')) return undefined
  return hostOf(origin) === hostOf(url) ? undefined : origin
}

/** The host of a URL. Its scheme is not compared: behind a proxy with TLS, the server sees http. */
function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

export class AllowedOrigins {
  readonly #isAny: boolean

  /** @param allowed  whose pages may send requests; '*' for all */
  constructor(readonly allowed: readonly string[]) {
    this.#isAny = allowed.includes('*')
  }

  /**
   * Refuses what a page of another origin may not do: preflights, and requests that are more than reads. A browser sends a page's POST
   * without a preflight if it has no unusual header, and only hides the reply.
   *
   * @returns the reply to a preflight; undefined for any other request. @throws Refusal 403
   */
  admit(request: Pick<Request, 'headers' | 'method' | 'url'>): Response | undefined {
    const { headers, method } = request
    if (!headers.has('origin')) return undefined
    const isPreflight = method === 'OPTIONS' && headers.has('access-control-request-method')
    if (!isPreflight && method !== 'POST') return undefined
    if (this.#allows(headers)) return isPreflight ? preflightReply(headers) : undefined
    const origin = foreignOrigin(request)
    if (origin === undefined) return undefined
    throw new Refusal(403, expected('Origin', "the server's own, or one that cors (serve: --cors) lists", origin))
  }

  /** Lets an allowed page read a reply. */
  expose({ headers }: Pick<Request, 'headers'>, reply: Response): void {
    if (!headers.has('origin')) return
    if (!this.#isAny && this.allowed.length) reply.headers.append('vary', 'origin')
    if (!this.#allows(headers)) return
    reply.headers.set('access-control-allow-origin', this.#isAny ? '*' : String(headers.get('origin')))
    reply.headers.set('access-control-expose-headers', EXPOSED)
  }

  #allows(headers: Headers): boolean {
    return this.#isAny || this.allowed.includes(String(headers.get('origin')))
  }
}

function preflightReply(asked: Headers): Response {
  const headers = new Headers({
    'access-control-allow-methods': 'GET,POST',
    'access-control-allow-headers': SENT,
    'access-control-max-age': String(PREFLIGHT_S),
  })
  // Some versions of Chromium ask this before a page of the internet calls a server in a private network.
  if (asked.has('access-control-request-private-network')) headers.set('access-control-allow-private-network', 'true')
  return new Response(null, { status: 204, headers })
}
