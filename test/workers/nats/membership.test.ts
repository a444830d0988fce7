import { type Change, createPredictor, type ModelWorker } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { identityOf } from '../../../src/workers/worker'
import { keyOf } from '../../shared/fixed-keys'
import { handMember } from '../../shared/hand-member'
import { HandWorker, settled } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow, inferring } from '../../shared/vectors'
import { PATIENCE_MS, until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('members of a fleet on NATS', () => {
  it('workers join under names that no other has, also ones that come later', async () => {
    const { name, service, changes } = await fleets.start([new HandWorker('a'), new HandWorker('b')])
    const names = [await joined(changes), await joined(changes)].map((worker) => worker.name)
    expect(names).toEqual(service.names)
    const later = await serveNats(fleets.url, { fleet: name, workers: [new HandWorker('c')] })
    fleets.end(() => later.close())
    expect((await joined(changes)).name).toBe(later.names[0])
    expect(new Set([...names, ...later.names]).size).toBe(3)
  })

  it('those of one machine have one identity, which is its key, those that say none their names', async () => {
    const { name, changes } = await fleets.start([new HandWorker('a'), new HandWorker('b')])
    const of = async () => identityOf(await joined(changes))
    const [first, second] = [await of(), await of()]
    expect([first, first.length >= 32]).toEqual([second, true])
    const more = { fleet: name, workers: [new HandWorker('c')] }
    const [other, own] = [
      await serveNats(fleets.url, more),
      await serveNats(fleets.url, { ...more, key: keyOf('mine') }),
    ]
    fleets.end(
      () => other.close(),
      () => own.close(),
    )
    const { identity: mine } = keyOf('mine')
    const [third, fourth] = [await of(), await of()].sort((a) => (a === mine ? 1 : -1))
    expect([third === first, fourth]).toEqual([false, mine])
    handMember(await fleets.connect(), name, 'old')()
    expect(await of()).toBe('old')
  })

  it('may not say where they come from, nor that they are ours: of a stranger nothing but its key is known', async () => {
    const { name, changes } = await fleets.start([new HandWorker('a')])
    await joined(changes)
    const key = keyOf('mine')
    handMember(await fleets.connect(), name, `a-${key.identity.slice(0, 10)}`, { key })({ origin: '203.0.113.7', trusted: true }) // biome-ignore format: one line
    const { identity, origin, trusted } = await joined(changes)
    expect([identity, origin, trusted]).toEqual([key.identity, undefined, false])
  })

  it('come from where the user says, by their keys', async () => {
    const origins: string[] = []
    const origin = (identity: string) => `owner ${origins.push(identity)}`
    const { changes, service } = await fleets.start([new HandWorker('a')], { options: { origin } })
    expect([(await joined(changes)).origin, origins]).toEqual(['owner 1', [service.identity]])
    expect(() => natsWorkers(fleets.url, { fleet: 'f', origin: 'me' as never })).toThrow(/^origin: expected a function of a machine's key, got /) // biome-ignore format: one line
  })

  it('those that know how large answers are say it: what counts as a lie does not go by what callers ask', async () => {
    const { changes } = await fleets.start([Object.assign(new HandWorker('a'), { scales: [2] })])
    expect((await joined(changes)).scales).toEqual([2])
  })

  it('one that drains says so, answers what it has, and is gone', async () => {
    const hand = new HandWorker('a')
    const { changes, service, theirs } = await fleets.start([hand])
    const worker = await joined(changes)
    const call = inferRow(worker, row(3))
    await until(() => hand.calls.length === 1)
    const drained = service.drain()
    expect((await changes.next()).value).toEqual({ drain: worker.name })
    await theirs.run(200)
    expect(await settled(drained)).toBe('open')
    hand.calls[0].answer()
    expect([...(await call)]).toEqual([6, 2])
    await drained
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    expect(hand.closed).toBe(1)
  })

  it('one that hangs does not keep its machine from draining: after the grace its rows are rejected', async () => {
    const hand = new HandWorker('a')
    const { changes, service, theirs } = await fleets.start([hand])
    const worker = await joined(changes)
    const call = inferRow(worker, row(3))
    call.catch(() => {})
    await until(() => hand.calls.length === 1)
    const drained = service.drain(2000)
    await theirs.run(2000)
    await drained
    await expect(call).rejects.toMatchObject({ code: 'WORKER' })
  })

  it('a worker with another model is refused, with one warning', async () => {
    const [other, same] = [new HandWorker('a'), Object.assign(new HandWorker('b'), { fingerprint: 'abc' })]
    const { changes, service, theirs, onWarning } = await fleets.start([other, same], {
      options: { fingerprint: 'abc' },
    })
    expect((await joined(changes)).name).toBe(service.names[1])
    await theirs.run(5000)
    const refused = service.names[0]
    expect(onWarning.mock.calls).toEqual([[expect.stringContaining(`${refused} was refused: its model`), refused]])
  })

  describe('where more machines have another model', () => {
    const alike = (fingerprint: string, ...names: string[]) => names.map((name) => Object.assign(new HandWorker(name), { fingerprint })) // biome-ignore format: one line
    /** What is told, as it comes: "add x" of a worker with this model. */
    const follow = (changes: AsyncIterableIterator<Change>) => {
      const told: string[] = []
      const read = async () => {
        for await (const change of changes) {
          told.push('add' in change ? `add ${change.add.fingerprint}` : Object.keys(change)[0])
        }
      }
      void read()
      return told
    }

    it('that is taken, and those with the old one leave; not where the caller said which it must be', async () => {
      const { name, service, changes, theirs, onWarning } = await fleets.start(alike('x', 'a'))
      const fixed = natsWorkers(fleets.url, { fleet: name, fingerprint: 'x', onWarning: () => {} })
      fleets.end(() => fixed.return?.())
      const [told, toFixed] = [follow(changes), follow(fixed)]
      await until(() => told.length + toFixed.length === 2)
      for (const workers of [alike('y', 'b'), alike('y', 'c')]) {
        const other = await serveNats(fleets.url, { fleet: name, workers })
        fleets.end(() => other.close())
      }
      await until(() => told.length === 5)
      expect(told).toEqual(['add x', 'model', 'add y', 'add y', 'remove'])
      expect(onWarning.mock.calls.at(-1)).toEqual([
        expect.stringContaining('more machines have the model y than have x'),
      ])
      const drained = service.drain()
      await theirs.run(theirs.now() + 200)
      await drained
      await until(() => toFixed.length === 3)
      expect([told.length, ...toFixed]).toEqual([5, 'add x', 'drain', 'remove'])
    })

    it('whoever of them is heard before they have joined joins once: it joined twice', async () => {
      const { name, changes, onWarning } = await fleets.start(alike('x', 'a'))
      await joined(changes)
      for (const workers of [alike('y', 'b'), alike('y', 'c')]) {
        const other = await serveNats(fleets.url, { fleet: name, workers })
        fleets.end(() => other.close())
      }
      await until(() => onWarning.mock.calls.some(([text]) => text.includes('more machines have the model y')))
      const connection = await fleets.connect()
      let beats = 0
      connection.subscribe(`approxifer.${name}.beat.>`, { callback: () => void beats++ })
      await until(() => {
        connection.publish(`approxifer.${name}.call`)
        return beats > 60 // the first ones have come to the coordinator as well
      })
      const told = follow(changes)
      await until(() => told.includes('remove'))
      expect(told).toEqual(['model', 'add y', 'add y', 'remove'])
    })

    it('but merely lost are more than there are others: they are waited for until they are removed', async () => {
      const name = `lost-${process.pid}`
      const [clock, own, theirs, mine] = [new VirtualClock(), ...(await Promise.all([1, 2, 3].map(() => fleets.connect())))] as const // biome-ignore format: one line
      const serve = (connection: typeof own, workers: ModelWorker[]) => serveNats(connection, { fleet: name, workers, clock }) // biome-ignore format: one line
      const service = await serve(own, alike('x', 'a', 'b'))
      const changes = natsWorkers(mine, { fleet: name, clock, onWarning: () => {} })
      const told = follow(changes)
      await until(() => told.length === 2)
      const others = await serve(theirs, alike('y', 'c'))
      fleets.end(
        () => changes.return?.(),
        () => service.close(),
        () => others.close(),
      )
      vi.spyOn(own, 'publish').mockImplementation(() => {}) // they are not heard any more
      const after = async (ms: number) => {
        for (let at = clock.now(); at <= ms; at += 100) {
          await clock.run(at)
          await theirs.flush() // what it said is at the server,
          await mine.flush() // and here
        }
        return told.slice(2)
      }
      expect(await after(9000)).toEqual([])
      expect(await after(12_000)).toEqual(['remove', 'remove', 'model', 'add y'])
    })
  })

  it('of nine workers one lies: every answer is right, and the liar is found', async () => {
    const echo = (name: string, lie: boolean) => Object.assign(new HandWorker(name), { infer: inferring((x) => x.map((v) => (lie ? 3 * v : 2 * v))) }) // biome-ignore format: one line
    const workers = Array.from({ length: 9 }, (_, i) => echo(`w${i}`, i === 4))
    const name = `liar-${process.pid}`
    const machine = (worker: HandWorker) => serveNats(fleets.url, { fleet: name, workers: [worker] })
    const services = await Promise.all(workers.map(machine))
    const onWarning = vi.fn()
    const predictor = await createPredictor({
      scheme: { queries: 4, stragglers: 1, byzantine: 1 },
      workers: natsWorkers(fleets.url, { fleet: name }),
      deadlineMs: PATIENCE_MS,
      onWarning,
    })
    fleets.end(
      () => Promise.all(services.map((service) => service.close())),
      () => predictor.close(),
    )
    const answers = await predictor.predictAll(Array.from({ length: 400 }, (_, i) => row(i % 37)))
    answers.forEach(({ output }, i) => expect([...output.y.data]).toEqual([2 * (i % 37), 2]))
    expect(onWarning.mock.calls.flat().join()).toContain(`${services[4].names[0]} lied, with proof`)
  })
})
