/** Fleets on a NATS server that the tests of one file share. */

import { connect } from '@nats-io/transport-node'
import type { Change, ModelWorker } from 'approxifer'
import { type NatsConnection, type NatsOptions, natsWorkers, type ServeNatsOptions, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker } from './hand-predictor'
import { NatsServer, natsInstalled } from './nats-server'
import { inferring } from './vectors'

export interface FleetSetup {
  /** Default: the server of the file. */
  at?: NatsServer
  /** The coordinator's. Default: one of its own. */
  own?: NatsConnection
  /** Of the coordinator, and of the machine. */
  options?: Partial<NatsOptions>
  serving?: Partial<ServeNatsOptions>
}

const INFERENCE_MS = 2

let fleets = 0

/** To be called once in a file, outside of its tests. */
export function natsFleets() {
  const ends: (() => unknown)[] = []
  let server: NatsServer
  beforeAll(async () => {
    if (natsInstalled) server = await NatsServer.start()
  })
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  afterAll(() => server?.stop())
  return {
    get url() {
      return server.url
    },

    newName: () => `test-${process.pid}-${fleets++}`,

    /** Called after the test; the last one first. */
    end: (...more: (() => unknown)[]) => void ends.push(...more),

    /** A connection for the test itself. */
    async connect(url = server.url) {
      const connection = await connect({ servers: url, reconnectTimeWait: 50 })
      ends.push(() => connection.close())
      return connection
    },

    /** A machine with one worker that answers twice the row, after 2 ms. @returns its name in the fleet */
    async double(fleet: string, name: string): Promise<string> {
      const infer = inferring(async (x) => {
        const answer = x.map((value) => 2 * value)
        await new Promise((resolve) => setTimeout(resolve, INFERENCE_MS))
        return answer
      })
      const worker = Object.assign(new HandWorker(name), { infer })
      const service = await serveNats(server.url, { fleet, name, workers: [worker] })
      ends.push(() => service.close())
      return service.names[0]
    },

    /** A machine with these workers, its coordinator, and both their times. */
    async start(workers: ModelWorker[], { at = server, own, options = {}, serving = {} }: FleetSetup = {}) {
      const name = this.newName()
      const [clock, theirs] = [new VirtualClock(), new VirtualClock()]
      const onWarning = vi.fn()
      const connection = await this.connect(at.url)
      const service = await serveNats(connection, { fleet: name, workers, clock: theirs, ...serving })
      const changes = natsWorkers(own ?? at.url, { fleet: name, clock, onWarning, ...options })
      ends.push(
        () => service.close(),
        () => changes.return?.(),
      )
      return { name, service, connection, changes, clock, theirs, onWarning }
    },
  }
}

export async function joined(changes: AsyncIterator<Change>): Promise<ModelWorker> {
  const { value } = await changes.next()
  if (!('add' in value)) throw new Error(`expected a worker to join, got ${JSON.stringify(value)}`)
  return value.add
}

/** For a `HandWorker`. */
export const row = (x: number) => Float32Array.of(x, 1)
