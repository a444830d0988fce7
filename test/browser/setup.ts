/** What pages cannot start themselves. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { TestProject } from 'vitest/node'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { LENET, LENGTH, Served } from '../shared/served-process'
import { servePolicies } from './policies'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of a NATS server that speaks WebSocket; undefined where none is installed. */
    nats: string | undefined
    /**
     * Servers by what they allow pages of other origins: a gateway that any page may call, one that pages under `policies` may call, one
     * that no page may call; a server that allows any page a content type and no more, one that allows no header; and one that is gone.
     */
    http: Record<'gateway' | 'named' | 'closed' | 'foreign' | 'headless' | 'gone', string>
    /** The server of policies.ts. */
    policies: string
  }
}

const DIGITS = [`digits=${LENET}`, '--workers', '1']
const CONTENT_TYPE = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'content-type' }

/** Hands requests on, and lets pages have what these headers say. */
async function fronting(url: string, allowed: Record<string, string>): Promise<{ url: string; server: Server }> {
  const server = createServer(async (incoming, outgoing) => {
    const { method = 'GET', url: path, headers } = incoming
    if (method === 'OPTIONS') return outgoing.writeHead(204, allowed).end()
    const body = method === 'POST' ? await buffer(incoming) : undefined
    const { [LENGTH]: length, 'content-type': type = 'application/json' } = headers
    const own = { 'content-type': type, ...(typeof length === 'string' && { [LENGTH]: length }) }
    const reply = await fetch(url + path, { method, headers: own, ...(body && { body }) })
    const bytes = Buffer.from(await reply.arrayBuffer())
    const told = ['content-type', LENGTH].flatMap((name) =>
      [[name, reply.headers.get(name)]].filter(([, value]) => value),
    )
    outgoing.writeHead(reply.status, { ...Object.fromEntries(told), ...allowed }).end(bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** An address where nothing listens. */
async function abandoned(): Promise<string> {
  const { server, url } = await fronting('', {})
  server.close()
  return url
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const nats = natsInstalled ? await NatsServer.start() : undefined
  project.provide('nats', nats?.wsUrl)
  const callable: string[] = []
  const pages = await servePolicies(callable)
  const start = (...cors: string[]) => Served.start([...DIGITS, ...cors])
  const gateways = [start('--cors', '*'), start('--cors', pages.url), start()] as const
  const [open, named, plain] = await Promise.all(gateways)
  callable.push(open.url, named.url)
  const foreign = await fronting(plain.url, CONTENT_TYPE)
  const headless = await fronting(plain.url, { 'access-control-allow-origin': '*' })
  const urls = { gateway: open.url, named: named.url, closed: plain.url, foreign: foreign.url, headless: headless.url }
  project.provide('http', { ...urls, gone: await abandoned() })
  project.provide('policies', pages.url)
  return async () => {
    for (const { server } of [foreign, headless, pages]) {
      server.closeAllConnections()
      server.close()
    }
    await Promise.all([nats?.stop(), open.stop(), named.stop(), plain.stop()])
  }
}
