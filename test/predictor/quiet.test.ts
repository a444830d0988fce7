/** Where nobody asks, servers are not called and no timer runs, in made time: a Durable Object with timers stays awake. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { httpWorkers } from '../../src/workers/http/fleet'
import { httpWorker } from '../../src/workers/http/worker'
import { PretendServer, silence } from '../shared/simulated-server'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function started(count: number, options: Partial<PredictorOptions> = {}, fleet = true) {
  const clock = new VirtualClock()
  const servers = Array.from({ length: count }, () => new PretendServer())
  const fetch = ((url: string, init: RequestInit) =>
    servers[Number(new URL(url).port) - 1].fetch(url, init)) as typeof globalThis.fetch
  const warnings: string[] = []
  const onWarning = (text: string) => void warnings.push(text)
  const urls = servers.map((_, i) => `http://there:${i + 1}`)
  const each = { model: 'm', binary: false, fetch, clock, onWarning } as const
  const single = fleet ? [] : Promise.all(urls.map((url) => httpWorker(url, each)))
  if (!fleet) await clock.run(1000)
  const workers = fleet ? httpWorkers(urls, each) : await single
  const start = createPredictor({ workers, testing: { clock }, onWarning, ...options })
  await clock.run(clock.now() + 2000)
  const predictor = await start
  closing.push(() => predictor.close())
  const pass = (ms: number) => clock.run(clock.now() + ms)
  const calls = () => servers.reduce((sum, { asked }) => sum + asked.length, 0)
  const ask = async (options = {}) => {
    const from = clock.now()
    const outcome = predictor.predict(Float32Array.of(1, 2), options).then(
      ({ output }) => [...output.y.data],
      ({ code, message }) => `${code}: ${message}`,
    )
    let ms: number | undefined
    void outcome.then(() => (ms = clock.now() - from))
    await pass(20_000)
    return { answer: await outcome, ms }
  }
  await ask()
  return { clock, servers, warnings, predictor, pass, calls, ask }
}

describe.each([
  ['httpWorkers', true],
  ['each an httpWorker', false],
])('%s', (_, fleet) => {
  it('an idle minute: no call, no timer; then the first query is answered, and silent servers are checked', async () => {
    const { clock, pass, calls, ask } = await started(4, {}, fleet)
    const before = calls()
    await pass(60_000)
    expect(calls()).toBe(before)
    expect(clock.pending).toBe(0)
    expect((await ask()).answer).toEqual([2, 4])
    expect(calls()).toBeGreaterThan(before + 4)
  })
})

it('with one of the servers hung, one gone and one refusing, nothing is tried again while nobody asks', async () => {
  const { clock, servers, pass, calls, ask } = await started(6)
  servers[0].instead = () => silence
  servers[1].isGone = true
  servers[2].instead = () => silence
  for (let i = 0; i < 3; i++) expect((await ask()).answer).toEqual([2, 4])
  const before = calls()
  await pass(60_000)
  expect(calls()).toBe(before)
  expect(clock.pending).toBe(0)
})

it('a query wakes servers that were all gone, and are back: it waits for them instead of failing', async () => {
  const { servers, pass, ask, predictor } = await started(3)
  for (const server of servers) server.isGone = true
  expect((await ask()).answer).toMatch(/^WORKER/)
  await pass(60_000)
  expect(predictor.unready).toContain('cannot be reached')
  await pass(20_000)
  for (const server of servers) server.isGone = false
  await pass(60_000)
  expect(await ask()).toEqual({ answer: [2, 4], ms: 0 })
})

it('a query that wakes servers which are gone still fails as soon as they have been tried', async () => {
  const { servers, pass, ask } = await started(3)
  for (const server of servers) server.isGone = true
  await ask()
  await pass(60_000)
  const { answer, ms } = await ask({ deadlineMs: 15_000 })
  expect(answer).toMatch(/^WORKER/)
  expect(ms).toBeLessThan(1000)
})

it('a model that was replaced while nobody asked: the first answer is of the new one', async () => {
  const { servers, pass, ask, warnings } = await started(3)
  await pass(60_000)
  for (const server of servers) server.factor = 3
  expect((await ask()).answer).toEqual([3, 6])
  expect(warnings).toContainEqual(expect.stringContaining('it replaces the fleet'))
})

it('who asks for stats, readiness or model versions keeps servers checked', async () => {
  const { pass, calls, predictor } = await started(4)
  for (const look of [() => predictor.stats(), () => predictor.unready, () => predictor.modelVersions()]) {
    await pass(60_000)
    const before = calls()
    for (let i = 0; i < 30; i++) {
      look()
      await pass(1000)
    }
    expect(calls()).toBeGreaterThanOrEqual(before + 4 * 7)
  }
})

it('an open query keeps them awake: a server that is back answers it', async () => {
  const { clock, servers, pass, predictor } = await started(2)
  for (const server of servers) server.instead = ({ method }) => (method === 'POST' ? silence : undefined)
  const answer = predictor.predict(Float32Array.of(1, 2), { deadlineMs: 120_000 })
  await pass(40_000)
  for (const server of servers) server.instead = undefined
  await pass(60_000)
  expect([...(await answer).output.y.data]).toEqual([2, 4])
  expect(clock.now()).toBeLessThan(130_000)
})

it('a thousand servers are woken twenty at a time', async () => {
  const { servers, pass, calls, predictor } = await started(1000)
  await pass(60_000)
  const before = calls()
  const answer = predictor.predict(Float32Array.of(1, 2))
  expect(calls() - before).toBeLessThanOrEqual(21)
  await pass(5000)
  await answer
  const checked = servers.filter(({ asked }) => asked.some(({ path }) => path === '/v2/models/m/ready')).length
  expect(checked).toBeGreaterThanOrEqual(999) // all but the one that has answered
  expect(calls() - before).toBeGreaterThan(1000)
})

it('a worker whose sleep throws is warned of, and answers', async () => {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const worker = {
    name: 'w',
    signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
    free: true,
    onFree: undefined,
    infer: async () => [{ data: Float32Array.of(1, 2), shape: [2] }],
    sleep() {
      throw new Error('not tired')
    },
    close: async () => {},
  }
  const onWarning = (text: string) => void warnings.push(text)
  const predictor = await createPredictor({ workers: [worker], testing: { clock }, onWarning })
  await clock.run(20_000)
  expect([...(await predictor.predict(Float32Array.of(1, 2))).output.y.data]).toEqual([1, 2])
  expect(warnings).toEqual(['sleep threw: not tired'])
  await predictor.close()
})
