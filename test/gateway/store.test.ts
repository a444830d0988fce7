/** A gateway whose store hangs, throws, or answers late. */

import { createGateway, type GatewayModel, type Store } from 'approxifer/gateway'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'

const LIMIT_MS = 2000
const SAVE_EVERY_MS = 1e9
const never = new Promise<never>(() => {})
const nothing = async () => undefined

function model(): GatewayModel {
  const workers = ['a', 'b', 'c'].map((name) => Object.assign(new HandWorker(name), { infer: doubling }))
  const testing = { clock: { ...systemClock } } // whose memory is in this thread: no time passes until it is saved
  return { workers, scheme: { queries: 2, stragglers: 1 }, right: 'label', maxWaitMs: 0, testing } as GatewayModel
}

function opened(store: Partial<Store>, models: Record<string, GatewayModel> = { m: model() }) {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const whole = { read: nothing, write: nothing, ...store } as Store
  const onWarning = (text: string) => warnings.push(text)
  const gateway = createGateway({ models, store: whole, saveEveryMs: SAVE_EVERY_MS, clock, onWarning })
  /** Lets the gateway's time pass. */
  const pass = (ms: number) => clock.run(clock.now() + ms)
  return { gateway, warnings, pass }
}

type Gateway = ReturnType<typeof opened>['gateway']

let asked = 0

async function ask(gateway: Gateway, name: string, rows = 10) {
  const data = Array.from({ length: 2 * rows }, () => Math.sin((asked++) ** 2))
  const body = JSON.stringify({ inputs: [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data }] })
  const { status } = await gateway(new Request(`http://test/v2/models/${name}/infer`, { method: 'POST', body }))
  expect(status).toBe(200)
}

/** Until it has something to save. @returns how many queries it remembers */
async function teach(gateway: Gateway, name = 'm'): Promise<number> {
  const remembered = () => gateway.predictor(name).stats().memoryPairs
  for (let round = 0; round < 100 && remembered() < 140; round++) {
    await ask(gateway, name)
    await gateway.predictor(name).save()
  }
  expect(remembered()).toBeGreaterThanOrEqual(140)
  return remembered()
}

/** Whether it has settled by now. */
async function isSettled(work: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = () => (settled = true)
  work.then(settle, settle)
  await new Promise(setImmediate)
  return settled
}

it('a store that never answers a read costs 2 s of the start, of all models together, and a warning each', async () => {
  const { gateway, warnings, pass } = opened({ read: () => never }, { m: model(), n: model(), o: model() })
  const ready = gateway.ready()
  await pass(LIMIT_MS - 1)
  expect([await isSettled(ready), warnings]).toEqual([false, []])
  await pass(1)
  await ready
  const lacks = (name: string) =>
    `model '${name}' starts without what was learned before: the store has not answered within 2000 ms`
  expect(warnings).toEqual(['m', 'n', 'o'].map(lacks))
  await ask(gateway, 'n')
  await gateway.close()
})

it('save, unload and close settle where a write never does', async () => {
  const { gateway, warnings, pass } = opened({ write: () => never }, { m: model(), n: model() })
  await gateway.ready()
  await teach(gateway)
  await teach(gateway, 'n')
  const saved = gateway.save().catch((error) => error)
  await pass(LIMIT_MS)
  expect(await saved).toMatchObject({ code: 'DEADLINE', message: 'the store has not answered within 2000 ms' })
  await gateway.unload('m')
  await gateway.close()
  expect(warnings).toEqual(['m', 'n'].map((name) => expect.stringContaining(`what model '${name}' learned could not`)))
})

it('closes while a write hangs that was begun at an interval', async () => {
  let writes = 0
  const write = () => {
    writes++
    return never
  }
  const { gateway, pass } = opened({ write })
  await gateway.ready()
  await teach(gateway)
  await pass(SAVE_EVERY_MS)
  await ask(gateway, 'm')
  const closed = gateway.close()
  await pass(LIMIT_MS)
  await closed
  expect(writes).toBe(1)
})

it('what is read too late does not replace what was learned since', async () => {
  const first = opened({})
  await first.gateway.ready()
  await teach(first.gateway)
  const state = await first.gateway.predictor('m').save()
  await first.gateway.close()
  let answer: (bytes: Uint8Array) => void = () => {}
  const read = () => new Promise<Uint8Array>((resolve) => (answer = resolve))
  const { gateway, pass } = opened({ read })
  await isSettled(gateway.ready()) // it reads
  await pass(LIMIT_MS)
  await gateway.ready()
  await ask(gateway, 'm', 3)
  await gateway.predictor('m').save()
  answer(state)
  expect(await isSettled(gateway.save())).toBe(true)
  expect(gateway.predictor('m').stats().memoryPairs).toBe(3)
  await gateway.close()
})

it('a write that takes longer than the limit holds back newer ones until it has ended, and then they go on', async () => {
  const writes: { bytes: Uint8Array; end: () => void }[] = []
  const write = (_: string, bytes: Uint8Array) =>
    new Promise<void>((resolve) => writes.push({ bytes, end: () => resolve() }))
  const { gateway, pass } = opened({ write })
  await gateway.ready()
  await teach(gateway)
  const first = gateway.save().catch((error) => error.code)
  await pass(LIMIT_MS)
  expect(await first).toBe('DEADLINE')
  await ask(gateway, 'm')
  await expect(gateway.save()).rejects.toThrow('the store has not answered') // at once: it is known that it hangs
  expect(writes.length).toBe(1)
  writes[0].end()
  const saved = gateway.save()
  while (writes.length < 2) await new Promise(setImmediate)
  writes[1].end()
  await saved
  expect(writes[1].bytes.length).toBeGreaterThan(writes[0].bytes.length)
  await gateway.close()
})

it('has one call under way at a time, and a model that is loaded anew waits for its earlier read', async () => {
  const names: string[] = []
  const ends: (() => void)[] = []
  const read = (name: string) => {
    names.push(name)
    return new Promise<undefined>((resolve) => ends.push(() => resolve(undefined)))
  }
  const { gateway, warnings, pass } = opened({ read }, { m: model(), n: model(), o: model() })
  await isSettled(gateway.ready())
  const unloaded = gateway.unload('m')
  const loaded = gateway.load('m', model())
  for (let i = 0; i < 4; i++) {
    await pass(LIMIT_MS - 1) // of each, not of all that wait
    expect(names.length).toBe(i + 1)
    ends[i]()
  }
  await Promise.all([unloaded, loaded])
  expect([names, warnings]).toEqual([['m', 'n', 'o', 'm'], []])
  await gateway.close()
})

it('may throw at once, or return what is no promise', async () => {
  const fail = () => {
    throw new Error('no disk')
  }
  const { gateway, warnings } = opened({ read: fail, write: fail })
  await gateway.ready()
  await teach(gateway)
  await expect(gateway.save()).rejects.toThrow('no disk')
  await gateway.close()
  expect(warnings.length).toBe(2)
  const plain = opened({ read: () => undefined, write: () => undefined } as unknown as Store)
  await plain.gateway.ready()
  await teach(plain.gateway)
  await plain.gateway.save()
  await plain.gateway.close()
  expect(plain.warnings).toEqual([])
})

it('is refused where it is none', () => {
  const create = (store: unknown) => () => createGateway({ models: {}, store: store as Store })
  expect(create('state')).toThrow(
    new TypeError('store: expected an object with the functions read and write, got "state"'),
  )
  expect(create({ read: nothing })).toThrow(TypeError)
  expect(create(null)).toThrow(TypeError)
})
