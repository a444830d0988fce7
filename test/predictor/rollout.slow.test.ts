/** A new model beside the one that serves: asked unseen, answering some, taking over; refused, taken back. */

import { connect } from '@nats-io/transport-node'
import { createPredictor, type Predictor, type PredictorOptions } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { type NatsService, natsWorkers, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { models } from '../shared/heard-events'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { QuirkServer } from '../shared/oip-quirks'
import { asked, Callers, fingerprints, served, type Which, worker } from '../shared/rollout-digits'
import { until } from '../shared/waiting'

const LANES = 4
const scheme = { queries: 4, stragglers: 1 }
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** What was told of each model, as "state of id". */
function told() {
  const events: string[] = []
  return { events, onEvent: models(({ state, id }) => events.push(`${state} ${id}`)) }
}

const stateOf = (predictor: Predictor, id: string) => predictor.modelVersions().find((each) => each.id === id)?.state
const otherOf = (predictor: Predictor) => predictor.modelVersions()[1]

async function calling(predictor: Predictor): Promise<Callers> {
  ends.push(() => predictor.close())
  const callers = new Callers(predictor, LANES)
  ends.push(() => callers.stop())
  await callers.more(300)
  return callers
}

describe('five OIP servers that are rolled to other weights', () => {
  /** Two of them have another model. @returns what it is called */
  async function half(servers: QuirkServer[], predictor: Predictor): Promise<string[]> {
    for (const server of servers.slice(0, 2)) {
      await server.kill()
      server.model = served('new')
      await server.listen()
    }
    await until(() => otherOf(predictor)?.workers === 2)
    return [otherOf(predictor).id]
  }

  async function fiveServers(rollout: PredictorOptions['rollout']) {
    const start = () => new QuirkServer('triton', served('old')).listen()
    const servers = await Promise.all(Array.from({ length: 5 }, start))
    ends.push(() => Promise.all(servers.map((server) => server.kill().catch(() => {}))))
    const { events, onEvent } = told()
    const workers = httpWorkers(servers.map(({ url }) => url), { model: 'digits', onWarning() {} }) // biome-ignore format: one line
    const predictor = await createPredictor({ scheme, workers, rollout, onEvent, onWarning() {} })
    const callers = await calling(predictor)
    const answered = () => callers.counts.old + callers.counts.new
    const roll = async (server: QuirkServer, which: Which) => {
      const workersOf = (at: number) => predictor.modelVersions()[at]?.workers ?? 0
      const before = workersOf(0)
      await server.kill()
      const enough = answered() + 100
      await until(() => answered() >= enough) // it is missed meanwhile
      server.model = served(which)
      await server.listen()
      await until(() => workersOf(0) !== before || predictor.modelVersions().length > 1)
    }
    const [own] = predictor.modelVersions()
    expect(own).toMatchObject({ id: expect.stringMatching(/^[\da-f]{16}$/), workers: 5 })
    return { servers, predictor, callers, roll, events, own }
  }

  it('one by one with a canary: it answers a share, then all; no query fails, and no answer is of both', async () => {
    const { servers, predictor, callers, roll, events, own } = await fiveServers({ shadow: 0.5, canary: 0.2, agreement: 0 }) // biome-ignore format: one line
    for (const [at, server] of servers.slice(0, 3).entries()) {
      await roll(server, 'new')
      await until(() => otherOf(predictor)?.workers === at + 1 || predictor.modelVersions()[0].id !== own.id)
      if (at) continue
      await until(() => otherOf(predictor).answered > 20)
      const { old, new: share } = callers.counts
      await callers.more(200)
      const canary = (callers.counts.new - share) / (callers.counts.new - share + callers.counts.old - old)
      expect(canary).toBeGreaterThan(0.08)
      expect(canary).toBeLessThan(0.4)
    }
    await until(() => predictor.modelVersions()[0].id !== own.id)
    expect(predictor.modelVersions()[0].compared).toBeGreaterThanOrEqual(100)
    expect(otherOf(predictor)).toMatchObject({ id: own.id, state: 'gathering', workers: 2 })
    for (const server of servers.slice(3)) await roll(server, 'new')
    await until(() => predictor.modelVersions().length === 1)
    await callers.more(200, 'new')
    await callers.stop()
    expect(callers.counts).toMatchObject({ neither: 0, failed: 0 })
    const { 'recovered old': stale = 0, 'exact old': wrong = 0 } = await asked(predictor, 0)
    expect([stale <= 5, wrong]).toEqual([true, 0])
    const [{ id }] = predictor.modelVersions()
    expect(events).toEqual([
      ...['gathering', 'shadow', 'canary', 'serving'].map((state) => `${state} ${id}`),
      ...['gathering', 'gone'].map((state) => `${state} ${own.id}`),
    ])
  })

  it('that disagree: they do not take over, until somebody promotes them', async () => {
    const { servers, predictor, callers, roll, events, own } = await fiveServers({ shadow: 0.5 })
    for (const server of servers.slice(0, 3)) await roll(server, 'new')
    await until(() => otherOf(predictor)?.state === 'refused' && otherOf(predictor).workers === 3)
    await callers.more(100)
    expect(callers.counts).toMatchObject({ new: 0, neither: 0, failed: 0 })
    const { id, compared, agreed } = otherOf(predictor)
    expect(agreed / compared).toBeLessThan(0.95)
    predictor.promote(id)
    await callers.more(100, 'new')
    expect([stateOf(predictor, id), stateOf(predictor, own.id)]).toEqual(['serving', 'refused'])
    predictor.promote(own.id)
    await callers.more(100)
    await callers.stop()
    expect(callers.counts).toMatchObject({ neither: 0, failed: 0 })
    expect(events.filter((event) => /serving/.test(event))).toEqual([`serving ${id}`, `serving ${own.id}`])
    expect(() => predictor.promote('x')).toThrow(`the model version: expected one of ${id}, got "x"`)
  })

  it('that have shown themselves take over at once when those that serve are gone, if as many; refused ones say why they do not answer', async () => {
    const { servers, predictor, callers, own } = await fiveServers({ canary: 0.3 })
    const [id] = await half(servers, predictor)
    await until(() => otherOf(predictor).answered >= 100)
    for (const server of servers.slice(2)) await server.kill()
    await callers.more(100, 'new')
    expect([stateOf(predictor, id), callers.counts.neither]).toEqual(['serving', 0])
    predictor.refuse(own.id)
    for (const server of servers.slice(0, 2)) await server.kill()
    servers[2].model = served('old')
    await servers[2].listen()
    await until(() => [...callers.errors.keys()].some((text) => text.includes(`beside it there are 1 with the model ${own.id}, refused`))) // biome-ignore format: one line
  })

  it('rolled back half-way, under a canary: the old model goes on, and the new one is gone', async () => {
    const { servers, predictor, callers, roll, events, own } = await fiveServers({ canary: 0.3 })
    for (const server of servers.slice(0, 2)) await roll(server, 'new')
    await until(() => (otherOf(predictor)?.answered ?? 0) > 20)
    const { id } = otherOf(predictor)
    for (const server of servers.slice(0, 2)) await roll(server, 'old')
    await until(() => predictor.modelVersions().length === 1 && predictor.modelVersions()[0].workers === 5)
    const { new: before } = callers.counts
    await callers.more(100)
    await callers.stop()
    expect(callers.counts).toMatchObject({ new: before, neither: 0, failed: 0 })
    // Whose last worker is gone and not yet found to be another's gathers again.
    expect([...new Set(events)]).toEqual([`gathering ${id}`, `canary ${id}`, `gone ${id}`])
    expect(predictor.modelVersions()[0]).toMatchObject({ id: own.id, state: 'serving' })
  })

  it('rolled back after it was complete: the old model answers everything again, and has nothing to prove', async () => {
    const { servers, predictor, callers, roll, events, own } = await fiveServers({ shadow: 0.5 })
    for (const server of servers.slice(0, 2)) await roll(server, 'new')
    await until(() => otherOf(predictor)?.state === 'refused')
    const { id } = otherOf(predictor)
    predictor.promote(id)
    const having = (id: string) => predictor.modelVersions().find((each) => each.id === id)?.workers ?? 0
    for (const [at, server] of servers.slice(2).entries()) {
      await roll(server, 'new')
      await until(() => having(id) === at + 3)
    }
    await until(() => predictor.modelVersions().length === 1)
    await callers.more(100, 'new')
    for (const [at, server] of servers.entries()) {
      await roll(server, 'old')
      await until(() => having(own.id) === at + 1) // else the next one goes before this one is back
    }
    await until(() => predictor.modelVersions().length === 1)
    await callers.more(100, 'old')
    await callers.stop()
    expect(callers.counts).toMatchObject({ neither: 0, failed: 0 })
    expect(predictor.modelVersions()).toMatchObject([{ id: own.id, state: 'serving', workers: 5, compared: 0 }])
    const ofOld = events.filter((event) => event.endsWith(own.id)).map((event) => event.split(' ')[0])
    expect(ofOld).toEqual(['refused', 'gone', 'gathering', 'serving'])
  })

  it('all at once: there is nothing to be compared with, and the new one takes over', async () => {
    const { servers, predictor, callers } = await fiveServers({ shadow: 1, canary: 0.1 })
    await Promise.all(servers.map((server) => server.kill()))
    for (const server of servers) server.model = served('new')
    await until(() => callers.counts.failed > 0)
    await Promise.all(servers.map((server) => server.listen()))
    await callers.more(100, 'new')
    await callers.stop()
    expect(callers.counts.neither).toBe(0)
    await until(() => predictor.modelVersions()[0].workers === 5)
  })
})

describe.skipIf(!natsInstalled)('five machines on NATS that are rolled to other weights', () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  })
  afterAll(() => server.stop())

  it('one by one, killed, with shadow and canary: no query fails, and the new model answers everything at the end', async () => {
    const fleet = `canary-${process.pid}`
    const start = async (which: Which): Promise<{ service: NatsService; kill(): Promise<void> }> => {
      const connection = await connect({ servers: server.url })
      const service = await serveNats(connection, { fleet, workers: [worker(which)] })
      ends.push(() => service.close().then(() => connection.close()))
      return { service, kill: () => connection.close() }
    }
    const machines = await Promise.all(Array.from({ length: 5 }, () => start('old')))
    const { events, onEvent } = told()
    const workers = natsWorkers(server.url, { fleet, forgetMs: 3000, onWarning() {} })
    const rollout = { shadow: 0.5, canary: 0.2, agreement: 0 }
    const predictor = await createPredictor({ scheme, workers, rollout, onEvent, onWarning() {} })
    const callers = await calling(predictor)
    const total = () => predictor.modelVersions().reduce((sum, each) => sum + each.workers, 0)
    for (const machine of machines) {
      await machine.kill()
      await until(() => total() === 4)
      await start('new')
      await until(() => total() === 5)
      await until(() => ['canary', 'serving'].includes(stateOf(predictor, fingerprints.new) ?? ''))
    }
    await until(() => predictor.modelVersions().length === 1)
    await callers.more(100, 'new')
    await callers.stop()
    expect(callers.counts).toMatchObject({ neither: 0, failed: 0 })
    const { 'exact old': wrong = 0, 'exact new': right } = await asked(predictor, 0)
    expect([wrong, right > 0]).toEqual([0, true])
    const states = (which: Which) => events.filter((event) => event.endsWith(fingerprints[which])).map((event) => event.split(' ')[0]) // biome-ignore format: one line
    expect(states('new')).toEqual(['gathering', 'shadow', 'canary', 'serving'])
    expect(states('old')).toEqual(['gathering', 'gone'])
  })
})
