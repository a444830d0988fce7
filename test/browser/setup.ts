/** What pages cannot start themselves. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { TestProject } from 'vitest/node'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { LENET, LENGTH, Served } from '../shared/served-process'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of a NATS server that speaks WebSocket; undefined where none is installed. */
    nats: string | undefined
    /** A gateway that any page may ask, one that lets pages send a content type and no more, and one that no page may ask. */
    http: { gateway: string; foreign: string; closed: string }
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

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const nats = natsInstalled ? await NatsServer.start() : undefined
  project.provide('nats', nats?.wsUrl)
  const [open, plain] = await Promise.all([Served.start([...DIGITS, '--cors', '*']), Served.start(DIGITS)])
  const foreign = await fronting(plain.url, CONTENT_TYPE)
  project.provide('http', { gateway: open.url, foreign: foreign.url, closed: plain.url })
  return async () => {
    foreign.server.closeAllConnections()
    foreign.server.close()
    await Promise.all([nats?.stop(), open.stop(), plain.stop()])
  }
}
