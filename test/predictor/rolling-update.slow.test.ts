import { connect } from '@nats-io/transport-node'
import { createPredictor, type Predictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { type NatsService, natsWorkers, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { type Model, QuirkServer } from '../shared/oip-quirks'
import { asked, Callers, fingerprints, served, type Which, worker } from '../shared/rollout-digits'
import { until } from '../shared/waiting'

const LANES = 4
const scheme = { queries: 4, stragglers: 1 }
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const SLOW_MS = 300
let calls = 0
/** One call in ten takes long, at whichever worker it is: one that is always slow is passed over after its first answer. */
const sometimesSlow = () => calls++ % 10 === 0 && new Promise((resolve) => setTimeout(resolve, SLOW_MS))
const slowed = (model: Model): Model => ({
  ...model,
  run: async (inputs, rows) => {
    await sometimesSlow()
    return model.run(inputs, rows)
  },
})

/** Callers that have asked for long enough that the old model is remembered. */
async function calling(predictor: Predictor): Promise<Callers> {
  const callers = new Callers(predictor, LANES)
  ends.push(() => callers.stop())
  await callers.more(600)
  expect(predictor.stats().memoryPairs).toBeGreaterThan(100)
  return callers
}

/** The new model answers, also what is recovered since workers are slow; nothing of the old one is left. */
async function expectNew(callers: Callers, slow: () => void): Promise<void> {
  await callers.more(400, 'new')
  while (callers.predictor.stats().memoryPairs < 150) await callers.more(50, 'new') // it is learned beside them
  await callers.stop()
  const { counts, relapses, errors } = callers
  expect({ relapses, neither: counts.neither, errors: [...errors.keys()] }).toMatchObject({ relapses: 0, neither: 0 })
  slow()
  const given = await asked(callers.predictor, 10)
  expect({ ...given, 'recovered new': 0, 'recovered old': 0 }).toEqual({ 'exact new': expect.any(Number), 'recovered new': 0, 'recovered old': 0 }) // biome-ignore format: one line
  const { 'recovered new': right, 'recovered old': stale = 0 } = given // one in ten may be wrong, and then nearer to whatever it is
  expect(right).toBeGreaterThan(10)
  expect(stale).toBeLessThanOrEqual(0.1 * right)
}

describe('five OIP servers that are rolled to other weights', () => {
  async function fiveServers() {
    const start = () => new QuirkServer('triton', served('old')).listen()
    const servers = await Promise.all(Array.from({ length: 5 }, start))
    ends.push(() => Promise.all(servers.map((server) => server.kill().catch(() => {}))))
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const urls = servers.map(({ url }) => url)
    const workers = httpWorkers(urls, { model: 'digits', onWarning })
    const predictor = await createPredictor({ scheme, workers, onWarning })
    ends.push(() => predictor.close())
    const callers = await calling(predictor)
    const replaced = () => warnings.filter((text) => text.startsWith("more servers have another model than have the fleet's")) // biome-ignore format: one line
    const isOther = ({ port }: QuirkServer) => warnings.some((text) => text.startsWith(`127.0.0.1:${port} has another model`)) // biome-ignore format: one line
    return {
      servers,
      callers,
      replaced,
      isOther,
      slow: () => servers.forEach((server) => (server.model = slowed(server.model))),
    }
  }

  it('one by one: no query fails, the new model answers from the third one on', async () => {
    const { servers, callers, replaced, isOther, slow } = await fiveServers()
    for (const [at, server] of servers.entries()) {
      await server.kill()
      await callers.more(100, at > 2 ? 'new' : 'old') // the others answer while it starts again
      server.model = served('new')
      await server.listen()
      await until(() => (at < 2 ? isOther(server) : replaced().length > 0))
    }
    expect(callers.counts.failed).toBe(0)
    await expectNew(callers, slow)
    expect(replaced().length).toBe(1)
  })

  it('rolled back after the second: the old model answers throughout, and no query fails', async () => {
    const { servers, callers, replaced, isOther } = await fiveServers()
    const roll = async (server: QuirkServer, which: Which) => {
      await server.kill()
      await callers.more(100)
      server.model = served(which)
      await server.listen()
    }
    for (const server of servers.slice(0, 2)) {
      await roll(server, 'new')
      await until(() => isOther(server))
    }
    for (const server of servers.slice(0, 2)) await roll(server, 'old')
    await until(() => callers.predictor.unready === undefined)
    await callers.more(100)
    await callers.stop()
    expect(callers.counts).toMatchObject({ new: 0, neither: 0, failed: 0 })
    expect(replaced()).toEqual([])
  })

  it('all at once: the new model answers when they are back', async () => {
    const { servers, callers, replaced, slow } = await fiveServers()
    await Promise.all(servers.map((server) => server.kill()))
    for (const server of servers) server.model = served('new')
    await until(() => callers.counts.failed > 0)
    await Promise.all(servers.map((server) => server.listen()))
    await expectNew(callers, slow)
    expect(replaced().length).toBe(1)
  })
})

describe.skipIf(!natsInstalled)('five machines on NATS that are rolled to other weights', () => {
  let server: NatsServer
  let fleets = 0
  beforeAll(async () => {
    server = await NatsServer.start()
  })
  afterAll(() => server.stop())

  interface Machine {
    service: NatsService
    kill(): Promise<void>
  }

  async function fiveMachines() {
    const fleet = `rolled-${fleets++}`
    let isSlow = false
    const start = async (which: Which): Promise<Machine> => {
      const own = worker(which)
      const infer: typeof own.infer = async (row) => {
        if (isSlow) await sometimesSlow()
        return own.infer(row)
      }
      const connection = await connect({ servers: server.url })
      const service = await serveNats(connection, { fleet, workers: [{ ...own, infer }] })
      ends.push(() => service.close().then(() => connection.close()))
      return { service, kill: () => connection.close() } // as the kernel does with those of a dead process
    }
    const machines = await Promise.all(Array.from({ length: 5 }, () => start('old')))
    const warnings: string[] = []
    const onWarning = (text: string) => warnings.push(text)
    const predictor = await createPredictor({
      scheme,
      workers: natsWorkers(server.url, { fleet, forgetMs: 3000, onWarning }),
      onWarning,
    })
    ends.push(() => predictor.close())
    const callers = await calling(predictor)
    const replaced = () => warnings.filter((text) => text.startsWith('more machines have the model'))
    const isRefused = ({ service }: Machine) => warnings.some((text) => text.startsWith(`${service.names[0]} was refused`)) // biome-ignore format: one line
    const slow = () => {
      isSlow = true
    }
    return { machines, start, callers, predictor, warnings, replaced, isRefused, slow }
  }

  it('one by one, in good order: no query fails', async () => {
    const { machines, start, callers, replaced, isRefused, slow } = await fiveMachines()
    for (const machine of machines) {
      await machine.service.drain()
      const again = await start('new')
      await until(() => isRefused(again) || replaced().length > 0)
    }
    await expectNew(callers, slow)
    expect(callers.counts.failed).toBe(0)
    expect(replaced()).toEqual([
      expect.stringContaining(`the model ${fingerprints.new} than have ${fingerprints.old}: `),
    ])
  })

  it('one by one, killed: no query fails', async () => {
    const { machines, start, callers, predictor, replaced, isRefused, slow } = await fiveMachines()
    for (const [at, machine] of machines.entries()) {
      await machine.kill()
      const again = await start('new')
      await until(() => isRefused(again) || replaced().length > 0)
      await until(() => replaced().length > 0 || predictor.stats().workers.length === 4 - at) // the one before is given up
    }
    await expectNew(callers, slow)
    expect(callers.counts.failed).toBe(0)
    expect(replaced().length).toBe(1)
  })

  it('all at once, killed: the new model answers when they are there', async () => {
    const { machines, start, callers, replaced, slow, predictor } = await fiveMachines()
    await Promise.all(machines.map((machine) => machine.kill()))
    await until(() => callers.counts.failed > 0)
    await Promise.all(machines.map(() => start('new')))
    await expectNew(callers, slow)
    expect(replaced().length).toBe(1)
    expect(predictor.unready).toBeUndefined()
  })
})
