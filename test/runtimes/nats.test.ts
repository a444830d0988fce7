/** A fleet on a real NATS server, over TCP or, from a page, over WebSocket. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { type NatsOptions, natsWorkers, type ServeNatsOptions, serveNats } from 'approxifer/nats'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { HandWorker } from '../shared/hand-predictor'
import { inferring } from '../shared/vectors'
import { until } from '../shared/waiting'
import { natsConnection } from './here'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

let fleets = 0
const newFleet = () => `runtimes-${Math.random().toString(36).slice(2)}-${fleets++}`

async function connection() {
  const made = await natsConnection()
  ends.push(() => made.close())
  return made
}

const twice = (x: Float32Array) => x.map((value) => 2 * value)

/** A machine of the fleet. @param answer  its model */
async function machine(
  fleet: string,
  name: string,
  answer: Parameters<typeof inferring>[0] = twice,
  more: Partial<ServeNatsOptions> = {},
) {
  const worker = Object.assign(new HandWorker(name), { infer: inferring(answer) })
  const service = await serveNats(await connection(), { fleet, name, workers: [worker], onWarning() {}, ...more })
  ends.push(() => service.close())
  return service
}

async function predictorOf(fleet: string, options: PredictorOptions = {}, nats: Partial<NatsOptions> = {}) {
  const workers = natsWorkers(await connection(), { fleet, onWarning() {}, ...nats })
  const predictor = await createPredictor({ workers, onWarning() {}, ...options })
  ends.push(() => predictor.close())
  return predictor
}

const row = (x: number) => Float32Array.of(x, 1)
const rows = Array.from({ length: 30 }, (_, i) => row(i))
const valuesOf = (answers: { output: Record<string, { data: ArrayLike<unknown> }> }[]) =>
  answers.map(({ output }) => Array.from(Object.values(output)[0].data))
const expected = rows.map((row) => [...twice(row)])
const hang = () => new Promise<Float32Array>(() => {})

describe.skipIf(!inject('servers').nats)('a fleet on NATS', () => {
  it('machines answer a predictor, each answer exact', async () => {
    const fleet = newFleet()
    await Promise.all([machine(fleet, 'a'), machine(fleet, 'b')])
    const predictor = await predictorOf(fleet)
    const answers = await predictor.predictAll(rows)
    expect(valuesOf(answers)).toEqual(expected)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['exact']))
  })

  it('a machine that comes later joins', async () => {
    const fleet = newFleet()
    await machine(fleet, 'a')
    const predictor = await predictorOf(fleet)
    await machine(fleet, 'b')
    await until(() => expect(predictor.stats().workers).toHaveLength(2))
  })

  it('a machine that is closed leaves, and the others answer', async () => {
    const fleet = newFleet()
    const [leaves] = await Promise.all([machine(fleet, 'a'), machine(fleet, 'b')])
    const predictor = await predictorOf(fleet)
    await until(() => expect(predictor.stats().workers).toHaveLength(2))
    await leaves.close()
    expect(valuesOf(await predictor.predictAll(rows))).toEqual(expected)
    await until(() => expect(predictor.stats().workers).toHaveLength(1))
  })

  it('a machine that drains answers what it has, and leaves', async () => {
    const fleet = newFleet()
    const service = await machine(fleet, 'a')
    await machine(fleet, 'b')
    const predictor = await predictorOf(fleet)
    await until(() => expect(predictor.stats().workers).toHaveLength(2))
    const open = predictor.predictAll(rows)
    await service.drain()
    expect(valuesOf(await open)).toEqual(expected)
  })

  it('one of three hangs: every query is answered', async () => {
    const fleet = newFleet()
    await Promise.all([machine(fleet, 'a'), machine(fleet, 'b'), machine(fleet, 'c', hang)])
    const predictor = await predictorOf(fleet, { hangMs: 500 })
    await until(() => expect(predictor.stats().workers).toHaveLength(3))
    expect(valuesOf(await predictor.predictAll(rows))).toEqual(expected)
  })

  it('one of three fails: every query is answered', async () => {
    const fleet = newFleet()
    const fail = () => Promise.reject(new Error('out of order'))
    await Promise.all([machine(fleet, 'a'), machine(fleet, 'b'), machine(fleet, 'c', fail)])
    const predictor = await predictorOf(fleet)
    await until(() => expect(predictor.stats().workers).toHaveLength(3))
    expect(valuesOf(await predictor.predictAll(rows))).toEqual(expected)
  })

  it('one of four lies: no lie is given, and it is ejected', async () => {
    const fleet = newFleet()
    const lie = (x: Float32Array) => x.map((value) => value + 1000)
    const services = await Promise.all(['a', 'b', 'c'].map((name) => machine(fleet, name)))
    const liar = await machine(fleet, 'liar', lie)
    const predictor = await predictorOf(fleet, { scheme: { queries: 1, byzantine: 1 } })
    await until(() => expect(predictor.stats().workers).toHaveLength(services.length + 1))
    expect(valuesOf(await predictor.predictAll(rows))).toEqual(expected)
    const ejected = predictor.stats().workers.filter(({ ejections }) => ejections)
    expect(ejected.map(({ worker }) => worker)).toEqual(liar.names)
  })

  it('a query to a machine that hangs fails by its deadline, or by an abort at once', async () => {
    const fleet = newFleet()
    await machine(fleet, 'a', hang)
    const predictor = await predictorOf(fleet)
    await expect(predictor.predict(row(1), { deadlineMs: 100 })).rejects.toMatchObject({ code: 'DEADLINE' })
    const abort = new AbortController()
    const open = predictor.predict(row(1), { signal: abort.signal })
    abort.abort()
    await expect(open).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('a machine keeps its identity, which is its key, under another name', async () => {
    const fleet = newFleet()
    const of = async () => (await predictorOf(fleet)).predict(row(1))
    await machine(fleet, 'a')
    const { identities } = await of()
    expect(identities).toEqual([expect.stringMatching(/^[\w-]{32,}$/)])
  })

  it('a predictor that starts before any machine waits for the first one', async () => {
    const fleet = newFleet()
    const starting = predictorOf(fleet)
    await machine(fleet, 'a')
    expect(valuesOf([await (await starting).predict(row(3))])).toEqual([[6, 2]])
  })

  it('close ends what is open, and may be called twice', async () => {
    const fleet = newFleet()
    await machine(fleet, 'a', hang)
    const predictor = await predictorOf(fleet)
    const open = predictor.predict(row(1))
    await Promise.all([predictor.close(), predictor.close()])
    await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
