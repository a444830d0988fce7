/** Queries of different callers tell each other nothing: groups, memories, calibrations and error texts are apart. */

import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { type Tenant, Tenants } from '../../src/predictor/tenants'
import { SimulatedThread } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HeardEvents } from '../shared/heard-events'
import { MoodyWorker } from '../shared/troubled-worker'

const scheme = { queries: 2, stragglers: 1 } as const

async function house(options: object = {}, count = 5) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new MoodyWorker(i, clock, seeded(i)))
  const predictor = await createPredictor({
    scheme,
    workers,
    testing: { clock },
    limits: { tenants: 4 },
    onWarning: () => {},
    ...options,
  })
  return { clock, workers, predictor }
}

const row = (i: number) => Float32Array.of(Math.sin(1.7 * i), Math.cos(2.3 * i))

it('queries of different tenants never share a group: it closes short', async () => {
  const heard = new HeardEvents()
  const { clock, predictor } = await house({ right: 'label', onEvent: heard.onEvent })
  const asked = [0, 1, 2, 3].map((i) => predictor.predict(row(i), { tenant: i % 2 ? 'a' : 'b' }))
  const lonely = predictor.predict(row(4), { tenant: 'c' })
  await clock.run()
  await Promise.all([...asked, lonely])
  const parities = heard.of('asked').filter(({ kind }) => kind === 'parity')
  expect(parities.map(({ mixes }) => mixes)).toEqual([
    [1, 3],
    [2, 5], // the first parity is number 4
  ])
  await predictor.close()
})

it("what is saved where nobody's tenant was never asked leaves no memory in the thread, which would never end", async () => {
  const clock = new VirtualClock()
  const { spawn } = new SimulatedThread(clock)
  let ended = 0
  const memoryThread = (onDeath: (why: string) => void) => {
    const thread = spawn(onDeath)
    return { ...thread, terminate: () => thread.terminate().then(() => ended++) }
  }
  const workers = [new MoodyWorker(0, clock, seeded(1))]
  const predictor = await createPredictor({ workers, memory: {}, right: 'label', limits: { tenants: 4 }, testing: { clock, memoryThread } as never }) // biome-ignore format: one line
  for (let i = 0; i < 3; i++) {
    await Promise.all([predictor.predict(row(i), { tenant: 'a' }), clock.run()])
    await Promise.all([predictor.save(), clock.run()])
  }
  await predictor.close()
  expect([ended, clock.pending]).toEqual([1, 0])
})

it('what one is asked changes nothing of what is learned of another, to the byte', async () => {
  const save = async (hostile: boolean) => {
    const { clock, predictor } = await house({ scheme: { queries: 1 }, hedge: false, policy: 'retry', memory: {} }, 1) // nothing is looked up, and all answers are the same worker's
    const random = seeded(5)
    for (let i = 0; i < 400; i++) {
      const own = predictor.predict(row(i), { tenant: 'victim' })
      if (hostile) {
        // Near duplicates of the other's, outliers, and all the same.
        const near = row(i).map((x) => x + 1e-3 * random.gauss())
        for (const query of [near, row(i).map((x) => 1e3 * x), Float32Array.of(1, 1)]) {
          predictor.predict(query, { tenant: 'attacker' }).catch(() => {})
        }
      }
      await clock.run()
      await own
    }
    const bytes = await predictor.save('victim')
    expect(predictor.stats('victim').memoryPairs).toBeGreaterThan(300)
    await predictor.close()
    return bytes
  }
  expect(await save(true)).toEqual(await save(false))
})

it('nothing is recovered from what another remembers, and what is forgotten is forgotten', async () => {
  const { clock, workers, predictor } = await house({ policy: 'recover' })
  for (let i = 0; i < 300; i++) {
    predictor.predict(row(i), { tenant: 'a' })
    await clock.run()
  }
  for (const worker of workers) worker.mood = 'rejects'
  const endings = async (tenant: string) => {
    const asked = predictor.predict(row(1000), { tenant, deadlineMs: 50 })
    const ending = asked.then(({ status }) => status, ({ code }) => code) // biome-ignore format: one line
    await clock.run(clock.now() + 100)
    return ending
  }
  expect(await endings('a')).toBe('recovered')
  expect(await endings('b')).not.toBe('recovered')
  expect(predictor.forgetTenant('a')).toBe(true)
  expect(predictor.forgetTenant('a')).toBe(false)
  expect(await endings('a')).not.toBe('recovered')
  await predictor.close()
})

it('of the tenant of those who name none nothing is left either, what groups taught included', async () => {
  // Groups, and a worker that is often late: what is recovered tells how often that is right.
  const taught = { queries: 4, stragglers: 1 }
  const { clock, workers, predictor } = await house({
    scheme: taught,
    verify: { audit: 0 },
    limits: { tenants: 1 },
    policy: 'recover',
  })
  const outcomes = async () =>
    /"outcomes":\{"code":(\[.*?\]),"memory"/.exec(new TextDecoder().decode(await predictor.save()))?.[1]
  const fresh = await predictor.save()
  workers[0].mood = 'slow'
  for (let i = 0; i < 300; i += 4) {
    for (const each of [i, i + 1, i + 2, i + 3]) predictor.predict(row(each)).catch(() => {})
    await clock.run()
  }
  expect((await predictor.save()).length).toBeGreaterThan(2 * fresh.length) // and the memory
  expect(await outcomes()).toMatch(/"right"/)
  expect(predictor.forgetTenant('')).toBe(true)
  expect(await predictor.save()).toEqual(fresh)
  await predictor.close()
})

it('a saved tenant goes on where it was; the one that was asked longest ago makes room', async () => {
  const { clock, predictor } = await house()
  for (let i = 0; i < 200; i++) {
    predictor.predict(row(i), { tenant: 'a' })
    await clock.run()
  }
  const state = { a: await predictor.save('a') }
  const { memoryPairs } = predictor.stats('a')
  for (const tenant of ['b', 'c', 'd', 'e']) predictor.predict(row(1), { tenant })
  await clock.run()
  await expect(predictor.save('a')).rejects.toThrow('tenant: expected one that was asked for, got "a"')
  await predictor.close()
  const again = await house({ memory: { state } })
  expect(again.predictor.stats('a').memoryPairs).toBe(memoryPairs)
  await again.predictor.close()
})

it('what was forgotten does not come back from the saved state; more states than tenants are refused', async () => {
  const { clock, predictor } = await house()
  for (let i = 0; i < 200; i++) {
    predictor.predict(row(i), { tenant: 'a' })
    await clock.run()
  }
  const saved = await predictor.save('a')
  await predictor.close()
  const again = (await house({ memory: { state: { a: saved } } })).predictor
  expect(again.forgetTenant('a')).toBe(true)
  again.predict(row(1), { tenant: 'a' }).catch(() => {})
  expect(again.stats('a').memoryPairs).toBe(0)
  await again.close()
  await expect(house({ limits: { tenants: 2 }, memory: { state: { a: saved, b: saved, c: saved } } })).rejects.toThrow(
    'memory.state: expected at most 2 tenants',
  )
  await expect(house({ limits: { tenants: 1 }, memory: { state: { a: saved } } })).rejects.toThrow(
    'tenant: expected none',
  )
})

it('a tenant needs the option, and must be a string', async () => {
  const { predictor } = await house({ limits: { tenants: 1 } })
  await expect(predictor.predict(row(1), { tenant: 'a' })).rejects.toThrow(
    'expected none without the option limits.tenants',
  )
  await expect(predictor.predict(row(1), { tenant: 7 as never })).rejects.toThrow('tenant: expected a string, got 7')
  await predictor.close()
  await expect(house({ limits: { tenants: 0 } })).rejects.toThrow(
    'limits.tenants: expected an integer from 1 to 10000, got 0',
  )
})

/** Tenants that tell what of them ends. */
function listed(most: number) {
  const ended: string[] = []
  const make = (name: string) => {
    const of = (what: string) => ({ close: () => ended.push(`${what} of ${name}`) })
    return { ...of('the group'), learned: of('the learning') } as never as Tenant
  }
  return { tenants: new Tenants(most, make), ended }
}

it('the group of a tenant that is forgotten closes now, and its learning ends', () => {
  const { tenants, ended } = listed(3)
  for (const name of ['a', 'b']) tenants.of(name)
  expect([tenants.forget('a'), tenants.forget('c')]).toEqual([true, false])
  expect([ended, tenants.names]).toEqual([['the group of a', 'the learning of a'], ['b']])
})

it('room is made by the tenant that was asked longest ago, not by the one that came first', () => {
  const { tenants, ended } = listed(2)
  for (const name of ['a', 'b', 'a', 'c']) tenants.of(name)
  expect([tenants.names, ended]).toEqual([['a', 'c'], ['the group of b', 'the learning of b']]) // biome-ignore format: one line
})

it('tenants share the bytes that a memory may take', async () => {
  const bytes = 2 ** 21 // enough for one
  const alone = await house({ limits: { tenants: 1 }, memory: { bytes } })
  await alone.predictor.close()
  const { predictor } = await house({ limits: { tenants: 2 }, memory: { bytes } })
  await expect(predictor.predict(row(0), { tenant: 'a' })).rejects.toThrow(`got ${bytes / 2}`)
  await predictor.close()
})

it('who lied is known after a restart, also where every query names a tenant and there are as many as may be', async () => {
  const options = { scheme: { queries: 1, byzantine: 1 } as const, memory: false as const, limits: { tenants: 2 } }
  const { clock, workers, predictor } = await house(options)
  const { infer } = workers[0]
  workers[0].infer = async (query) => {
    const answer = await infer.call(workers[0], query)
    return [{ ...answer[0], data: (answer[0].data as Float32Array).map((value) => value + 5) }]
  }
  for (let i = 0; i < 40; i++) {
    predictor.predict(row(i), { tenant: i % 2 ? 'a' : 'b' }).catch(() => {})
    await clock.run()
  }
  const ejections = (of: typeof predictor) =>
    of.stats().workers.find(({ worker }) => worker === workers[0].name)?.ejections
  expect([ejections(predictor), predictor.tenants]).toEqual([1, ['', 'b', 'a']])
  const entries = predictor.tenants.map(async (name) => [name, await predictor.save(name)])
  const state = Object.fromEntries(await Promise.all(entries))
  const again = await house({ ...options, memory: { bytes: 0, state } })
  expect(ejections(again.predictor)).toBe(1)
  await Promise.all([predictor.close(), again.predictor.close()])
})

it.each([
  ['without reuse', {}],
  ['where a memory answers first', { reuse: { maxError: 0.05 } }],
] as const)('queries that are refused make no tenant, and have none forgotten: %s', async (_, more) => {
  const { clock, predictor } = await house(
    { scheme: undefined, policy: 'auto', right: 'label', limits: { tenants: 3 }, ...more },
    2,
  )
  for (let i = 0; i < 60; i++) {
    void predictor.predict(row(i), { tenant: 'good' })
    await clock.run(clock.now() + 20)
  }
  for (let i = 0; i < 300; i++) predictor.predict(row(i), { tenant: 'good', deadlineMs: 100 }).catch(() => {})
  const codes = await Promise.all([...Array(5).keys()].map((i) => predictor.predict(row(i), { tenant: `t${i}`, deadlineMs: 1 }).catch(({ code }) => code))) // biome-ignore format: one line
  expect(codes.filter((code) => code === 'OVERLOADED').length).toBeGreaterThan(3)
  expect(predictor.tenants).toContain('good')
  await predictor.close()
})
