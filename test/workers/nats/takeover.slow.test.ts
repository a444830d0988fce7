/** A fleet's model is that of its machines, each once: who holds one key takes no fleet over, whatever it announces. */

import { createPredictor } from 'approxifer'
import { type NatsConnection, type NatsService, natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { MachineWorker } from '../../../src/workers/machines/worker'
import { natsWorkers as natsWorkersHere } from '../../../src/workers/nats/fleet'
import { keyOf } from '../../shared/fixed-keys'
import { HandWorker } from '../../shared/hand-predictor'
import { UP } from '../../shared/heartbeat'
import { natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferring } from '../../shared/vectors'
import { PATIENCE_MS, until } from '../../shared/waiting'

const fleets = natsFleets()
const HONEST = 5
const QUERIES = 60

const answering = (name: string, fingerprint: string, factor: number) => Object.assign(new HandWorker(name), { fingerprint, infer: inferring((x) => x.map((value) => factor * value)) }) // biome-ignore format: one line

describe.skipIf(!natsInstalled)('beside five honest machines one key', () => {
  /** Five machines with the model x, of which a predictor knows. */
  async function honestFleet(options: Parameters<typeof createPredictor>[0] = {}) {
    const fleet = fleets.newName()
    const warnings: string[] = []
    const onWarning = (text: string) => void warnings.push(text)
    const machine = async (name: string, key = keyOf(name)) => {
      const service = await serveNats(fleets.url, { fleet, workers: [answering(name, 'x', 2)], name, key, onWarning })
      fleets.end(() => service.close())
      return service
    }
    const honest: NatsService[] = []
    for (let i = 0; i < HONEST; i++) honest.push(await machine(`honest-${i}`))
    const workers = natsWorkers(fleets.url, { fleet, onWarning })
    const predictor = await createPredictor({ ...options, workers, onWarning, deadlineMs: PATIENCE_MS })
    fleets.end(() => predictor.close())
    const known = () => predictor.stats().workers.map(({ worker }) => worker)
    await until(() => known().length === HONEST)
    /** With another model: three times in place of twice. */
    const attack = async (many: number) => {
      const workers = Array.from({ length: many }, (_, i) => answering(`w${i}`, 'y', 3))
      return serveNats(fleets.url, {
        fleet,
        workers,
        name: 'attacker',
        key: keyOf('attacker'),
        beatMs: 60_000,
        onWarning,
      })
    }
    /** What is announced so far has been heard, and all queries are answered rightly. */
    const expectHonest = async () => {
      const { names } = await machine('later')
      await until(() => known().includes(names[0]))
      for (let x = 1; x <= QUERIES; x++) {
        const { output } = await predictor.predict(Float32Array.of(x, 1))
        expect(output.y.data[0]).toBe(2 * x)
      }
      expect(known().sort()).toEqual([...honest.flatMap((each) => each.names), ...names].sort())
      expect(predictor.renewals).toBe(0)
    }
    return { attack, expectHonest, warnings, predictor }
  }

  it.each([1, 12, 10_000])(
    'with %i names and another fingerprint has nobody removed, nor anything forgotten',
    async (many) => {
      const { attack, expectHonest, warnings } = await honestFleet()
      const attacker = await attack(many)
      fleets.end(() => attacker.close())
      await until(() => warnings.some((text) => /attacker-.* was refused: its model is another/.test(text)))
      await expectHonest()
      if (many > 256)
        expect(warnings.join('\n')).toContain(`the machine ${keyOf('attacker').identity} uses too many worker names`)
    },
  )

  it('with twelve names has nobody removed where one may lie', async () => {
    const { attack, expectHonest } = await honestFleet({ scheme: { queries: 1, byzantine: 1 }, memory: false })
    const attacker = await attack(12)
    fleets.end(() => attacker.close())
    await expectHonest()
  })

  it('with twelve names that comes and goes makes nothing begin anew', async () => {
    const { attack, expectHonest, predictor } = await honestFleet()
    for (let times = 0; times < 5; times++) {
      const attacker = await attack(12)
      await predictor.predict(Float32Array.of(1, 1))
      await attacker.close()
    }
    await expectHonest()
  })

  it('with twelve names does not take over as a new model beside the one that serves', async () => {
    const { attack, predictor, warnings } = await honestFleet({ rollout: {} })
    const attacker = await attack(12)
    fleets.end(() => attacker.close())
    await until(() => predictor.modelVersions()[1]?.workers === 12)
    for (let x = 1; x <= QUERIES; x++)
      expect((await predictor.predict(Float32Array.of(x, 1))).output.y.data[0]).toBe(2 * x)
    expect(predictor.modelVersions().map(({ id, state }) => [id, state])).toEqual([
      ['x', 'serving'],
      ['y', 'gathering'],
    ])
    expect(warnings.filter((text) => text.includes('takes over'))).toEqual([])
  })
})

describe.skipIf(!natsInstalled)('machines that are rolled one by one', () => {
  it.each([1, 2, 5])(
    '%i of them, each under its key: the new model takes over half-way, and no query fails after that',
    async (machines) => {
      const fleet = fleets.newName()
      const onWarning = vi.fn()
      const machine = (i: number, fingerprint: string) => serveNats(fleets.url, { fleet, workers: [answering(`m${i}`, fingerprint, fingerprint === 'x' ? 2 : 3)], key: keyOf(`roll-${i}`), onWarning }) // biome-ignore format: one line
      const services: NatsService[] = []
      for (let i = 0; i < machines; i++) services.push(await machine(i, 'x'))
      const predictor = await createPredictor({ workers: natsWorkers(fleets.url, { fleet, onWarning }), onWarning, deadlineMs: PATIENCE_MS }) // biome-ignore format: one line
      fleets.end(
        () => predictor.close(),
        () => Promise.all(services.map((service) => service.close())),
      )
      const known = () => predictor.stats().workers.map(({ worker }) => worker)
      await until(() => known().length === machines)
      for (let i = 0; i < machines; i++) {
        await services[i].close()
        services[i] = await machine(i, 'y')
        const isOver = 2 * (i + 1) > machines || (machines === 2 && i === 1)
        if (!isOver) continue
        await until(() => known().includes(services[i].names[0]))
        expect(predictor.renewals).toBe(1)
        expect((await predictor.predict(Float32Array.of(1, 1))).output.y.data[0]).toBe(3)
      }
      await until(() => known().length === machines)
    },
  )
})

/** A connection to nothing: what is published is heard by the subscriptions of its own that a test has made for that. */
function loneConnection() {
  const heard = new Map<string, (error: null, message: { subject: string; data: Uint8Array; reply?: string }) => void>()
  const connection = {
    publish(_: string, data = new Uint8Array(), { reply = '' } = {}) {
      if (data[1] === 2 && reply)
        heard.get(reply.replace(/[^.]*$/, '*'))?.(null, { subject: reply, data: data.with(1, 5) }) // a pong
    },
    subscribe(subject: string, { callback }: { callback: never }) {
      heard.set(subject, callback)
      return { unsubscribe() {} }
    },
    status: async function* () {},
    flush: async () => {},
    closed: () => new Promise(() => {}),
    close: async () => {},
    isClosed: () => false,
  } as unknown as NatsConnection
  return { connection, heard }
}

it('a heartbeat looks at no other worker: of 4,000 it looked at all', async () => {
  const { connection, heard } = loneConnection()
  const changes = natsWorkersHere(connection, { fleet: 'f', clock: new VirtualClock(), onWarning() {} })
  const first = changes.next()
  await until(() => heard.has('approxifer.f.beat.>'))
  const { signature } = new HandWorker('a')
  const beat = (name: string) => {
    const own = { ...UP, name, identity: name, signature, fingerprint: 'x' }
    const data = new TextEncoder().encode(JSON.stringify(own))
    heard.get('approxifer.f.beat.>')?.(null, { subject: `approxifer.f.beat.${name}`, data })
  }
  for (let i = 0; i < 4000; i++) beat(`w${i}`)
  await first
  for (let joined = 1; joined < 4000; joined++) await changes.next()
  const looks = (['isClosed', 'gone', 'isThere'] as const).map((of) => vi.spyOn(MachineWorker.prototype, of, 'get'))
  for (let i = 0; i < 10; i++) beat(`w${i}`)
  const count = looks.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  vi.restoreAllMocks()
  expect(count).toBeGreaterThan(0)
  expect(count / 10).toBeLessThan(20)
  await changes.return?.()
})
