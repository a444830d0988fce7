/** Servers for the portable tests. They run beside the tests, since a page can start none; a test starts its own by a request. */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { FaultyServer } from './faulty-server'

declare module 'vitest' {
  export interface ProvidedContext {
    servers: {
      /** Starts and stops OIP servers: `POST /start?does=lies` answers with a URL, `POST /stop?url=..` stops that server. */
      control: string
      /** URLs of a NATS server, over TCP and over WebSocket; undefined where none is installed. */
      nats: { tcp: string; ws: string } | undefined
    }
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = new Map<string, FaultyServer>()
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url as string, 'http://here')
    response.setHeader('access-control-allow-origin', '*')
    if (pathname === '/start') {
      const server = await FaultyServer.start(searchParams.get('does') as FaultyServer['does'])
      started.set(server.url, server)
      return response.end(server.url)
    }
    const url = searchParams.get('url') as string
    await started.get(url)?.stop()
    started.delete(url)
    return response.end()
  }
  const control = createServer((request, response) => void answer(request, response))
  control.listen(0, '127.0.0.1')
  await once(control, 'listening')
  const nats = natsInstalled ? await NatsServer.start() : undefined
  project.provide('servers', {
    control: `http://127.0.0.1:${(control.address() as AddressInfo).port}`,
    nats: nats && { tcp: nats.url, ws: nats.wsUrl },
  })
  return async () => {
    control.closeAllConnections()
    control.close()
    await Promise.all([nats?.stop(), ...[...started.values()].map((server) => server.stop())])
  }
}
