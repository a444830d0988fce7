/** What pages cannot start themselves. */

import type { TestProject } from 'vitest/node'
import { NatsServer, natsInstalled } from '../shared/nats-server'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of a NATS server that speaks WebSocket; undefined where none is installed. */
    nats: string | undefined
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = natsInstalled ? await NatsServer.start() : undefined
  project.provide('nats', server?.wsUrl)
  return async () => server?.stop()
}
