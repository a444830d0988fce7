/** Why a page's request failed. Browsers tell scripts only "Failed to fetch", lest a page explores its user's network. Loaded when one has failed. */

import { policyViolations, reported } from './policy'

/** What a server must allow pages of other origins, besides their origin. */
export interface CrossOriginNeeds {
  /** Headers of requests that need a permission. */
  readonly sent?: readonly string[]
  /** Headers of replies that are read. */
  readonly read?: readonly string[]
  /** The setting of our own server that allows an origin. */
  readonly setting?: string
  /** Whether the failed request needed no permission for a header. */
  readonly isSimple?: boolean
}

/** Hosts of this machine, which are as secure as https. */
const LOOPBACK = /^(localhost|.+\.localhost|127\..+|\[::1\])$/

/**
 * Explains in a sentence about its server why requests to a URL fail, by one or two more requests: a HEAD request of mode `no-cors`
 * succeeds at a server that answers without CORS headers, one of mode `cors` at a server that allows the page's origin.
 *
 * @returns undefined if the URL is none, or the server allows such requests by now
 */
export async function whyBlocked(
  source: string,
  needs: CrossOriginNeeds = {},
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { location, origin: page } = globalThis
  if (!URL.canParse(source, location?.href)) return undefined
  const { protocol, hostname, origin, href } = new URL(source, location?.href)
  const isOwn = origin === page
  const init = { method: 'HEAD', cache: 'no-store', credentials: 'omit', ...(signal && { signal }) } as const
  const answers = (mode: 'cors' | 'no-cors') =>
    fetch(href, { ...init, mode }).then(
      () => true,
      () => false,
    )
  const violations = policyViolations('connect-src', [origin, protocol])
  const isReached = await answers('no-cors')
  if (!isReached) await reported()
  violations.stop()
  if (violations.found) {
    const allowed = isOwn ? "'self'" : origin === 'null' ? protocol : origin
    return `the Content-Security-Policy forbids it: connect-src must list ${allowed}`
  }
  if (!/^https?:/.test(protocol)) return undefined
  if (isReached) {
    const isAllowed = isOwn || (await answers('cors'))
    if (isAllowed && (isOwn || needs.isSimple)) return undefined
    const what = isAllowed ? `allows pages of ${page}, but not what they send` : `does not allow pages of ${page}`
    return `a server answers there, and ${what} (CORS): ${demand(page, needs)}`
  }
  const isMixed = protocol === 'http:' && location?.protocol === 'https:'
  const mixed = 'http is forbidden in a page of https (mixed content)'
  if (isMixed && !LOOPBACK.test(hostname)) return `${mixed}: the server needs https`
  const reasons = [
    'it is down',
    'its address or certificate is wrong',
    !isOwn && 'other origins may not reach it (Cross-Origin-Resource-Policy, or a permission for the local network)',
    isMixed && mixed, // forbidden by WebKit, but not by Chromium and Firefox
    typeof document === 'undefined' && 'connect-src does not list it', // WebKit reports no violations in workers
  ]
  return `no server answers there: ${reasons.filter(Boolean).join(', or ')}`
}

function demand(page: string, { sent = [], read = [], setting }: CrossOriginNeeds): string {
  const headers = [
    `Access-Control-Allow-Origin: ${page}`,
    sent.length && `Access-Control-Allow-Headers: ${sent.join(', ')}`,
    read.length && `Access-Control-Expose-Headers: ${read.join(', ')}`,
  ]
  const own = setting === undefined ? '' : ` (${setting} ${page})`
  return `its replies must have ${headers.filter(Boolean).join('; ')}${own}`
}
