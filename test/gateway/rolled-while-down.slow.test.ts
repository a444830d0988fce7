/** Servers without a fingerprint that were rolled to other weights, or were not, while the gateway was down: whose its saved state is. */

import { createGateway, type Store } from 'approxifer/gateway'
import { httpWorkers, type ProbeOptions } from 'approxifer/http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PretendServer, silence } from '../shared/simulated-server'

const ends: (() => unknown)[] = []
let store: Store & { readonly files: Map<string, Uint8Array> }
beforeEach(() => {
  const files = new Map<string, Uint8Array>()
  store = { files, read: async (name) => files.get(name), write: async (name, bytes) => void files.set(name, bytes) }
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

interface How {
  factor?: number
  count?: number
  probe?: false | ProbeOptions
  rollout?: object
  fingerprint?: string
}

async function start({ factor = 2, count = 3, probe, rollout, fingerprint }: How = {}) {
  const servers = Array.from({ length: count }, () => Object.assign(new PretendServer(), { factor, fingerprint }))
  const warnings: string[] = []
  const onWarning = (text: string) => void warnings.push(text)
  const fetch = ((url: string, init: RequestInit) => servers[Number(new URL(url).port) - 1].fetch(url, init)) as typeof globalThis.fetch // biome-ignore format: one line
  const urls = servers.map((_, i) => `http://there:${i + 1}`)
  const workers = httpWorkers(urls, { model: 'm', binary: false, fetch, onWarning, ...(probe !== undefined && { probe }) }) // biome-ignore format: one line
  const right = 'label' as const
  const model = { workers, right, policy: 'auto', hedge: false, memory: {}, verify: { audit: 0 }, rollout, onWarning } as const // biome-ignore format: one line
  const gateway = createGateway({ models: { m: model }, store, onWarning })
  await gateway.ready()
  ends.push(() => gateway.close())
  return { gateway, servers, warnings, predictor: gateway.predictor('m') }
}
type Gateway = Awaited<ReturnType<typeof start>>

let asked = 0
const fresh = () => Float32Array.of(Math.sin((asked++) ** 2), Math.cos(asked ** 2))

/** @returns how many queries it remembers */
async function taught({ gateway, predictor }: Gateway): Promise<number> {
  for (let round = 0; round < 100 && predictor.stats().memoryPairs < 200; round++) {
    for (let i = 0; i < 20; i++) await predictor.predict(fresh())
    await predictor.save() // what it has not yet thought over is done by this
  }
  const inputs = [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }]
  await gateway(new Request('http://test/v2/models/m/infer', { method: 'POST', body: JSON.stringify({ inputs }) }))
  await gateway.close()
  return predictor.stats().memoryPairs
}

/** How 30 queries end of which no server answers one in time. */
async function late({ servers, predictor }: Gateway): Promise<Record<string, number>> {
  for (const server of servers) server.instead = ({ method }) => (method === 'POST' ? silence : undefined)
  const ended = Array.from({ length: 30 }, () => predictor.predict(fresh(), { deadlineMs: 300 }).then(({ status }) => status, ({ code }) => code as string)) // biome-ignore format: one line
  const counts: Record<string, number> = {}
  for (const how of await Promise.all(ended)) counts[how] = (counts[how] ?? 0) + 1
  return counts
}

const remembered = ({ predictor }: Gateway) => predictor.stats().memoryPairs
const forgot = 'nothing is taken over from what was learned before'
const untold = 'does not name its model'

it.each([
  ['', undefined],
  [', also beside a rollout', { shadow: 0.1 }],
])('no late answer is recovered from the memory of the model that the servers had before%s', async (_, rollout) => {
  await taught(await start({ rollout }))
  const again = await start({ factor: -2, rollout })
  expect(again.warnings).toEqual([expect.stringContaining(`${forgot}: state: model.probed: `)])
  expect(remembered(again)).toBe(0)
  expect((await late(again)).recovered ?? 0).toBe(0)
})

it('the same model’s is there again, also where servers answer with another rounding', async () => {
  const before = await taught(await start())
  for (const factor of [2.0001, 1.9999, 2]) {
    const again = await start({ factor })
    expect([remembered(again), again.warnings]).toEqual([before, []])
    await again.gateway.close()
  }
})

it('servers that are rolled while it is up: what is saved then is the new model’s', async () => {
  await taught(await start())
  const up = await start({ probe: { everyMs: 20 } })
  expect(remembered(up)).toBeGreaterThan(0)
  for (const server of up.servers) server.factor = -2
  while (!up.predictor.renewals) await up.predictor.predict(fresh()).catch(() => {})
  const before = await taught(up)
  const [same, other] = [await start({ factor: -2 }), await start()]
  expect([remembered(same), remembered(other)]).toEqual([before, 0])
})

it('a state that does not say whose it is is taken, as before, and the log says so once', async () => {
  const before = await taught(await start({ probe: false }))
  const again = await start()
  expect([remembered(again), again.warnings]).toEqual([before, [expect.stringContaining(untold)]])
})

it('with another probe query nothing can be compared: as one that does not say it', async () => {
  const before = await taught(await start())
  const again = await start({ probe: { query: Float32Array.of(3, 4) } })
  expect([remembered(again), again.warnings]).toEqual([before, [expect.stringContaining(untold)]])
})

it('where models need not answer the same twice nothing is compared', async () => {
  const before = await taught(await start({ probe: false }))
  const again = await start({ factor: 3, probe: false })
  expect([remembered(again), again.warnings]).toEqual([before, []])
})
