/** A memory in a thread of its own, of Node: what it says, and what becomes of those who wait where it is slow, dead, or cannot be had. */

import { Worker } from 'node:worker_threads'
import { createPredictor, type ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/base/clock'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { Experience } from '../../src/memory/experience'
import type { MemoryHost, Rated } from '../../src/memory/host'
import { InlineMemory, SHARED_THREAD } from '../../src/memory/inline'
import type { MemoryPlan } from '../../src/memory/messages'
import { MemoryThread, type Spawn } from '../../src/memory/thread'
import { platform } from '../../src/platform/node'
import { SimulatedThread } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'

const script = new URL('../../dist/worker.js', import.meta.url)
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const core = await loadCore()
const criterion = { kind: 'label', positions: 1, classes: 3 } as const
const spec = (name: string, length: number) => [{ name, shape: [length] }]
const plan: MemoryPlan = {
  core: core.kind,
  signature: { inputs: spec('x', 4), outputs: spec('y', 3) },
  criterion,
  memory: {},
  learned: undefined,
}
const random = seeded(5)
const queryOf = (length = 4) => Float32Array.from({ length }, () => random.gauss())
const answerTo = (query: Float32Array) => Float32Array.of(query[0], query[1], 0.5 * query[0] - query[3])
const lessonOf = (query: Float32Array, from = 'a') => ({ query: () => query, own: answerTo(query), from, spread: [] })

function threaded(own = plan, spawn?: Spawn) {
  const workers: Worker[] = []
  const lost: string[] = []
  const create = () => {
    const worker = new Worker(script)
    workers.push(worker)
    return worker
  }
  const thread = new MemoryThread(systemClock, spawn ?? ((onDeath) => platform.spawn(create, onDeath)))
  const memory = thread.open(own, (why) => lost.push(why), (text) => expect.fail(text)) // biome-ignore format: one line
  ends.push(() => memory.close())
  return { thread, memory, lost, workers }
}

const recalled = (memory: MemoryHost, query: Float32Array, withinMs = 1000) =>
  new Promise<Rated | undefined>((resolve) => memory.recall(() => query, [], withinMs, resolve))

/** Each is learned before the next one comes. */
async function taught(memory: MemoryHost, queries: readonly Float32Array[], from = (_: number) => 'a') {
  for (const [i, query] of queries.entries()) {
    while (!memory.mayLearn) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(memory.learn(lessonOf(query, from(i)))).toBe(true)
  }
  await memory.take()
}

it('says to the bit what a memory in this thread says that has learned the same', async () => {
  const { memory } = threaded()
  const experience = new Experience(core, plan.signature, { criterion, warn: (text) => expect.fail(text) })
  const clock = new VirtualClock()
  const inline = new InlineMemory(experience, { clock, shares: SHARED_THREAD, warn: (text) => expect.fail(text) })
  const queries = Array.from({ length: 300 }, () => queryOf())
  await taught(memory, queries)
  for (const query of queries) {
    inline.learn(lessonOf(query))
    await clock.run()
  }
  await inline.take()
  expect([memory.isWarm, memory.pairs]).toEqual([true, inline.pairs])
  for (let i = 0; i < 20; i++) {
    const query = queryOf()
    const said = inline.lookUp(query, [])
    expect(said?.confidence).toBeDefined()
    expect(await recalled(memory, query)).toEqual(said)
  }
  expect((await memory.take()).memory).toEqual((await inline.take()).memory)
})

it('is started when there is something to keep, and again after all is forgotten', async () => {
  const { memory, thread, workers } = threaded()
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(workers.length).toBe(0)
  await taught(memory, [queryOf()])
  expect(workers.length).toBe(1)
  memory.close()
  const next = thread.open(plan, expect.fail, expect.fail)
  ends.push(() => next.close())
  await taught(next, [queryOf(), queryOf()])
  expect([workers.length, next.pairs]).toEqual([2, 2])
})

it('of what an identity taught nothing is left, also of lessons that wait', async () => {
  const { memory } = threaded()
  const queries = Array.from({ length: 300 }, () => queryOf())
  await taught(memory, queries, (i) => (i % 4 ? 'a' : 'liar'))
  const before = memory.pairs
  memory.learn(lessonOf(queryOf(), 'liar'))
  await new Promise<void>((resolve) => memory.forget('liar', () => resolve()))
  await memory.take()
  expect(memory.pairs).toBeGreaterThan(0.7 * before)
  expect(memory.pairs).toBeLessThan(0.8 * before)
})

it('where it dies all who wait are told, once; it is asked no more', async () => {
  const { memory, workers, lost } = threaded()
  await taught(memory, Array.from({ length: 200 }, () => queryOf())) // biome-ignore format: one line
  const told = vi.fn()
  for (let i = 0; i < 50; i++) memory.recall(queryOf, [], 60_000, told)
  const saved = memory.take()
  void workers[0].terminate()
  await expect(saved).rejects.toMatchObject({ code: 'WORKER', message: 'the thread of the memory exited with code 1' })
  expect(told.mock.calls.length).toBe(50)
  expect(lost).toEqual(['exited with code 1'])
  memory.recall(queryOf, [], 60_000, told)
  expect(told.mock.calls.at(-1)).toEqual([undefined, undefined])
  await expect(memory.take()).rejects.toMatchObject({ code: 'WORKER' })
})

it.each<[string, Spawn]>([
  ['a thread is refused', () => expect.fail('no threads here')],
  ['its script is none', (onDeath) => platform.spawn(() => new Worker('throw new Error("no script")', { eval: true }), onDeath)], // biome-ignore format: one line
])('where %s the memory hears of it', async (_, spawn) => {
  const { memory, lost } = threaded(plan, spawn)
  memory.learn(lessonOf(queryOf()))
  await vi.waitFor(() => expect(lost.length).toBe(1))
  expect(lost[0]).toMatch(/no threads here|no script/)
})

it('a lookup that nobody limits is answered, however long that takes; of a thread that hangs it is given up in the end', async () => {
  const clock = new VirtualClock()
  const simulated = new SimulatedThread(clock, { lookUp: 500 })
  const memory = new MemoryThread(clock, simulated.spawn).open(plan, expect.fail, expect.fail)
  for (let i = 0; i < 200; i++) {
    memory.learn(lessonOf(queryOf()))
    await clock.run(clock.now() + 20)
  }
  const told: unknown[] = []
  memory.recall(queryOf, [], Number.POSITIVE_INFINITY, (found) => told.push(found?.source))
  await clock.run()
  expect(told).toEqual(['memory'])
  simulated.isLost = () => true
  const since = clock.now()
  memory.recall(queryOf, [], Number.POSITIVE_INFINITY, () => told.push(clock.now() - since))
  await clock.run()
  expect(told).toEqual(['memory', 10_000])
  memory.close()
})

it('a thread that hangs keeps nobody waiting longer than an answer takes, and is sent no more than that', async () => {
  const clock = new VirtualClock()
  const simulated = new SimulatedThread(clock, { lookUp: 0.5 })
  const thread = new MemoryThread(clock, simulated.spawn)
  const memory = thread.open(plan, expect.fail, expect.fail)
  for (let i = 0; i < 200; i++) {
    memory.learn(lessonOf(queryOf()))
    await clock.run(clock.now() + 20)
  }
  expect(memory.isWarm).toBe(true)
  await Promise.all([recalled(memory, queryOf()), clock.run(clock.now() + 5)])
  simulated.isLost = () => true
  const told: [number, unknown][] = []
  const since = clock.now()
  for (let i = 0; i < 100; i++) memory.recall(queryOf, [], 10, (found) => told.push([clock.now() - since, found]))
  expect(told.length).toBe(94) // six take more than a quarter of ten milliseconds
  await clock.run(since + 100)
  expect(told.slice(94)).toEqual(Array(6).fill([10, undefined]))
  memory.close()
})

it('a thread that is asked three times as often as it can answer answers in time what it takes', async () => {
  const clock = new VirtualClock()
  const simulated = new SimulatedThread(clock, { lookUp: 0.5, step: 0.1, message: 0.02, way: 0.1 })
  const memory = new MemoryThread(clock, simulated.spawn).open(plan, expect.fail, expect.fail)
  for (let i = 0; i < 200; i++) {
    memory.learn(lessonOf(queryOf()))
    await clock.run(clock.now() + 20)
  }
  let [found, passed, late] = [0, 0, 0]
  for (let i = 0; i < 1000; i++) {
    const since = clock.now()
    memory.recall(queryOf, [], 10, (said) => {
      if (said) found++
      else if (clock.now() === since) passed++
      else late++
    })
    await clock.run(since + 0.5 / 3)
  }
  await clock.run()
  expect(late).toBe(0)
  expect(found).toBeGreaterThan(250)
  expect(found + passed).toBe(1000)
  memory.close()
})

describe('large queries', () => {
  const width = 150_528
  const signature = { inputs: [{ name: 'x', shape: [3, 224, 224] }], outputs: spec('y', 3) }
  const large = { ...plan, signature }

  it('by the thousand hold no more memory than a few of them', async () => {
    const { memory } = threaded(large)
    const query = queryOf(width)
    const taken = Array.from({ length: 1000 }, () => memory.learn(lessonOf(query)))
    expect(taken.filter((is) => is).length).toBeLessThan(30) // 16 MB
    await memory.take()
    expect(memory.mayLearn).toBe(true)
  })
})

it('a view of a large buffer sends its own values alone', async () => {
  const { memory } = threaded()
  const all = new Float32Array(2 ** 20)
  const queries = Array.from({ length: 140 }, (_, i) => all.subarray(4 * i, 4 * i + 4).map(() => random.gauss()))
  await taught(memory, queries)
  expect(await recalled(memory, all.subarray(0, 4))).toBeDefined()
})

describe('a predictor', () => {
  const workers = () =>
    ['a', 'b'].map(
      (name): ModelWorker => ({
        ...{ name, free: true, onFree: undefined, signature: { inputs: spec('x', 4), outputs: spec('y', 3) } },
        infer: async ([{ data }]) => [{ data: answerTo(data as Float32Array), shape: [3] }],
        close: async () => {},
      }),
    )
  const options = { policy: 'auto', right: 'label', hedge: false } as const

  async function learning(more: object = {}) {
    const made: Worker[] = []
    const warnings: string[] = []
    const createWorker = () => made[made.push(new Worker(script)) - 1]
    const predictor = await createPredictor({
      ...{ ...options, workers: workers(), onWarning: (text: string) => warnings.push(text) },
      testing: { memoryThread: (onDeath) => platform.spawn(createWorker, onDeath) },
      ...more,
    })
    ends.push(() => predictor.close())
    const learn = async (count: number) => {
      while (predictor.stats().memoryPairs < count) {
        await predictor.predict(queryOf())
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    return { predictor, made, warnings, learn }
  }

  it('goes on with a memory in its own thread where that of the memory dies, and warns once', async () => {
    const { predictor, made, warnings, learn } = await learning()
    await learn(150)
    const saved = predictor.save()
    await made[0].terminate()
    await expect(saved).rejects.toMatchObject({ code: 'WORKER' })
    expect(predictor.stats().memoryPairs).toBe(0)
    await learn(20)
    expect((await predictor.save()).length).toBeGreaterThan(100)
    expect(warnings).toEqual(['the thread of the memory exited with code 1: it begins anew in this one'])
    expect(made.length).toBe(1)
  })

  it('saved, closed and forgotten at every moment leaves no promise open', async () => {
    for (let i = 0; i < 20; i++) {
      const { predictor, learn } = await learning()
      await learn(1 + 10 * i)
      const open: Promise<unknown>[] = []
      const add = (promise: Promise<unknown>) => open.push(promise.catch(({ code }) => code))
      for (const each of [predictor.save(), predictor.predict(queryOf()), predictor.predict(queryOf(), { ask: true })])
        add(each)
      if (i % 3 === 0) predictor.forget('a')
      if (i % 3 === 1) predictor.forgetTenant('')
      if (i % 2) await new Promise((resolve) => setTimeout(resolve, random.next()))
      add(predictor.save())
      add(predictor.close())
      for (const each of await Promise.all(open)) if (typeof each === 'string') expect(each).toBe('CLOSED')
    }
  })

  it('takes up what another one saved, and says why where it is another memory’s', async () => {
    const { predictor, learn } = await learning()
    await learn(150)
    const state = await predictor.save()
    const again = await learning({ memory: { state } })
    await vi.waitFor(() => expect(again.predictor.stats().memoryPairs).toBeGreaterThanOrEqual(150))
    const other = await learning({ memory: { state, features: () => Float32Array.of(1, 2) } })
    expect(other.warnings).toEqual([
      expect.stringMatching(/^nothing is taken over .*memory.options.features: expected/),
    ])
  })

  it('the user’s features are made here, and what they make is remembered there', async () => {
    const features = vi.fn((query: Float32Array) => query.slice(0, 2))
    const { predictor, learn, warnings } = await learning({ memory: { features } })
    await learn(150)
    features.mockImplementation(() => {
      throw new Error('broken')
    })
    while (!warnings.length) {
      expect((await predictor.predict(queryOf())).status).toBe('exact')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(warnings).toEqual(['the memory is off from here on: broken'])
    expect(predictor.stats().memoryPairs).toBe(0)
  })
})
