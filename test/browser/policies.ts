/** Pages under Content-Security-Policies: the first folder of an address names the policy of the page and of its workers. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { typeOf } from '../shared/served-folder'

const PAGE = '<!doctype html><script type="module" src="page.js"></script>'
const FILES: Readonly<Record<string, string>> = {
  dist: 'dist',
  models: 'models',
  ort: 'node_modules/onnxruntime-web/dist',
}

const STRICT = {
  'default-src': "'none'",
  'script-src': "'self' 'wasm-unsafe-eval'",
  'worker-src': "'self'",
  'connect-src': "'self' SERVERS",
}
const TYPED = { 'require-trusted-types-for': "'script'", 'trusted-types': 'page' }

/** The policies by name: the strict one, and what others have in its place. */
const POLICIES: Readonly<Record<string, Record<string, string>>> = {
  strict: STRICT,
  typed: { ...STRICT, ...TYPED },
  uncompiled: { ...STRICT, 'script-src': "'self'" },
  threadless: { ...STRICT, 'worker-src': "'none'" },
  offline: { ...STRICT, 'connect-src': "'none'" },
}

/** @param servers  that pages may call; read at each request */
export async function servePolicies(servers: readonly string[]): Promise<{ url: string; server: Server }> {
  const policyOf = (name: string) =>
    Object.entries(POLICIES[name] ?? {})
      .map((directive) => directive.join(' ').replace('SERVERS', servers.join(' ')))
      .join('; ')
  const server = createServer((request, response) => {
    const [, name, first = '', ...rest] = new URL(request.url ?? '', 'http://localhost').pathname.split('/')
    const path = first === 'page.js' ? 'test/browser/policy-page.js' : [FILES[first], ...rest].join('/')
    response.setHeader('content-security-policy', policyOf(name))
    if (first === '') return response.setHeader('content-type', 'text/html').end(PAGE)
    try {
      const bytes = readFileSync(path)
      response.setHeader('content-type', typeOf(path)).end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
