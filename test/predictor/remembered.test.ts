/** Answers without asking, beside each other: equal callers and the budget, whose floor a query chooses, what ends a window, and what is forgotten. */

import { beforeAll, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { SimulatedWorker } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const draws = seeded(7)
/** Two classes, far apart; the model says which of two numbers is larger. */
const drawn = () => Float32Array.of(...(draws.next() < 0.5 ? [3, 1] : [1, 3]).map((x) => x + 0.3 * draws.gauss()))
const label = (y: ArrayLike<number>) => Number(y[1] > y[0])

/** Workers of a model that may be replaced unseen. */
async function world(options: Partial<PredictorOptions> = {}, coin: () => number = seeded(1).next) {
  const [clock, random] = [new VirtualClock(), seeded(8)]
  const at = { swapped: false, ms: 10, calls: 0 }
  const model = (x: Float32Array) => (at.swapped ? Float32Array.of(x[1], x[0]) : x.slice())
  const answer = (x: Float32Array) => (at.calls++, model(x))
  const law = () => at.ms * Math.exp(0.1 * random.gauss())
  const workers = Array.from({ length: 4 }, (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature, interruptible: true })) // biome-ignore format: one line
  const predictor = await createPredictor({
    ...{ workers, hedge: false, verify: { audit: 0 }, right: 'label', onWarning() {} },
    ...{ testing: { clock, coin }, ...options },
  })
  const ask = async (query = drawn(), choices = {}) => {
    const asked = predictor.predict(query, choices)
    await clock.run(clock.now() + 40)
    return asked
  }
  return { clock, at, model, predictor, ask, budget: () => predictor.stats().budget }
}

let state: Uint8Array

beforeAll(async () => {
  const { predictor, ask } = await world({ policy: 'auto' })
  for (let i = 0; i < 200; i++) await ask()
  state = await predictor.save()
  await predictor.close()
})

const remembering = (more: Partial<PredictorOptions> = {}) => ({
  reuse: { maxError: 0.05 },
  memory: { state },
  ...more,
})

it('a late recovery answers one caller, and is counted; others with the same query are asked again', async () => {
  const { clock, at, model, predictor, ask, budget } = await world(remembering({ policy: 'auto' }))
  for (let i = 0; i < 100; i++) await ask(drawn(), { ask: true })
  Object.assign(at, { swapped: true, ms: 400 })
  const query = drawn()
  const all = Array.from({ length: 200 }, () => predictor.predict(query, { ask: true, deadlineMs: 5000 }))
  await clock.run(clock.now() + 3000)
  const wrong = (await Promise.all(all)).filter(({ output }) => label(output.y.data as Float32Array) !== label(model(query))) // biome-ignore format: one line
  expect(wrong.length).toBeLessThanOrEqual(budget()?.allowed as number)
  await predictor.close()
})

it('an audit whose query is under way for another caller has the model’s own answer, not a recovery', async () => {
  const coin = { value: 1 }
  const { clock, at, predictor, ask, budget } = await world(remembering({ policy: 'auto' }), () => coin.value)
  for (let i = 0; i < 100; i++) await ask()
  const query = drawn()
  at.ms = 400
  const first = predictor.predict(query, { ask: true, deadlineMs: 3000 })
  coin.value = 0 // all are audits
  const others = Array.from({ length: 4 }, () => predictor.predict(query, { deadlineMs: 3000 }))
  await clock.run(clock.now() + 2000)
  await first
  expect((await Promise.all(others)).map(({ status }) => status)).not.toContain('remembered')
  expect(budget()?.detectedErrors).toBe(0)
  await predictor.close()
})

it('a query’s own minConfidence is a floor, however many have one', async () => {
  const { predictor, ask } = await world(remembering(), seeded(3).next)
  const given = { plain: 0, floored: 0 }
  for (let i = 0; i < 900; i++) {
    const { status } = await ask(drawn(), i % 2 ? { minConfidence: 1 } : {})
    if (status === 'remembered') given[i % 2 ? 'floored' : 'plain']++
  }
  expect(given.floored).toBe(0)
  expect(given.plain).toBeGreaterThan(100)
  await predictor.close()
})

it('callers that leave end no window, and make none begin anew after a restart', async () => {
  const { clock, predictor, ask, budget } = await world(remembering({ limits: { queries: 10_000 } }))
  for (let i = 0; i < 50; i++) await ask()
  const before = budget()
  const stop = new AbortController()
  const all = Array.from({ length: 5000 }, () => predictor.predict(drawn(), { signal: stop.signal, ask: true }))
  stop.abort()
  await Promise.allSettled(all)
  await clock.run(clock.now() + 100)
  expect(before).toMatchObject({ window: 1, answers: 50 })
  expect(budget()).toMatchObject({ window: 1, answers: 50 })
  const next = await world(remembering({ memory: { state: await predictor.save() } }))
  expect(next.budget()).toMatchObject({ window: 1, answers: 50 })
  await Promise.all([predictor.close(), next.predictor.close()])
})

it('kept answers are each caller’s own, and go with the worker or tenant that is forgotten, or that there is no room for', async () => {
  const query = Float32Array.of(3, 1)
  const { predictor, ask } = await world({ reuse: { exact: true } }, () => 1)
  const first = await ask(query)
  first.workers.length = 0
  const second = await ask(query)
  expect([second.reused, second.workers.length]).toEqual([true, 1])
  second.workers.length = 0
  for (let i = 0; i < 4; i++) predictor.forget(`worker ${i}`)
  expect((await ask(query)).reused).toBe(undefined)
  await predictor.close()

  const many = await world({ reuse: { exact: true }, limits: { tenants: 3 } }, () => 1)
  const underWay = many.predictor.predict(query, { tenant: 'a' })
  many.predictor.forgetTenant('a')
  await many.clock.run(40)
  await underWay
  expect((await many.ask(query, { tenant: 'a' })).reused).toBe(undefined)
  expect((await many.ask(query, { tenant: 'a' })).reused).toBe(true)
  for (const tenant of ['b', 'c', 'd', 'e']) await many.ask(query, { tenant })
  expect((await many.ask(query, { tenant: 'a' })).reused).toBe(undefined)
  await many.predictor.close()
})

it('tenants without room for a memory are refused at the start: each of their queries was', async () => {
  await expect(world({ reuse: { maxError: 0.01 }, limits: { tenants: 1000 } })).rejects.toThrow(/^memory\.bytes: expected >= \d+, .* limits\.tenants/) // biome-ignore format: one line
})
