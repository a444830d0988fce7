/** Machines stand without NATS: the contract of workers over a link in memory, with signatures and MACs. */

import { Worker } from 'node:worker_threads'
import { afterEach } from 'vitest'
import { localWorkers } from '../../../src/workers/local/local'
import type { ServingMachine } from '../../../src/workers/machines/machine'
import { MemoryFleet } from '../../shared/memory-fleet'
import { joined } from '../../shared/nats-fleet'
import { fixture } from '../../shared/threads'
import { contract } from '../../shared/worker-contract'

const machines: ServingMachine[] = []
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.close()
})

contract('machines at a link in memory', {
  start: async () => {
    const fleet = new MemoryFleet()
    const createWorker = () => new Worker(fixture)
    const workers = await localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker })
    machines.push((await fleet.machine({ workers })).machine)
    return joined(fleet.workers())
  },
  deaths: ['dies', 'exits'],
})
