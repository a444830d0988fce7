/** The operators' page at `/`: one file that contains nothing of this server. Its sources are in src/cli/page. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/** Written by scripts/page.js. */
const FILE = new URL('../../../dist/page.html.gz', import.meta.url)

export class OperatorPage {
  readonly #packed = new Uint8Array(readFileSync(FILE))
  readonly #plain = new Uint8Array(gunzipSync(this.#packed))
  readonly #tag = `"${createHash('sha256').update(this.#packed).digest('base64url')}"`
  readonly #headers: Record<string, string>

  constructor() {
    this.#headers = {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policyOf(new TextDecoder().decode(this.#plain)),
      // Browsers keep the page and revalidate it by its hash: a 304 has no body, and a new version of the server shows at once.
      'cache-control': 'no-cache',
      etag: this.#tag,
      vary: 'accept-encoding',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    }
  }

  response({ headers }: Request): Response {
    if (headers.get('if-none-match')?.includes(this.#tag)) {
      return new Response(null, { status: 304, headers: this.#headers })
    }
    const takesPacked = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(headers.get('accept-encoding') ?? '')
    const coding = takesPacked ? { 'content-encoding': 'gzip' } : undefined
    return new Response(takesPacked ? this.#packed : this.#plain, { headers: { ...this.#headers, ...coding } })
  }
}

/** Allows the page's own script and style, by their hashes, and requests to this server. */
function policyOf(html: string): string {
  const hashOf = (tag: string) => {
    const [, text = ''] = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html) ?? []
    return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  }
  const allowed = {
    'default-src': "'none'",
    'script-src': hashOf('script'),
    'style-src': hashOf('style'),
    'img-src': 'data:',
    'connect-src': "'self'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
    'require-trusted-types-for': "'script'",
    'trusted-types': 'lit-html',
  }
  return Object.entries(allowed)
    .map((each) => each.join(' '))
    .join('; ')
}
