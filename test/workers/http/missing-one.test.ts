/** Nine servers, of which one never answers, in made time: how long the start waits for it. */

import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { httpWorkers } from '../../../src/workers/http/fleet'
import type { WorkerChanges } from '../../../src/workers/worker'
import { PretendServer, silence } from '../../shared/simulated-server'
import { until } from '../../shared/waiting'

/** A gateway is to be ready within six seconds of what it needs: two are left to the start of its process, on a machine that is busy. */
const GRACE_MS = 4000
const STEP_MS = 100

it.each<[string, (server: PretendServer) => void]>([
  ['refuses connections', (server) => (server.isGone = true)],
  ['takes them and says nothing', (server) => (server.instead = () => silence)],
  ['is ready, and never answers a query', (server) => (server.instead = ({ method }) => (method === 'POST' ? silence : undefined))], // biome-ignore format: one line
])('the start waits four seconds for one of nine that %s', async (_, spoil) => {
  const clock = new VirtualClock()
  const servers = Array.from({ length: 9 }, () => new PretendServer())
  spoil(servers[8])
  const fetch = ((url: string, init: RequestInit) => servers[Number(new URL(url).port) - 1].fetch(url, init)) as typeof globalThis.fetch // biome-ignore format: one line
  const warnings: string[] = []
  const onWarning = (text: string) => void warnings.push(text)
  const urls = servers.map((_, i) => `http://there:${i + 1}`)
  const changes = httpWorkers(urls, { model: 'm', binary: false, fetch, clock, onWarning })
  let isRead = false
  const workers: WorkerChanges = {
    most: changes.most,
    [Symbol.asyncIterator]() {
      isRead = true // all that it needs is loaded
      return changes[Symbol.asyncIterator]()
    },
  }
  const right = 'label' as const
  const starting = createPredictor({ workers, right, onWarning, scheme: { queries: 8, stragglers: 1 }, testing: { clock } }) // biome-ignore format: one line
  await until(() => isRead)
  let [isReady, from] = [false, clock.now()]
  void starting.then(() => (isReady = true))
  await until(async () => {
    if (!isReady) await clock.run(clock.now() + STEP_MS)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate) // what is under way in no time comes to its end
    return isReady
  })
  const ms = clock.now() - from
  expect(warnings).toContainEqual(expect.stringContaining('starts with 8 of the 9 workers that the scheme needs'))
  expect(ms).toBeGreaterThan(GRACE_MS - STEP_MS)
  expect(ms).toBeLessThanOrEqual(GRACE_MS + STEP_MS)
  await (await starting).close()
})
