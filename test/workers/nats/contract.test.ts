import { Worker } from 'node:worker_threads'
import { localWorkers } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe } from 'vitest'
import { joined, natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { contract } from '../../shared/worker-contract'

const fixture = new URL('../../fixtures/thread.js', import.meta.url)
const fleets = natsFleets()

describe.skipIf(!natsInstalled)('workers over NATS', () => {
  contract('threads behind a NATS server', {
    start: async () => {
      const workers = await localWorkers({
        model: Uint8Array.of(1),
        workers: 1,
        createWorker: () => new Worker(fixture),
      })
      const fleet = fleets.newName()
      const service = await serveNats(fleets.url, { fleet, workers })
      const changes = natsWorkers(fleets.url, { fleet })
      fleets.end(
        () => service.close(),
        () => changes.return?.(),
      )
      return joined(changes)
    },
    deaths: ['dies', 'exits'],
  })
})
