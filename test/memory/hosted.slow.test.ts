/** What the engine is told by a memory in a thread, in made time: what is current, what counts, and what is saved of both ends. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { learnedModel } from '../../src/memory/experience-state'
import { HostedMemory } from '../../src/memory/hosted'
import { learnedFrom } from '../../src/memory/learned'
import type { RecalledAnswer } from '../../src/memory/service'
import { MemoryThread } from '../../src/memory/thread'
import { SimulatedThread } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'

const core = await loadCore()
const random = seeded(3)
const queryOf = () => Float32Array.of(random.gauss(), random.gauss())
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [1] }] }
const answerTo = ([a, b]: Float32Array) => Float32Array.of(Math.sin(a) + b)
const model = learnedModel(signature, {})

/** Of one value, right within a tenth. */
function hosted({ isThreaded = true, state }: { isThreaded?: boolean; state?: Uint8Array } = {}) {
  const clock = new VirtualClock()
  const simulated = new SimulatedThread(clock, { lookUp: 0.3, way: 0.1 })
  const learned = state && learnedFrom(state, model, { warn: expect.fail })
  const plan = { core: core.kind, signature, criterion: { kind: 'tolerance', tolerance: 0.1 }, memory: {}, learned } as const // biome-ignore format: one line
  const warnings: string[] = []
  const memory = new HostedMemory({
    ...{ core, clock, plan, model, saved: {}, part: 1, remembers: true },
    thread: isThreaded ? new MemoryThread(clock, simulated.spawn) : undefined,
    warn: (text) => warnings.push(text),
  })
  const learn = async (count: number, from = (_: number) => 'a') => {
    for (let i = 0; i < count; i++) {
      const query = queryOf()
      memory.learn(query, answerTo(query), from(i))
      await clock.run(clock.now() + 100)
    }
  }
  const recall = async (query: Float32Array) => {
    let said: RecalledAnswer | undefined
    memory.recall(query, 20, (found) => {
      said = found
    })
    await clock.run(clock.now() + 10)
    return said
  }
  return { clock, memory, simulated, learn, recall, warnings }
}

it('what was recalled before an identity was forgotten is not given, and grades nothing', async () => {
  const { clock, memory, learn, recall } = hosted()
  await learn(300, (i) => (i % 10 ? 'a' : 'liar'))
  const before = (await recall(queryOf())) as RecalledAnswer
  const told: unknown[] = []
  memory.recall(queryOf(), 20, (found) => told.push(found))
  memory.forget('liar')
  await clock.run()
  expect([told, memory.isCurrent(before)]).toEqual([[undefined], false])
  const after = (await recall(queryOf())) as RecalledAnswer
  expect(memory.isCurrent(after)).toBe(true)
})

it('a recovery that was given is counted here and learned from there; also what is saved comes from both', async () => {
  const { clock, memory, learn, recall } = hosted()
  await learn(300)
  let agreed = 0
  for (let i = 0; i < 40; i++) {
    const query = queryOf()
    if (memory.grade((await recall(query)) as RecalledAnswer, answerTo(query), 'b')) agreed++
  }
  expect(agreed).toBeGreaterThan(30)
  const decoded = { answer: Float32Array.of(1), source: 'code', missing: 1, variance: 0.1, error: 0.01 } as const
  expect(memory.grade(decoded, Float32Array.of(2), 'b')).toBe(false)
  expect(memory.stats().agreements).toMatchObject([
    { source: 'memory', graded: 40, agreed },
    { source: 'code', graded: 1, agreed: 0 },
  ])
  const saving = memory.save()
  await clock.run()
  const again = hosted({ state: await saving })
  await again.clock.run()
  expect(again.memory.stats()).toEqual(memory.stats())
  const query = queryOf()
  const [said, other] = [await recall(query), await again.recall(query)]
  expect(other?.answer).toEqual(said?.answer)
  expect(other?.confidence).toBeCloseTo(said?.confidence as number, 2)
  memory.forget('b')
  expect(memory.stats().agreements).toEqual([])
})

it('says the same in this thread and in another', async () => {
  const [near, far] = [hosted({ isThreaded: false }), hosted()]
  for (let i = 0; i < 300; i++) {
    const query = queryOf()
    for (const { memory, clock } of [near, far]) {
      memory.learn(query, answerTo(query), 'a')
      await clock.run(clock.now() + 100)
    }
  }
  expect(near.memory.stats()).toEqual(far.memory.stats())
  for (let i = 0; i < 10; i++) {
    const query = queryOf()
    expect(await far.recall(query)).toEqual(await near.recall(query))
  }
})

it('begins anew where its thread dies, and where the model is another', async () => {
  const { memory, simulated, learn, recall, warnings } = hosted()
  await learn(300)
  memory.renew()
  expect([memory.isWarm, await recall(queryOf())]).toEqual([false, undefined])
  await learn(200)
  expect(memory.isWarm).toBe(true)
  simulated.die('fell over')
  expect([memory.isWarm, warnings]).toEqual([false, ['the thread of the memory fell over: it begins anew in this one']])
  await learn(200)
  expect((await recall(queryOf()))?.source).toBe('memory')
})

it('of an answer that is not finite, or a query without values, nothing is learned', async () => {
  const { clock, memory } = hosted()
  memory.learn(queryOf(), Float32Array.of(Number.NaN), 'a')
  memory.learn(new Float32Array(0), Float32Array.of(1), 'a')
  await clock.run()
  expect(memory.stats().pairs).toBe(0)
})
